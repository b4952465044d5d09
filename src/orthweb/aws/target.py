"""A site on AWS as validation takes it: its public address, seen from outside alone."""

from __future__ import annotations

from orthweb.aws.known import site_address
from orthweb.errors import Failure
from orthweb.pki.own_device import own_device
from orthweb.site.model import Site
from orthweb.site.paths import SitePaths
from orthweb.validation.of_site import outer_target
from orthweb.validation.target import Target


def aws_target(site: Site, paths: SitePaths) -> Target:
    """Describe the site to validation; raises Failure when it has not been applied from here."""
    address = site_address(paths)
    # Not one that is made here on the way: the site would not know it.
    if not (paths.pki / "ca.key").exists():
        raise Failure(
            f"{paths.pki}: the site's authority is not on this machine",
            "bring it with 'orthweb certs import', from whoever made the site ('orthweb certs export')",
        )
    return outer_target(site, paths, own_device(paths, site), address, (*site.tls.names, address))
