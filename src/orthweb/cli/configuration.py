"""`orthweb init | render | schema`: the description of a site and what is made of it."""

from __future__ import annotations

import difflib
import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from orthweb.cli.console import JsonOption, SiteOption, print_json, site_here, stderr, stdout, warn
from orthweb.errors import InputError

EnvironmentOption = Annotated[
    str, typer.Option(help="What the site is for: dev, test, staging or production.", metavar="ENVIRONMENT")
]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(init)
    app.command()(render)
    app.command()(schema)


def init(
    site: SiteOption = Path("."),
    name: Annotated[
        str | None, typer.Option(help="Name of the site; the folder's when left out.", metavar="NAME")
    ] = None,
    owner: Annotated[str, typer.Option(help="Who answers for the site.", metavar="OWNER")] = "",
    environment: EnvironmentOption = "dev",
    aws: Annotated[bool, typer.Option("--aws", help="For a site on AWS.")] = False,
    region: Annotated[
        str | None,
        typer.Option(
            help="Region of AWS; with --aws.", metavar="REGION", show_default="that of your AWS configuration"
        ),
    ] = None,
) -> None:
    """Write a short commented orthweb.yaml, and its JSON Schema for editors.

    A site on this machine gets ports that are free here.
    """
    from orthweb.site.example import example, example_on_aws, schema_text
    from orthweb.site.files import write_file
    from orthweb.site.load import SCHEMA_FILE, SITE_FILE, parse_site

    path = site / SITE_FILE
    if path.exists():
        raise InputError(f"{path}: is there already", "edit it, or choose another folder with -C")
    if site.exists() and not site.is_dir():
        raise InputError(f"{site}: is not a folder", "choose another with -C")
    if region is not None and not aws:
        raise InputError("--region: is for a site on AWS", "add --aws, or leave it out")
    name = name or _name_of(site.resolve())
    if aws:
        text = example_on_aws(name, owner, environment, region or _usual_region())
    else:
        text = example(name, owner, environment, *_free_ports())
    parse_site(text)
    site.mkdir(parents=True, exist_ok=True)
    write_file(site / SCHEMA_FILE, schema_text(), 0o644)
    write_file(path, text, 0o644)
    brings = "'orthweb plan' shows what it would make on AWS" if aws else "'orthweb up' brings the site up"
    stderr().print(f"wrote {path}; {brings}")


def render(site: SiteOption = Path("."), as_json: JsonOption = False) -> None:
    """Show what `up` would write for the site's processes, and how it differs from what is there.

    Passwords are never shown.
    """
    from orthweb.host.own import OwnHost
    from orthweb.local.config import read_rendered
    from orthweb.local.engine import Engine
    from orthweb.site.mark import COMPOSE, engine_of
    from orthweb.site.voice import Voice

    described, paths = site_here(site, "render", "'orthweb plan' shows what would change there")
    voice = Voice(say=lambda _: None, warn=warn, step=lambda _: None)
    in_containers = engine_of(paths) == COMPOSE
    files = (OwnHost if in_containers else Engine)(described, paths, voice).preview()
    # The proxy's filter is no text, and the same in every site; what begins with a dot is not rendered.
    present = {
        str(path.relative_to(paths.config))
        for path in paths.config.rglob("*")
        if path.is_file() and path.suffix != ".wasm" and not path.name.startswith(".")
    }
    changes: dict[str, str] = {}
    diffs: list[str] = []
    for path in sorted({*files, *present}):
        old = read_rendered(paths.config / path)
        new = files[path].text if path in files else None
        changes[path] = "unchanged" if old == new else "new" if old is None else "removed" if new is None else "changed"
        if old != new:
            secret = path in files and files[path].secret
            diffs += [f"{path}: holds passwords, not shown"] if secret or new is None else _difference(path, old, new)
    if as_json:
        print_json(changes)
        return
    console = stdout()
    for path, change in changes.items():
        console.print(f"{change:10} {path}", style="dim" if change == "unchanged" else "")
    for line in diffs:
        style = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "") if console.is_terminal else ""
        console.print(line, style=style, markup=False)


def schema() -> None:
    """Print the JSON Schema of orthweb.yaml, for editors."""
    from orthweb.site.example import schema_text

    sys.stdout.write(schema_text())


def _difference(path: str, old: str | None, new: str) -> list[str]:
    lines = difflib.unified_diff(
        (old or "").splitlines(), new.splitlines(), f"{path} (there)", f"{path} (new)", lineterm=""
    )
    return list(lines)


def _name_of(folder: Path) -> str:
    name = re.sub(r"[^a-z0-9]+", "-", folder.name.lower()).strip("-")[:32].strip("-")
    return name if re.fullmatch(r"[a-z].+", name) else "my-site"


def _usual_region() -> str:
    """The region that a person's AWS configuration names."""
    from orthweb.aws.account import usual_region

    found = usual_region()
    if found is None:
        raise InputError("--region: your AWS configuration names none", "name one, such as --region eu-central-1")
    return found


def _free_ports() -> tuple[int, int]:
    from orthweb.local.account import lowest_port
    from orthweb.local.sockets import first_free, is_free

    web = 443 if lowest_port() <= 443 and is_free(443) else first_free(8443)
    return web, first_free(11112, {web})
