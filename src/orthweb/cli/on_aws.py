"""What the commands of day two have in common: the site as its last apply left it, and how they speak."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from orthweb.cli.console import locked, site_at, speaking

if TYPE_CHECKING:
    from orthweb.aws.applied import Applied
    from orthweb.site.voice import Voice


@contextmanager
def reading(folder: Path) -> Iterator[tuple[Applied, Voice]]:
    """Look at a site on AWS, and show what is being done, while the body does not change it; raises OrthwebError."""
    from orthweb.aws.applied import applied_site
    from orthweb.site.aws import aws_of

    site, paths = site_at(folder)
    aws_of(site)
    with speaking("preparing") as voice:
        yield applied_site(site, paths, voice), voice


@contextmanager
def moving(folder: Path, command: str) -> Iterator[tuple[Applied, Voice]]:
    """As `reading`, with the site's lock held and the command in its history: the body changes the site."""
    from orthweb.aws.applied import applied_site
    from orthweb.site.aws import aws_of

    site, paths = site_at(folder)
    aws_of(site)
    with locked(site, paths, command, progress=True) as voice:
        voice.step("preparing")
        yield applied_site(site, paths, voice), voice
