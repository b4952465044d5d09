"""A site that has been applied, as what looks at it and moves it day by day takes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orthweb.aws.account import Account
from orthweb.aws.state import applied_outputs
from orthweb.errors import Failure, InputError
from orthweb.site.aws import aws_of
from orthweb.site.model import Site
from orthweb.site.paths import SitePaths
from orthweb.site.voice import Voice

ROLES = ("primary", "secondary")


@dataclass(frozen=True)
class Applied:
    """A site that is on AWS.

    Parameters
    ----------
    outputs:
        What the last apply has put out.
    """

    site: Site
    paths: SitePaths
    account: Account
    outputs: Mapping[str, Any]

    @property
    def address(self) -> str:
        """The site's public address: the elastic IP."""
        return str(self.outputs["site_address"])

    @property
    def parts(self) -> Mapping[str, Any]:
        """The names of its parts on AWS: the output `site` of the modules."""
        return dict(self.outputs["site"])

    @property
    def instances(self) -> dict[str, str]:
        """The hosts' instance ids by role."""
        return {role: str(self.parts["hosts"][role]["id"]) for role in ROLES}


def applied_site(site: Site, paths: SitePaths, voice: Voice) -> Applied:
    """Find a site on AWS by what its last apply has put out. Nothing is written, and nobody is waited for.

    Raises
    ------
    InputError
        The site is not one on AWS, or orthweb.yaml does not fit the account.
    Failure
        It has not been applied, or by a newer Orthweb, or credentials are missing.
    """
    account = Account(aws_of(site))
    voice.step("asking AWS who we are")
    account.identity()
    outputs = applied_outputs(account, paths, site.name)
    if not outputs:
        raise Failure(f"{site.name} has not been applied", "'orthweb apply' makes it")
    return Applied(site, paths, account, outputs)


def check_role(role: str | None, field: str) -> None:
    """See that a host is called by what it is; raises InputError."""
    if role is not None and role not in ROLES:
        raise InputError(f"{field}: {role}: no such host", f"there are {' and '.join(ROLES)}")
