"""What a field of `orthweb.yaml` may hold: ranges, names and AE titles, checked where they are read."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

_DNS_LABEL = re.compile(r"^(?!-)[A-Za-z0-9-]{1,63}(?<!-)$")


def off(meaning: str | None) -> BeforeValidator:
    # Some tools write YAML 1.1, where a bare `off` is false; the person meant the word.
    return BeforeValidator(lambda value: meaning if value is False or value == "off" else value)


def _without_zone(address: str) -> str:
    # RFC 4007: a zone such as %eth0 means something on one machine only; proxy and certificates know none.
    if "%" in address:
        raise ValueError("an address has a zone")
    return address


def _cidr(value: str) -> str:
    try:
        return str(ipaddress.ip_network(_without_zone(value), strict=True))
    except ValueError:
        pass
    try:
        loose = ipaddress.ip_network(_without_zone(value), strict=False)
    except ValueError:
        raise ValueError("an IPv4 or IPv6 range such as 192.168.0.0/24 or 2001:db8::/32") from None
    raise ValueError(f"host bits are set; did you mean {loose}")


def _ae_title(value: str) -> str:
    # PS3.5 6.2, VR AE: at most 16 characters, no backslash, no control characters, not only spaces.
    if not 1 <= len(value) <= 16 or value != value.strip() or not re.fullmatch(r"[ -\[\]-~]+", value):
        raise ValueError("1 to 16 printable ASCII characters, no backslash, no space at either end")
    return value


def _host(value: str) -> str:
    try:
        ipaddress.ip_address(_without_zone(value))
    except ValueError:
        labels = value.removesuffix(".").split(".")
        # A name of digits alone is a mistyped address: 10.0.0.300
        if len(value) > 253 or not all(_DNS_LABEL.fullmatch(label) for label in labels) or labels[-1].isdigit():
            raise ValueError("a DNS name or an IP address") from None
    return value


def _certificate_name(value: str) -> str:
    name = _host(value.removeprefix("*."))
    if name != value and name.rpartition(".")[2].isdigit():
        raise ValueError("a DNS name or an IP address; no wildcard goes before an address")
    return value


Cidr = Annotated[str, AfterValidator(_cidr)]
AeTitle = Annotated[str, AfterValidator(_ae_title)]
Host = Annotated[str, AfterValidator(_host)]
CertificateName = Annotated[str, AfterValidator(_certificate_name)]
Port = Annotated[int, Field(ge=1, le=65535)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)
