"""Puts into Secrets Manager what the hosts of a site need and Terraform must not see.

Each value is JSON, as docs/aws-hosts.md tells. One that is good stays as it is; a second call changes nothing.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Mapping
from typing import Any

from cryptography import x509

from orthweb.aws.account import Account
from orthweb.pki import Authority, certificate_names, check_server_certificate, describe, ensure_authority
from orthweb.render.envoy_tls import INTERNAL_NAME
from orthweb.site.files import ensure_folder
from orthweb.site.model import OwnCertificate, Site
from orthweb.site.paths import SitePaths
from orthweb.site.secrets import ensure_users

# A generated certificate with fewer days left than this is replaced.
_RENEW_DAYS = 30
_PARTS = ("orthanc", "envoy", "orthanc-dicom")

Value = dict[str, str]


def fill_secrets(
    account: Account, site: Site, paths: SitePaths, address: str, arns: Mapping[str, str], say: Callable[[str], None]
) -> None:
    """Bring the values of the site's secrets to what they have to be.

    Parameters
    ----------
    address:
        The site's public address, which its certificate has to hold.
    arns:
        The secrets by what they hold, as the Terraform output `site` has them.

    Raises
    ------
    InputError
        A certificate of one's own is not good.
    Failure
        AWS refuses.
    """
    ensure_folder(paths.pki)
    ensure_folder(paths.secrets)
    authority = ensure_authority(paths.pki, f"{site.name} authority")
    makers: dict[str, Callable[[Value], Value]] = {
        "server-certificate": lambda present: _server(site, paths, authority, address, present),
        "internal": lambda present: _internal(site, paths, authority, present),
        "users": lambda present: ensure_users(paths, site.orthanc.users),
    }
    client = account.client("secretsmanager")
    for name, make in makers.items():
        with account.told():
            present = _read(client, arns[name])
        wanted = make(present)
        if wanted != present:
            with account.told():
                client.put_secret_value(SecretId=arns[name], SecretString=json.dumps(wanted))
            say(f"secret {name}: {'changed' if present else 'filled'}")


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


def _server(site: Site, paths: SitePaths, authority: Authority, address: str, present: Value) -> Value:
    names = list(dict.fromkeys([*site.tls.names, address]))
    own = site.tls.certificate
    if isinstance(own, OwnCertificate):
        chain = paths.root / own.chain if own.chain else None
        now = datetime.datetime.now(datetime.UTC)
        # No public authority signs an address that can be given to somebody else tomorrow.
        wanted = site.tls.names or names
        found = check_server_certificate(paths.root / own.certificate, paths.root / own.key, chain, wanted, now)
        return {"certificate": found.fullchain_pem.decode(), "key": found.key_pem.decode()}
    if _serves(present.get("certificate"), authority, names):
        return present
    issued = authority.issue_server(names)
    return {"certificate": issued.fullchain_pem.decode(), "key": issued.key_pem.decode()}


def _internal(site: Site, paths: SitePaths, outer: Authority, present: Value) -> Value:
    """What the parts of a host know each other by; devices see Orthanc's own, so that one is the site's authority's."""
    folder = paths.pki / "aws-internal"
    ensure_folder(folder)
    inner = ensure_authority(folder, f"{site.name} internal authority")
    value = {"ca.crt": inner.certificate_pem.decode(), "devices.crt": outer.certificate_pem.decode()}
    for part in _PARTS:
        signer = outer if part == "orthanc-dicom" else inner
        key, certificate = f"{part}.key", f"{part}.crt"
        if _serves(present.get(certificate), signer, [INTERNAL_NAME]) and key in present:
            value |= {key: present[key], certificate: present[certificate]}
            continue
        issued = signer.issue_internal([INTERNAL_NAME, "localhost"])
        value |= {key: issued.key_pem.decode(), certificate: issued.fullchain_pem.decode()}
    return value


def _serves(pem: str | None, signer: Authority, names: list[str]) -> bool:
    """Whether a certificate is this authority's, holds the names and lasts."""
    try:
        certificate = x509.load_pem_x509_certificate((pem or "").encode())
    except ValueError:
        return False
    left = describe(certificate, datetime.datetime.now(datetime.UTC)).days_left
    return signer.signed(certificate) and left >= _RENEW_DAYS and set(names) <= set(certificate_names(certificate))
