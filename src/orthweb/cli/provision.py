"""`orthweb plan | apply | output | destroy`: the site on AWS."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orthweb.cli.console import JsonOption, SiteOption, escape, locked, print_json, site_at, stderr, stdout, warn
from orthweb.cli.on_aws import reading
from orthweb.cli.plans import plan_dict, show_plan, showing
from orthweb.errors import Failure, InputError

if TYPE_CHECKING:
    from orthweb.aws.provisioning import Provisioning
    from orthweb.aws.workspace import Plan

YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask, where no data would be lost.")]
ConfirmOption = Annotated[
    str | None,
    typer.Option("--confirm", metavar="NAME", help="The site's name: do not ask, even where data would be lost."),
]
CreateStateOption = Annotated[
    bool, typer.Option("--create-state", help="Make the bucket of aws.state when it is not there.")
]

# What the guide says of each.
_MEANINGS = {
    "site_address": "where browsers (HTTPS, port 443) and devices (DICOM over TLS, port 11112) reach the site",
    "host_info": "the two hosts, for Session Manager",
    "s3_bucket": "where the images are kept; only the hosts get at them",
    "db_endpoint": "where the index is kept; only the hosts get at it",
}
_KEPT = (
    "the images and the key that opens them, the logs, a last snapshot of the database, and its automated backups "
    "for as long as they last"
)


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(plan)
    app.command()(apply)
    app.command()(output)
    app.command()(destroy)


def plan(
    site: SiteOption = Path("."),
    create_state: CreateStateOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show what `apply` would do on AWS, and do nothing."""
    with _provisioning(site, "plan") as work:
        _begin(work, create_state, bundle=True, quiet=as_json)
        found = _planned(work)
    if as_json:
        print_json(plan_dict(found))
    else:
        show_plan(found)


def apply(
    site: SiteOption = Path("."),
    yes: YesOption = False,
    confirm: ConfirmOption = None,
    create_state: CreateStateOption = False,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Wait until the hosts are healthy, then validate the site.")
    ] = True,
) -> None:
    """Make the site on AWS equal to orthweb.yaml: shows what would change, asks, and does it.

    Waits then for the hosts, which say how far they are, and validates the site from here. When it fails or is
    interrupted, the same command goes on. Terraform's own words are in .orthweb/logs/terraform.log.
    """
    with _provisioning(site, "apply") as work:
        _check_confirmation(work.site.name, confirm)
        _begin(work, create_state, bundle=True)
        found = _planned(work)
        show_plan(found)
        if found.changes:
            _ask(work.site.name, "apply", found, yes, confirm)
        _carried_out(work, found)
    good = not wait or _is_well(site)
    show_outputs(work.outputs)
    if not wait:
        stderr().print(
            f"{work.site.name} is made; its hosts start by themselves: 'orthweb status' tells how far they are"
        )
    if not good:
        raise typer.Exit(1)


def _is_well(folder: Path) -> bool:
    """Wait for the hosts, then look at the site as its users do; whether all is well. Raises Failure."""
    from orthweb.aws.host_states import wait_until_healthy
    from orthweb.cli.validate import validate_quickly

    with reading(folder) as (applied, voice):
        wait_until_healthy(applied, voice)
        page = applied.paths.logs / "validation.html"
    return validate_quickly(folder, page).good


def output(site: SiteOption = Path("."), as_json: JsonOption = False) -> None:
    """Show the addresses of the site on AWS, as the last apply has left them."""
    from orthweb.aws.known import keep_outputs

    with reading(site) as (applied, _):
        outputs = dict(applied.outputs)
        keep_outputs(applied.paths, outputs)
    if as_json:
        print_json({name: outputs[name] for name in _MEANINGS} | {"site": outputs["site"]})
    else:
        show_outputs(outputs)


