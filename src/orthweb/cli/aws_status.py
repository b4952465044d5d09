"""How a site on AWS looks to a person: `orthweb status` for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from orthweb.cli.console import escape, print_json, stdout

_STYLES = {"ALARM": "red", "OK": "green"}


def show_status(folder: Path, as_json: bool) -> bool:
    """Show how a site on AWS is; returns whether it is well. Raises OrthwebError."""
    from orthweb.aws.overview import overview
    from orthweb.cli.day_two import host_dict
    from orthweb.cli.on_aws import reading

    with reading(folder) as (applied, voice):
        voice.step("asking AWS, and the site")
        state = overview(applied)
    if as_json:
        states = {role: told.__dict__ for role, told in state["host_states"].items()}
        print_json({**state, "hosts": [host_dict(host) for host in state["hosts"]], "host_states": states})
    else:
        _show(state)
    return bool(state["healthy"])


def _show(state: dict[str, Any]) -> None:
    from rich import box
    from rich.table import Table

    from orthweb.cli.day_two import host_line

    console = stdout()
    verdict = "[green]healthy[/]" if state["healthy"] else "[red]not healthy[/]"
    console.print(f"[bold]{state['name']}[/] ({state['environment']}) in {state['region']} is {verdict}")
    for trouble in state["troubles"]:
        console.print(f"  {escape(trouble)}")
    address = state["address"]
    console.print(
        f"address {address['address']}, at {address['host'] or 'none of the hosts'}: "
        f"HTTPS {_answers(address['web'])}, DICOM {_answers(address['dicom'])}"
    )
    for host in state["hosts"]:
        console.print(host_line(host), markup=False)
        console.print(f"  {state['host_states'][host.role].words}", markup=False)
    database = state["database"]
    where = f"in two zones, {database['zone']} first" if database["multi_az"] else f"in {database['zone'] or '-'} alone"
    waiting = f"; waiting for its maintenance window: {', '.join(database['pending'])}" if database["pending"] else ""
    version = database["engine_version"] or "-"
    console.print(f"database {database['name']}: {database['status']}, PostgreSQL {version}, {where}{waiting}")
    table = Table("ALARM", "STATE", "SINCE", box=box.SIMPLE_HEAD, pad_edge=False)
    for alarm in state["alarms"]:
        style = _STYLES.get(alarm["state"], "dim")
        since = alarm["since"].strftime("%Y-%m-%d %H:%M UTC") if alarm["since"] else "-"
        table.add_row(alarm["name"], f"[{style}]{alarm['state']}[/]", since)
    console.print(table)
    certificate, versions = state["certificate"], state["versions"]
    days = certificate["days_left"]
    console.print(f"certificate: {'none' if days is None else f'{days} days left'} ({certificate['seen']})")
    images = " and ".join(image for image in (versions["orthanc_image"], versions["envoy_image"]) if image)
    console.print(
        f"applied by Orthweb {versions['applied_by'] or '-'}, this is {versions['orthweb']}; "
        f"images: {images or 'those of the bundle'}"
    )


def _answers(well: bool | None) -> str:
    if well is None:
        return "was not asked"
    return "[green]answers[/]" if well else "[red]does not answer as it has to[/]"
