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
from orthweb.cli.validate import validate_quickly


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(demo)


def demo(
    folder: Annotated[
        Path, typer.Argument(metavar="[FOLDER]", help="Folder of the demo site; made when it is not there.")
    ] = Path("demo"),
) -> None:
    """Make a site, bring it up, send a real image over DICOM TLS, validate the site, and say how to look.

    The image is a CT slice that ships with pydicom, sent with 'orthweb send'. The validation leaves out what takes
    seconds. The exit status is 1 when a check failed.
    """
    from orthweb.running.overview import addresses, web_address
    from orthweb.site.load import SITE_FILE

    if not (folder / SITE_FILE).exists():
        init(folder, name="demo", owner="", environment="dev")
    with changing(folder, "demo") as engine:
        engine.up()
    image = _sample()
    send(paths=[str(image)], site=folder)
    page = folder / "validation.html"
    report = validate_quickly(folder, page)
    site, paths = site_at(folder)
    user, orthweb = site.orthanc.users[0], f"{_own_command()} -C {shlex.quote(str(folder))}"
    console = stdout()
    if not report.good:
        console.print(f"\nThe site '{site.name}' is up, and not all of it works: see above.", markup=False)
        raise typer.Exit(1)
    console.print(f"\nThe site '{site.name}' is up and works.", markup=False)
    for line in addresses(site, paths):
        console.print(f"  {line}", markup=False)
    study = f"{web_address(site, 'localhost')}/app/explorer.html#study?uuid={_study_of(image)}"
    console.print(f"\nLook at the image:  {study}", markup=False)
    console.print(f"  user {user}, password: {orthweb} password {user}", markup=False)
    console.print(
        f"  a browser that does not know the site's authority warns: give it {paths.pki / 'ca.crt'}",
        markup=False,
    )
    console.print("\nSend images yourself:", markup=False)
    console.print(f"  {orthweb} send FILE OR FOLDER...", markup=False)
    console.print(f"\nThe evidence of the validation: {page}     All checks: {orthweb} validate", markup=False)
    console.print(f"See how it is: {orthweb} status     End it: {orthweb} down", markup=False)


def _sample() -> Path:
    """A CT slice that ships with pydicom."""
    from pydicom.data import get_testdata_file

    return Path(str(get_testdata_file("CT_small.dcm")))


def _study_of(image: Path) -> str:
    """Orthanc's identifier of the study that an image belongs to."""
    from pydicom import dcmread

    from orthweb.validation.samples.test_data import orthanc_id

    dataset = dcmread(image, specific_tags=["PatientID", "StudyInstanceUID"])
    return orthanc_id(dataset.PatientID, dataset.StudyInstanceUID)


def _own_command() -> str:
    """How a person calls this program from here: by its name, or by its path when the shell would not find it."""
    if shutil.which("orthweb"):
        return "orthweb"
    near = os.path.relpath(sys.argv[0])
    return os.path.abspath(sys.argv[0]) if near.startswith("..") else near
