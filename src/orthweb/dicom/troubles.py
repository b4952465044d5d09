"""Says what went wrong with a call to a peer, and what to do about it, for whoever asked for the call."""

from __future__ import annotations

import socket
import ssl

from orthweb.dicom.errors import AssociationAborted, AssociationRejected, NotAccepted, OperationFailed
from orthweb.dicom.requestor import Peer
from orthweb.dicom.uids import (
    PATIENT_ROOT_FIND,
    STUDY_ROOT_FIND,
    STUDY_ROOT_GET,
    STUDY_ROOT_MOVE,
    VERIFICATION,
)

_ITS_LOG = "its own log says more"
_OTHER_CERTIFICATE = "show one that it takes, with --certificate and --key"
_MAYBE_PLAIN = "if it is a port without TLS, say --plain"

_SERVICES = {
    VERIFICATION: ("it does not answer C-ECHO", "send it something, or query it, to see that it works"),
    STUDY_ROOT_FIND: ("it does not answer queries (C-FIND)", "it has to offer the study root model"),
    PATIENT_ROOT_FIND: ("it does not answer queries for patients (C-FIND)", "look for studies: --level study"),
    STUDY_ROOT_GET: ("it does not offer C-GET", "have it send to a device that it knows, with --move-to"),
    STUDY_ROOT_MOVE: ("it does not offer C-MOVE", "leave out --move-to"),
}
_REMEDIES = {
    0x0122: "it does not offer this service",
    0x0124: "it has to be allowed there",
    0xA701: "ask for less at a time",
    0xA801: "have the AE title listed there as a place to send to",
    0xA900: "it wants other keys: name the study with --study as well",
}
# X509_V_ERR_… of OpenSSL (x509_vfy.h).
_NOT_YET_VALID, _EXPIRED, _REVOKED, _OTHER_NAME, _OTHER_ADDRESS = 9, 10, 23, 62, 64
_UNKNOWN_AUTHORITY = {2, 18, 19, 20, 21, 27}
# What a TLS alert of the peer says about our certificate (RFC 8446 6.2), by OpenSSL's name without its version.
_ALERTS = {
    "CERTIFICATE_REQUIRED": "it wants a certificate, and none was shown",
    "UNKNOWN_CA": "it does not know the authority of the certificate that was shown",
    "CERTIFICATE_EXPIRED": "it says that the certificate that was shown has expired",
    "CERTIFICATE_REVOKED": "it says that the certificate that was shown is revoked",
    "CERTIFICATE_UNKNOWN": "it does not take the certificate that was shown",
    "BAD_CERTIFICATE": "it does not take the certificate that was shown",
    "UNSUPPORTED_CERTIFICATE": "it cannot use the kind of certificate that was shown",
    "ACCESS_DENIED": "it does not let the holder of this certificate in",
    "HANDSHAKE_FAILURE": "it refused the TLS handshake: no certificate was shown, or one that it does not take",
}
_SPEAKS_NO_TLS = {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG"}
# How a TLS server's answer to an A-ASSOCIATE-RQ begins: with the record type of an alert (RFC 8446 5.1).
_TLS_ALERT = "first byte 15H"


def explain(error: Exception, peer: Peer) -> tuple[str, str]:
    """Say in words why a call failed.

    Parameters
    ----------
    error:
        What `Requestor` or an operation on it raised.

    Returns
    -------
    What is wrong, which goes after the peer's name, and what to do about it; the latter is empty where nobody knows.
    """
    match error:
        case ssl.SSLCertVerificationError():
            return _distrusted(error, peer)
        case ssl.SSLEOFError() | ConnectionResetError() | BrokenPipeError() if peer.tls is not None:
            return "it hung up during the TLS handshake", _MAYBE_PLAIN
        case ssl.SSLError():
            return _tls(error)
        case socket.gaierror() if error.errno == socket.EAI_AGAIN:
            return f"the name {peer.host} cannot be looked up now", "try again, or give its address"
        case socket.gaierror():
            return f"there is no host of the name {peer.host}", "correct the name, or give its address"
        case ConnectionRefusedError():
            return "nobody listens there: connection refused", "see that it is up, and that host and port are right"
        case TimeoutError():
            return _slow(error, peer)
        case AssociationRejected():
            return _rejected(error, peer)
        case AssociationAborted() if peer.tls is None and str(error).startswith(_TLS_ALERT):
            return "it speaks TLS on this port", "leave out --plain"
        case AssociationAborted() if peer.tls is None:
            return str(error), f"{_ITS_LOG}; if it wants TLS, leave out --plain"
        case AssociationAborted():
            return str(error), _ITS_LOG
        case NotAccepted():
            return _SERVICES.get(error.abstract_syntax, (str(error), ""))
        case OperationFailed():
            return str(error), _REMEDIES.get(error.status, _ITS_LOG)
        case OSError():
            return error.strerror or str(error), "see that host and port are right, and that the network leads there"
        case _:
            return str(error), ""


def _distrusted(error: ssl.SSLCertVerificationError, peer: Peer) -> tuple[str, str]:
    name = peer.server_name or peer.host
    code = error.verify_code
    if code == _EXPIRED:
        return "its certificate has expired", "have it renewed there"
    if code == _NOT_YET_VALID:
        return "its certificate is not valid yet", "compare the clocks of both machines"
    if code == _REVOKED:
        return "its certificate is revoked", "have it replaced there"
    if code in (_OTHER_NAME, _OTHER_ADDRESS):
        return f"its certificate is not for {name}", "call it by a name in it, or give one with --server-name"
    if code in _UNKNOWN_AUTHORITY:
        return "its certificate is of an authority that is not trusted here", "give the authority's with --ca"
    return f"its certificate cannot be trusted: {error.verify_message}", "give its authority's with --ca"


def _tls(error: ssl.SSLError) -> tuple[str, str]:
    reason = error.reason or ""
    _, is_alert, alert = reason.partition("_ALERT_")
    if is_alert and alert in _ALERTS:
        return _ALERTS[alert], _OTHER_CERTIFICATE
    if alert == "PROTOCOL_VERSION" or reason == "UNSUPPORTED_PROTOCOL":
        return "it speaks no TLS that is safe", "it has to offer TLS 1.2 or 1.3"
    if reason.endswith("UNRECOGNIZED_NAME"):
        return "it has no certificate for the name that was asked for", "give the right one with --server-name"
    if reason in _SPEAKS_NO_TLS:
        return "it speaks no TLS on this port", "give its port with TLS, or say --plain"
    if reason == "UNEXPECTED_EOF_WHILE_READING":
        return "it hung up during the TLS handshake", _MAYBE_PLAIN
    return f"TLS failed: {reason.replace('_', ' ').lower() or error}", _ITS_LOG


def _slow(error: TimeoutError, peer: Peer) -> tuple[str, str]:
    if peer.tls is not None and "handshake" in str(error):
        return "it took the connection and did not answer the TLS handshake", _MAYBE_PLAIN
    seconds = f"{peer.limits.handshake_seconds:g} s"
    return f"it did not answer for {seconds}", "see that host and port are right, and that no firewall is between"


def _rejected(error: AssociationRejected, peer: Peer) -> tuple[str, str]:
    if error.transient:
        return str(error), "try again later"
    if (error.source, error.reason) == (1, 7):
        return (
            f"it does not know itself by the AE title {peer.called_ae_title!r}: {error}",
            "give its own with --called",
        )
    if (error.source, error.reason) == (1, 3):
        return (
            f"it does not know the AE title {peer.calling_ae_title!r}: {error}",
            "have it listed there, or give one that is with --calling",
        )
    return str(error), _ITS_LOG
