"""A site that `orthweb.yaml` describes as validation takes it from outside, wherever it runs."""

from __future__ import annotations

from orthweb.dicom.tls import TlsFiles
from orthweb.site.model import OWN_AE_TITLE, ClientCertificates, OwnCertificate, Site
from orthweb.site.paths import SitePaths
from orthweb.site.secrets import read_users
from orthweb.validation.target import Credentials, DicomDoor, Inside, Target, WebDoor


def outer_target(
    site: Site, paths: SitePaths, own: TlsFiles, host: str, names: tuple[str, ...], inside: Inside | None = None
) -> Target:
    """Describe a site by its doors.

    Parameters
    ----------
    own:
        The certificate of Orthweb's own commands.
    host:
        Where it is reached.
    names:
        What its certificate has to hold.
    inside:
        The view from inside, where there is one.

    Raises
    ------
    InputError
        The file of its passwords is damaged.
    """
    # Whoever brought a certificate of their own has told this machine whom to trust.
    ca = None if isinstance(site.tls.certificate, OwnCertificate) else paths.pki / "ca.crt"
    certificates = site.dicom.client_certificates
    user, users = site.orthanc.users[0], read_users(paths)
    return Target(
        name=site.name,
        names=names,
        web=WebDoor(
            host,
            site.web.port,
            ca=ca,
            credentials=Credentials(user, users[user]) if user in users else None,
            redirect_port=site.web.redirect_port,
        ),
        dicom=DicomDoor(
            host,
            site.dicom.port,
            site.orthanc.ae_title,
            calling=_calling(site),
            tls=TlsFiles(ca, own.certificate, own.key),
            asks_certificates=certificates is ClientCertificates.REQUIRED,
            plaintext_port=site.dicom.plaintext.port if site.dicom.plaintext else None,
        ),
        state=paths.state / "validation",
        environment=str(site.environment),
        owner=site.owner,
        inside=inside,
    )


def _calling(site: Site) -> str:
    """Orthweb's own AE title; where no certificate ties it to Orthweb nobody may use it, and a listed one has to do."""
    if site.dicom.client_certificates is ClientCertificates.OFF and site.orthanc.modalities:
        return next(iter(site.orthanc.modalities.values())).ae_title
    return OWN_AE_TITLE