def destroy(site: SiteOption = Path("."), confirm: ConfirmOption = None) -> None:
    """Take the site off AWS, with its data unless it is a production site or says keep_data.

    Says first what is lost and what is kept, and looks afterwards for what is left.
    """
    with _provisioning(site, "destroy") as work:
        _check_confirmation(work.site.name, confirm)
        _begin(work)
        with _status("comparing with what is on AWS"):
            found = work.plan_destroy(lambda event: None)
        if not (found.changes or work.known):
            stderr().print(f"{work.site.name} is not on AWS: nothing to destroy")
            return
        show_plan(found)
        if work.keeps_data:
            stdout().print(f"This keeps {_KEPT}.")
        _ask(work.site.name, "destroy", found, False, confirm)
        from orthweb.aws.progress import Progress

        with showing(Progress(found.steps)) as heard:
            left = work.destroy(found, heard)
    for arn in left.ending:
        stdout().print(f"AWS deletes by itself after its waiting time: {arn}", markup=False)
    for arn, what in left.kept.items():
        stdout().print(f"kept, and paid for: {what}: {arn}", markup=False)
    if left.there:
        raise Failure(f"{work.site.name}: still on AWS: {', '.join(left.there)}", "delete it there, by hand")
    stderr().print(f"{work.site.name} is destroyed; nothing else of it is left on AWS")


def show_outputs(outputs: dict[str, Any]) -> None:
    """Print the site's addresses with what they mean."""
    console = stdout()
    for name, meaning in _MEANINGS.items():
        console.print(f"[bold]{name}[/] = {escape(str(outputs[name]))}")
        console.print(f"    {meaning}", style="dim")


@contextmanager
def _provisioning(folder: Path, command: str) -> Iterator[Provisioning]:
    """Let the body work with AWS, with the site's lock held and the command recorded."""
    from orthweb.aws.provisioning import Provisioning
    from orthweb.site.aws import aws_of

    site, paths = site_at(folder)
    aws_of(site)
    with locked(site, paths, command) as voice:
        yield Provisioning(site, paths, voice)


def _begin(work: Provisioning, create_state: bool = False, bundle: bool = False, quiet: bool = False) -> None:
    with _status("preparing"):
        identity = work.begin(create_state, bundle)
    if not quiet and work.site.aws is not None:
        stderr().print(
            f"{work.site.name} in {work.site.aws.region}, account {identity.account}, as {identity.arn}", markup=False
        )


def _planned(work: Provisioning) -> Plan:
    with _status("comparing with what is on AWS"):
        found = work.plan(lambda event: None)
    for trouble in found.warnings:
        warn(f"{trouble.summary}: {trouble.detail}")
    return found


def _carried_out(work: Provisioning, found: Plan) -> None:
    from orthweb.aws.progress import Progress

    with showing(Progress(found.steps)) as heard:
        work.apply(found, heard)


@contextmanager
def _status(text: str) -> Iterator[None]:
    console = stderr()
    if not console.is_terminal:
        yield
        return
    with console.status(text):
        yield


def _check_confirmation(name: str, confirm: str | None) -> None:
    if confirm not in (None, name):
        raise InputError(f"--confirm: {confirm}: the site is called {name}", "nothing was done")


def _ask(name: str, command: str, found: Plan, yes: bool, confirm: str | None) -> None:
    """Have a person agree; where data would be lost, by the site's name. Raises InputError when nobody does."""
    loses = bool(found.losses)
    if confirm is not None or (yes and not loses):
        return
    by_name = loses or command == "destroy"
    if not sys.stdin.isatty():
        option = f"--confirm {name}" if by_name else "--yes"
        raise InputError(f"{command}: nobody can be asked here", f"add {option} if that is meant")
    if by_name:
        if typer.prompt("Type the site's name to go on") != name:
            raise InputError(f"{command}: that is not the site's name", "nothing was done")
    elif not typer.confirm("Do this?"):
        raise InputError(f"{command}: not confirmed", "nothing was done")
