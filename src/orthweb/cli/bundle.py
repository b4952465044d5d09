"""`orthweb bundle`: the one file that a host is installed from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orthweb.cli.console import JsonOption, SiteOption, amount, print_json, site_at, speaking, stdout


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(bundle)


def bundle(
    architecture: Annotated[
        str, typer.Option("--architecture", metavar="NAME", help="What the hosts are: amd64 or arm64.")
    ] = "amd64",
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="FILE", help="The file; named after version and architecture if absent."
        ),
    ] = None,
    images: Annotated[
        bool,
        typer.Option("--images", help="Also the site's container images, from Docker here: hosts need no registry."),
    ] = False,
    wheels: Annotated[
        Path | None,
        typer.Option(
            "--wheels", metavar="FOLDER", help="Take wheels from this folder, and keep downloaded ones in it."
        ),
    ] = None,
    site: SiteOption = Path("."),
    as_json: JsonOption = False,
) -> None:
    """Build the file that a host is installed from: Orthweb and all that its host part needs.

    The same parts give the same bytes. With the wheels in a folder, no network is needed.
    """
    from orthweb.bundle.build import build_bundle, bundle_name
    from orthweb.bundle.images import host_images
    from orthweb.bundle.target import target

    machine = target(architecture)
    wanted = None
    if images:
        described, _ = site_at(site)
        wanted = host_images(described)
    with speaking("bundle") as voice:
        built = build_bundle(output or Path(bundle_name(architecture)), machine, voice, wheels, wanted)
    if as_json:
        print_json({"path": str(built.path), "size": built.size, "sha256": built.sha256})
        return
    console = stdout()
    for label, value in (("bundle", built.path), ("size", amount(built.size)), ("SHA-256", built.sha256)):
        console.print(f"{label:8} {value}", markup=False)
