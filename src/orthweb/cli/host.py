"""`orthweb host up | status | refresh | upgrade | down`: what an EC2 instance runs at boot, and on day two."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orthweb.cli.console import JsonOption, print_json, speaking, stderr, stdout
from orthweb.errors import Failure

if TYPE_CHECKING:
    from orthweb.host.on_aws import AwsHost

FileOption = Annotated[
    Path,
    typer.Option("--file", metavar="FILE", help="What the user data wrote.", show_default=True),
]
_FILE = Path("/etc/orthweb/host.json")


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    host = typer.Typer(no_args_is_help=True, help="What a host of a site on AWS runs, at boot and on day two.")
    host.command()(up)
    host.command()(status)
    host.command()(refresh)
    host.command()(upgrade)
    host.command()(down)
    app.add_typer(host, name="host")


def up(file: FileOption = _FILE) -> None:
    """Make this host what its site says, and wait until it is healthy.

    Waits for what comes by itself: values, secrets, the database. A second call changes only what differs.
    """
    with _host(file, "host up") as host:
        changed = host.up()
    stderr().print("the host is healthy" + ("" if changed else "; nothing had to change"))


def status(as_json: JsonOption = False) -> None:
    """Show how this host is, as its last command told. Exit status 1 where it is not healthy."""
    from orthweb.host.paths import HostPaths
    from orthweb.host.report import HEALTHY, State, read_state

    state = read_state(HostPaths().state) or State("unknown", "nothing was told since this host started", "", "")
    if as_json:
        print_json(state.__dict__)
    else:
        stdout().print(f"{state.state}: {state.message}" + (f" (since {state.since})" if state.since else ""))
    raise typer.Exit(0 if state.state == HEALTHY else 1)


def refresh(file: FileOption = _FILE) -> None:
    """Take what is new: a rotated password, another certificate, users, settings. A timer calls it.

    Replicas that have to be restarted are, one after the other, once they are at rest.
    """
    with _host(file, "host refresh") as host:
        changed = host.refresh()
    stderr().print("what is new was taken" if changed else "nothing had to be restarted")


def upgrade(
    file: FileOption = _FILE,
    schema: Annotated[
        bool, typer.Option("--schema", help="The database's schema may change: a snapshot of it was made.")
    ] = False,
) -> None:
    """Take the bundle and the images that the site names now, one replica after the other.

    At the first that does not become healthy the host goes back to what it ran.
    """
    with _host(file, "host upgrade") as host:
        newer = host.newer()
        changed = newer is None and host.upgrade(schema)
    if newer is not None:
        _hand_over(newer, file, schema)
        changed = True
    stderr().print("the host is upgraded" if changed else "the host runs already what the site names")


def _hand_over(newer: Path, file: Path, schema: bool) -> None:
    """Have the Orthweb of another bundle upgrade the host; go back where it does not succeed, and raise Failure."""
    import subprocess

    from orthweb.host.installing import adopt

    command = [str(newer / "bin/orthweb"), "host", "upgrade", "--file", str(file), *(["--schema"] if schema else [])]
    if subprocess.run(command, check=False).returncode == 0:
        adopt(newer)
        return
    with _host(file, "host up") as host:
        host.up()
    raise Failure("the newer bundle does not work on this host, which runs the one before again", "its reason is above")


def down(
    file: FileOption = _FILE,
    drain: Annotated[
        float, typer.Option("--drain", min=0, max=3600, metavar="SECONDS", help="How long associations may take.")
    ] = 30,
) -> None:
    """End the site on this host; images and database are elsewhere and stay."""
    with _host(file, "host down") as host:
        done = host.down(drain)
    stderr().print("the site is down on this host" if done else "nothing ran")


@contextmanager
def _host(file: Path, command: str) -> Iterator[AwsHost]:
    import orthweb
    from orthweb.host.lock import host_lock
    from orthweb.host.on_aws import AwsHost
    from orthweb.host.paths import HostPaths
    from orthweb.host.report import Report
    from orthweb.host.values import read_host_file

    paths, told = HostPaths(), read_host_file(file)
    with speaking(command if sys.stderr.isatty() else None) as voice, host_lock(paths.lock, command, voice.say):
        yield AwsHost(told, paths, Report(paths.state, voice, orthweb.__version__))
