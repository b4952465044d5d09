"""`orthweb connect`: a shell on a host of a site on AWS, and the log of its boot."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orthweb.cli.console import SiteOption, site_at
from orthweb.cli.on_aws import reading
from orthweb.errors import Failure, InputError

if TYPE_CHECKING:
    from orthweb.aws.applied import Applied
    from orthweb.aws.hosts import Host


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(connect)


def connect(
    role: Annotated[
        str | None, typer.Argument(metavar="primary|secondary", show_default="the one with the address; --log: both")
    ] = None,
    site: SiteOption = Path("."),
    ssh_config: Annotated[
        bool, typer.Option("--ssh-config", help="Print what ~/.ssh/config needs for 'ssh INSTANCE' without a port.")
    ] = False,
    log: Annotated[
        bool, typer.Option("--log", help="Follow the log of the hosts' boot instead; Ctrl-C ends it.")
    ] = False,
) -> None:
    """Open a shell on a host through Session Manager, which needs no open port."""
    from orthweb.aws import sessions
    from orthweb.aws.applied import check_role
    from orthweb.aws.hosts import RUNNING, look_at_hosts
    from orthweb.site.aws import aws_of

    check_role(role, "connect")
    if ssh_config and log:
        raise InputError("--ssh-config and --log do not go together", "give one of them")
    described, paths = site_at(site)
    if ssh_config:
        sys.stdout.write(sessions.ssh_config(aws_of(described), paths.root))
        return
    if not log:
        aws_of(described)
        sessions.check_programs()
    with reading(site) as (applied, _voice):
        hosts = look_at_hosts(applied)
    chosen = [hosts[role]] if role else [host for host in hosts.values() if host.holds_address or log]
    if log:
        _follow(applied, chosen)
        return
    if not chosen:
        raise InputError("connect: none of the hosts has the site's address", "name one: primary or secondary")
    if chosen[0].state != RUNNING:
        raise Failure(f"{chosen[0].role} is {chosen[0].state}", "'orthweb standby start' starts it")
    command = sessions.shell_command(chosen[0].id, applied.account.aws)
    sys.stdout.flush()
    os.execvp(command[0], command)  # noqa: S606


def _follow(applied: Applied, hosts: Sequence[Host]) -> None:
    """Show the boot log since the hosts were last started, and go on until Ctrl-C."""
    from orthweb.aws.sessions import boot_lines

    started = [int(host.started.timestamp() * 1000) for host in hosts if host.started is not None]
    roles = {host.id: host.role for host in hosts}
    # Ctrl-C is how a person ends this: nothing was interrupted.
    with contextlib.suppress(KeyboardInterrupt):
        for lines in boot_lines(applied, roles, min(started, default=0)):
            for line in lines:
                sys.stdout.write(f"{line.stream}: {line.text}\n" if len(hosts) > 1 else f"{line.text}\n")
            sys.stdout.flush()
