"""`orthweb failover | standby`: where the address of a site on AWS is, and whether the other host runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orthweb.cli.console import JsonOption, SiteOption, print_json, stderr, stdout, warn
from orthweb.cli.on_aws import moving, reading
from orthweb.errors import Failure

if TYPE_CHECKING:
    from orthweb.aws.failover import Look
    from orthweb.aws.hosts import Host
    from orthweb.aws.moving import Looks, Work
    from orthweb.aws.outside import Answer

TimeoutOption = Annotated[
    int, typer.Option(min=1, max=86400, metavar="SECONDS", help="How long a host may take until it is healthy.")
]
RoleArgument = Annotated[
    str | None,
    typer.Argument(metavar="primary|secondary", show_default="the one without the address"),
]
standby = typer.Typer(help="The host that has not the site's address: let it run, or save its hours.")


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(failover)
    app.add_typer(standby, name="standby", no_args_is_help=True)


def failover(
    site: SiteOption = Path("."),
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="primary|secondary", help="The host.", show_default="the one without the address"),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Look at both hosts and say what would be done.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Move the address also to a host that is not healthy.")
    ] = False,
    timeout: TimeoutOption = 900,
    as_json: JsonOption = False,
) -> None:
    """Move the site's address to the other host, once that is healthy: started if need be, and verified from outside.

    When it is interrupted, the same command goes on. The exit status is 1 when the site does not answer afterwards.
    """
    from orthweb.aws import moving as steps
    from orthweb.aws.applied import check_role
    from orthweb.aws.failover import choose_target
    from orthweb.aws.outside import doors_of

    check_role(to, "--to")
    with reading(site) if dry_run else moving(site, "failover") as (applied, voice):
        interrupted = None if to else steps.remembered(applied.paths)
        work = steps.Work(applied, doors_of(applied), voice, float(timeout), force)
        with work.timed("looked at both hosts"):
            looks = steps.look(applied, work.doors)
        target = to or interrupted or choose_target({role: each.host for role, each in looks.items()})
        if interrupted is not None:
            voice.say(f"going on with the failover to {target}, which was interrupted")
        if not as_json:
            _show_hosts(looks)
        told: dict[str, Any] = {
            "address": applied.address,
            "target": target,
            "hosts": {role: _host_dict(each) for role, each in looks.items()},
        }
        if dry_run:
            _rehearse(work, target, looks, told, as_json)
            return
        moved = not looks[target].host.holds_address
        if moved:
            _move(work, target, looks)
        else:
            voice.say(f"{applied.address} is at {target} already")
        with work.timed("asked for the site from outside"):
            answer = steps.verify(work)
        steps.forget(applied.paths)
    complaint = _complaint(answer)
    told |= {"moved": moved, "verified": not complaint, "complaint": complaint or None, "seconds": work.seconds}
    line = f"{applied.address} is at {target}" + ("" if complaint else ", and the site answers there")
    _tell(as_json, told, line)
    if complaint:
        other = next(role for role in looks if role != target)
        raise Failure(
            f"the site does not answer at {applied.address}: {complaint}",
            f"'orthweb connect {target}' looks at the host; 'orthweb failover --to {other}' goes back",
        )


def _move(work: Work, target: str, looks: Looks) -> None:
    from orthweb.aws import moving as steps

    steps.remember(work.applied.paths, target)
    try:
        with work.timed(f"{target} is ready"):
            steps.bring_up(work, target, looks)
    except Failure:
        # Nothing has moved: the next call chooses anew.
        steps.forget(work.applied.paths)
        raise
    with work.timed(f"moved {work.applied.address} to {target}"):
        steps.move_address(work, target)


def _rehearse(work: Work, target: str, looks: Looks, told: dict[str, Any], as_json: bool) -> None:
    """Say what would be done; raises Failure where that is nothing."""
    from orthweb.aws.failover import Action, refusal
    from orthweb.aws.moving import first_step

    if looks[target].host.holds_address:
        would, why = "verify", f"the address is at {target} already"
    else:
        step = first_step(work, target, looks)
        would, why = step.action.value, step.why
    moving_on = f"then move {work.applied.address} to it, and ask for the site from outside"
    said = {
        "verify": f"would only ask for the site: {why}",
        Action.START.value: f"would start {target}, wait until it is healthy, {moving_on}",
        Action.WAIT.value: f"would wait until {target} is healthy ({why}), {moving_on}",
        Action.MOVE.value: f"would find {target} {'ready' if not why else f'not healthy ({why})'}, {moving_on}",
        Action.REFUSE.value: f"would not move {work.applied.address} to {target}",
    }[would]
    _tell(as_json, {**told, "dry_run": True, "would": would, "why": why}, said)
    if would == Action.REFUSE.value:
        raise refusal(looks[target], why)


def _standby(work: Work, role: str | None) -> tuple[Host, Host]:
    """The host that is meant, and the other one: without a word, the one that has not the address."""
    from orthweb.aws.applied import ROLES
    from orthweb.aws.hosts import look_at_hosts

    hosts = look_at_hosts(work.applied)
    without = [each for each in ROLES if not hosts[each].holds_address]
    if role is None and len(without) != 1:
        raise Failure("none of the hosts has the site's address", "'orthweb failover --to primary' gives it to one")
    chosen = role or without[0]
    return hosts[chosen], hosts[next(each for each in ROLES if each != chosen)]


def _show_hosts(looks: Looks) -> None:
    for each in looks.values():
        stdout().print(f"{host_line(each.host)}; from outside: {_seen(each) or 'well'}", markup=False)


def host_line(host: Host) -> str:
    """A host in one line, as EC2 tells of it."""
    checks = host.system_check
    if host.system_check != host.instance_check:
        checks = f"system {host.system_check}, instance {host.instance_check}"
    checked = "" if host.state != "running" else f", EC2's checks: {checks}"
    address = f"{host.address}, the site's" if host.holds_address else host.address or "none"
    return f"{host.role} {host.id}: {host.state} in {host.zone}{checked}, address: {address}"


def _seen(each: Look) -> str:
    """What is wrong with it from outside, or why it was not seen; empty when it is well."""
    if each.answer is not None:
        return each.answer.complaint
    return each.unseen or "not asked"


def _host_dict(each: Look) -> dict[str, Any]:
    answer = each.answer
    return {
        **host_dict(each.host),
        "from_outside": None if answer is None else {"well": answer.well, "complaint": answer.complaint or None},
    }


def host_dict(host: Host) -> dict[str, Any]:
    """A host as data, for scripts."""
    return {**vars(host), "started": host.started.isoformat() if host.started else None}


def _complaint(answer: Answer | None) -> str:
    if answer is None:
        return "it cannot be asked without the site's authority (.orthweb/pki/ca.crt), which is not on this machine"
    if answer.silent:
        return f"{answer.complaint}, or this machine is not in web.allowed_cidrs"
    return answer.complaint


def _tell(as_json: bool, told: dict[str, Any], line: str) -> None:
    if as_json:
        print_json(told)
    else:
        stdout().print(line, markup=False)


@standby.command("stop")
def standby_stop(role: RoleArgument = None, site: SiteOption = Path(".")) -> None:
    """Stop the host that has not the site's address; the site goes on."""
    from orthweb.aws.applied import check_role
    from orthweb.aws.hosts import RUNNING
    from orthweb.aws.moving import Work, stop

    check_role(role, "standby stop")
    with moving(site, "standby stop") as (applied, voice):
        work = Work(applied, None, voice, 0.0)
        chosen, other = _standby(work, role)
        if not chosen.holds_address and (other.state != RUNNING or other.failed_checks):
            warn(f"{other.role}, which has the address, is not well: 'orthweb failover' may be what is wanted")
        voice.step(f"stopping {chosen.role}")
        done = stop(work, chosen.role)
    stderr().print(
        f"{chosen.role} is stopped{'' if done else ' already'}. Saved: the hours of a {chosen.type} and of its public "
        "address; its disk goes on to cost. In exchange a failover takes minutes instead of seconds, because the host "
        "has to start and boot first: 'orthweb standby start' has it ready again.",
        markup=False,
    )


@standby.command("start")
def standby_start(role: RoleArgument = None, site: SiteOption = Path("."), timeout: TimeoutOption = 900) -> None:
    """Start the host that has not the site's address, and wait until it is healthy."""
    from orthweb.aws.applied import check_role
    from orthweb.aws.moving import Work, bring_up
    from orthweb.aws.outside import doors_of

    check_role(role, "standby start")
    with moving(site, "standby start") as (applied, voice):
        work = Work(applied, doors_of(applied), voice, float(timeout), forcible=False)
        chosen, _ = _standby(work, role)
        with work.timed(f"{chosen.role} is ready"):
            bring_up(work, chosen.role)
    ready = "the site's address is with it" if chosen.holds_address else "a failover to it takes seconds"
    stderr().print(
        f"{chosen.role} runs: {ready}. The hours of a {chosen.type} and of its public address are counted again.",
        markup=False,
    )
