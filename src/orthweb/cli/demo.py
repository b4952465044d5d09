"""`orthweb demo`: a whole site in a folder of its own, shown to work."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from orthweb.cli.configuration import init
from orthweb.cli.console import changing, site_at, stdout
from orthweb.cli.send import send


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(demo)


def demo(
    folder: Annotated[
        Path, typer.Argument(metavar="[FOLDER]", help="Folder of the demo site; made when it is not there.")
    ] = Path("demo"),
) -> None:
    """Make a site, bring it up, send a real image over DICOM TLS, see it over HTTPS, and say how to look.

    The image is a CT slice that ships with pydicom, sent with 'orthweb send'.
    """
    from orthweb.local.demo import fetch_back, sample
    from orthweb.local.status import addresses
    from orthweb.site.load import SITE_FILE

    if not (folder / SITE_FILE).exists():
        init(folder, name="demo", owner="", environment="dev")
    with changing(folder, "demo") as engine:
        engine.up()
    image = sample()
    send(paths=[str(image)], site=folder)
    site, paths = site_at(folder)
    study_url = fetch_back(site, paths, image)
    user, orthweb = site.orthanc.users[0], f"{_own_command()} -C {shlex.quote(str(folder))}"
    console = stdout()
    console.print("fetched it back over HTTPS: the pixels are the same")
    console.print(f"\nThe site '{site.name}' is up and works.")
    for line in addresses(site, paths):
        console.print(f"  {line}", markup=False)
    console.print(f"\nLook at the image:  {study_url}", markup=False)
    console.print(f"  user {user}, password: {orthweb} password {user}", markup=False)
    console.print(
        f"  a browser that does not know the site's authority warns: give it {paths.pki / 'ca.crt'}",
        markup=False,
    )
    console.print("\nSend images yourself:", markup=False)
    console.print(f"  {orthweb} send FILE OR FOLDER...", markup=False)
    console.print(f"\nSee how it is: {orthweb} status     End it: {orthweb} down", markup=False)


def _own_command() -> str:
    """How a person calls this program from here: by its name, or by its path when the shell would not find it."""
    if shutil.which("orthweb"):
        return "orthweb"
    near = os.path.relpath(sys.argv[0])
    return os.path.abspath(sys.argv[0]) if near.startswith("..") else near
