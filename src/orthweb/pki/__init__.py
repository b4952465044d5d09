"""Certificates: the site's authority, what it issues, and the checks of certificates that a person brings."""

from orthweb.pki.apple import apple_complaints
from orthweb.pki.authority import Authority, ensure_authority
from orthweb.pki.check import ServerCertificate, check_server_certificate
from orthweb.pki.describe import CertificateInfo, describe
from orthweb.pki.export import export_device
from orthweb.pki.files import load_certificate, load_chain, load_key, write_private
from orthweb.pki.issued import Issued, PrivateKey, certificates_pem, private_key_pem
from orthweb.pki.names import certificate_names, check_device_name, covers

__all__ = [
    "Authority",
    "CertificateInfo",
    "Issued",
    "PrivateKey",
    "ServerCertificate",
    "apple_complaints",
    "certificate_names",
    "certificates_pem",
    "check_device_name",
    "check_server_certificate",
    "covers",
    "describe",
    "ensure_authority",
    "export_device",
    "load_certificate",
    "load_chain",
    "load_key",
    "private_key_pem",
    "write_private",
]
