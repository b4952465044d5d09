"""Puts into Secrets Manager what the hosts of a site need and Terraform must not see.

Each value is JSON, as docs/aws-hosts.md tells. One that is good stays as it is; a second call changes nothing.
"""

from __future__ import annotations

import datetime
import functools
import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cryptography import x509

from orthweb.aws.account import Account
from orthweb.errors import Failure
from orthweb.pki import Authority, certificate_names, check_server_certificate, describe, ensure_authority
from orthweb.pki.links import is_signed_by
from orthweb.pki.of_site import authority
from orthweb.site.files import ensure_folder, write_file
from orthweb.site.model import INTERNAL_NAME, OwnCertificate, Site
from orthweb.site.paths import SitePaths
from orthweb.site.secrets import ensure_users

# A generated certificate with fewer days left than this is replaced.
_RENEW_DAYS = 30
_PARTS = ("orthanc", "envoy")
_TO_DEVICES = "orthanc-dicom"

Value = dict[str, str]


class Handover:
    """The secrets of a site.

    Parameters
    ----------
    address:
        The site's public address, which its certificate has to hold.

    Raises
    ------
    InputError
        The site's authority or its passwords on this machine are damaged.
    """

    def __init__(self, account: Account, site: Site, paths: SitePaths, address: str) -> None:
        self._account, self._site, self._paths, self._address = account, site, paths, address
        ensure_folder(paths.pki)
        ensure_folder(paths.secrets)

    def fill(self, arns: Mapping[str, str], say: Callable[[str], None], new_certificate: bool = False) -> None:
        """Bring the values to what they have to be.

        Parameters
        ----------
        arns:
            The secrets by what they hold, as the Terraform output `site` has them.
        new_certificate:
            Issue another server certificate, even where the present one is good.

        Raises
        ------
        InputError
            A certificate of one's own is not good.
        Failure
            AWS refuses, or the site's authority is not the one that it was made with.
        """
        makers: dict[str, Callable[[Value], Value]] = {
            "server-certificate": lambda present: self._server({} if new_certificate else present),
            "internal": self._internal,
            "users": lambda present: ensure_users(self._paths, self._site.orthanc.users, given=present),
        }
        client = self._account.client("secretsmanager")
        with self._account.told():
            values = {name: _read(client, arns[name]) for name in makers}
        self._refuse_another_authority(values["internal"].get("devices.crt"))
        for name, make in makers.items():
            present = values[name]
            wanted = make(present)
            if wanted != present:
                with self._account.told():
                    client.put_secret_value(SecretId=arns[name], SecretString=json.dumps(wanted))
                say(f"secret {name}: {'changed' if present else 'filled'}")
            if name == "server-certificate":
                write_file(self._paths.aws_certificate, wanted["certificate"], 0o644)

    def check_authority(self, arns: Mapping[str, str]) -> None:
        """See that the site's authority is here, before minutes are spent on what ends for the lack of it.

        Raises Failure where it is not, or where AWS refuses.
        """
        with self._account.told():
            known = _read(self._account.client("secretsmanager"), arns["internal"])
        self._refuse_another_authority(known.get("devices.crt"))

    @functools.cached_property
    def _authority(self) -> Authority:
        return authority(self._paths, self._site)

    def _refuse_another_authority(self, known: str | None) -> None:
        """Devices trust the authority that the site was made with; another one would lock them all out."""
        path = self._paths.pki / "ca.crt"
        if known is None or (path.exists() and path.read_text() == known):
            return
        raise Failure(
            f"{path}: {'is not the authority' if path.exists() else 'is missing: the authority'} of "
            f"{self._site.name}, whose devices trust another one",
            "bring it with 'orthweb certs import', from whoever made the site ('orthweb certs export')",
        )

    def _server(self, present: Value) -> Value:
        names = list(dict.fromkeys([*self._site.tls.names, self._address]))
        own = self._site.tls.certificate
        if isinstance(own, OwnCertificate):
            return self._own_server(own, names)
        if _serves(present.get("certificate"), self._authority.certificate, names):
            return present
        issued = self._authority.issue_server(names)
        return {"certificate": issued.fullchain_pem.decode(), "key": issued.key_pem.decode()}

    def _own_server(self, own: OwnCertificate, names: list[str]) -> Value:
        root = self._paths.root
        chain = root / own.chain if own.chain else None
        now = datetime.datetime.now(datetime.UTC)
        # No public authority signs an address that can be given to somebody else tomorrow.
        wanted = self._site.tls.names or names
        found = check_server_certificate(root / own.certificate, root / own.key, chain, wanted, now)
        return {"certificate": found.fullchain_pem.decode(), "key": found.key_pem.decode()}

    def _internal(self, present: Value) -> Value:
        """What the parts of a host know each other by; what devices see of Orthanc is the site's authority's."""
        outer = self._authority
        inner = _certificate(present.get("ca.crt"))
        good = inner is not None and all(
            _serves(present.get(f"{part}.crt"), inner, [INTERNAL_NAME]) and f"{part}.key" in present for part in _PARTS
        )
        if good and _serves(present.get(f"{_TO_DEVICES}.crt"), outer.certificate, [INTERNAL_NAME]):
            return present
        # An authority for once: its key is kept nowhere, and whoever applies next finds that all is good.
        with tempfile.TemporaryDirectory(prefix="orthweb-") as folder:
            signer = ensure_authority(Path(folder), f"{self._site.name} internal authority")
        value = {"ca.crt": signer.certificate_pem.decode(), "devices.crt": outer.certificate_pem.decode()}
        for part in (*_PARTS, _TO_DEVICES):
            issued = (outer if part == _TO_DEVICES else signer).issue_internal([INTERNAL_NAME, "localhost"])
            value |= {f"{part}.key": issued.key_pem.decode(), f"{part}.crt": issued.fullchain_pem.decode()}
        return value


def _read(client: Any, arn: str) -> Value:
    """The value of a secret; empty where it has none yet, or none that is ours."""
    from botocore.exceptions import ClientError

    try:
        value = json.loads(client.get_secret_value(SecretId=arn)["SecretString"])
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFoundException":
            raise
        return {}
    except (ValueError, KeyError):
        return {}
    return value if isinstance(value, dict) else {}


def _certificate(pem: str | None) -> x509.Certificate | None:
    try:
        return x509.load_pem_x509_certificate((pem or "").encode())
    except ValueError:
        return None


def _serves(pem: str | None, signer: x509.Certificate, names: list[str]) -> bool:
    """Whether a certificate is this authority's, holds the names and lasts."""
    certificate = _certificate(pem)
    if certificate is None or not is_signed_by(certificate, signer):
        return False
    left = describe(certificate, datetime.datetime.now(datetime.UTC)).days_left
    return left >= _RENEW_DAYS and set(names) <= set(certificate_names(certificate))
