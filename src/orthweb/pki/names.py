"""The names in certificates: what may stand in one, and which of them covers which name of a host."""

from __future__ import annotations

import contextlib
import ipaddress
import re
from collections.abc import Sequence

from cryptography import x509

from orthweb.errors import InputError

# The underscore is no letter of a host name, and yet hosts have it.
_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_DEVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
# A device of such a name would overwrite what is written beside its files, on some disks whatever the case.
_TAKEN = {"ca", "truststore"}


def general_name(name: str) -> x509.DNSName | x509.IPAddress:
    """Return `name`, a DNS name or an IP address, in the form that a certificate holds.

    Raises
    ------
    InputError
        It is neither. A wildcard may stand for the whole first label only (RFC 6125 section 6.4.3).
    """
    with contextlib.suppress(ValueError):
        address = ipaddress.ip_address(name)
        # A certificate has no place for the zone of a link-local address.
        if "%" not in name:
            return x509.IPAddress(address)
    try:
        ascii_name = name if name.isascii() else name.encode("idna").decode()
    except UnicodeError:
        ascii_name = ""
    labels = ascii_name.removeprefix("*.").split(".")
    looks_like_address = re.fullmatch(r"[0-9]*\.[0-9.]*", ascii_name) is not None
    if looks_like_address or len(ascii_name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise InputError(
            f"{name!r}: is neither a DNS name nor an IP address",
            "write it like pacs.example.org, 192.0.2.7 or 2001:db8::7",
        )
    return x509.DNSName(ascii_name)


def general_names(names: Sequence[str]) -> list[x509.GeneralName]:
    """Return `names` in the form that a certificate holds, without repeats; InputError also for none."""
    if not names:
        raise InputError("a certificate needs one name at least", "name a DNS name or an IP address")
    return list(dict.fromkeys(general_name(name) for name in names))


def certificate_names(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the DNS names and IP addresses of SubjectAltName; the common name doesn't count (RFC 9525)."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(str(name.value) for name in names if isinstance(name, x509.DNSName | x509.IPAddress))


def covers(certificate_name: str, name: str) -> bool:
    """Whether a client that asked for `name` accepts `certificate_name`.

    A wildcard stands for exactly one label, the first (RFC 9525 section 6.3); addresses compare as addresses.
    """
    ours, asked = _comparable(certificate_name), _comparable(name)
    if ours == asked or isinstance(asked, _Address):
        return ours == asked
    first, _, rest = asked.partition(".")
    return bool(first) and "." in rest and ours == f"*.{rest}"


def is_loopback(name: str) -> bool:
    """Whether `name` means the machine itself, so that no public authority would certify it."""
    host = _comparable(name)
    return host.is_loopback if isinstance(host, _Address) else host == "localhost"


def check_device_name(name: str) -> None:
    """Refuse a device name that can't be a common name and the stem of file names; raises InputError."""
    if not _DEVICE.fullmatch(name):
        raise InputError(
            f"device name {name!r}: isn't a safe file name",
            "1 to 64 letters, digits, '.', '_' and '-', the first a letter or a digit",
        )
    if name.casefold() in _TAKEN:
        raise InputError(f"device name {name!r}: is the name of a file beside the device's", "choose another name")


def _comparable(name: str) -> str | _Address:
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(name)
    text = name.removesuffix(".").lower()
    with contextlib.suppress(UnicodeError):
        return text.encode("idna").decode() if not text.isascii() else text
    return text
