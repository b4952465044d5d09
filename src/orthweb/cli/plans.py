"""How a plan, its progress and its end look to a person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from orthweb.cli.console import escape, stderr, stdout

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

    from orthweb.aws.changes import Change
    from orthweb.aws.progress import Progress
    from orthweb.aws.running import Event
    from orthweb.aws.workspace import Plan

_VERBS = {"create": "make", "update": "change", "replace": "replace", "destroy": "destroy", "forget": "let go"}
_STYLES = {"update": "yellow", "replace": "red", "destroy": "red"}
_ATTRIBUTES_SHOWN = 6
# Off a terminal, only what somebody may have waited for is worth a line.
_WORTH_A_LINE_SECONDS = 10


def show_plan(plan: Plan) -> None:
    """Print what a plan does, by concern, and by name what it does to things that are there."""
    from rich import box
    from rich.table import Table

    from orthweb.aws.changes import counts

    console = stdout()
    for address in plan.deleted:
        console.print(f"deleted by hand since the last apply: {escape(address)}")
    if not plan.changes:
        console.print("Nothing would change.")
        return
    actions = counts(plan.changes)
    table = Table("CONCERN", *(_VERBS[action].upper() for action in actions), box=box.SIMPLE_HEAD, pad_edge=False)
    found = Counter((change.concern, change.action) for change in plan.changes)
    for concern in sorted({change.concern for change in plan.changes}):
        table.add_row(concern, *(str(found[concern, action] or "") for action in actions))
    table.add_section()
    table.add_row("all", *(str(count) for count in actions.values()))
    console.print(table)
    for change in plan.changes:
        # That a destroy destroys is said above.
        if change.action in _STYLES and not plan.destroys:
            style = _STYLES[change.action]
            console.print(f"[{style}]{_VERBS[change.action]}[/] {escape(_described(change))}")
    for change in plan.losses:
        console.print(f"[bold red]This {change.action}s {change.loses}:[/] {escape(change.address)}")


def plan_dict(plan: Plan) -> dict[str, Any]:
    """Give a plan as data, for scripts."""
    return {
        "changes": [
            {
                "address": change.address,
                "action": change.action,
                "concern": change.concern,
                "attributes": list(change.attributes),
                "loses": change.loses or None,
            }
            for change in plan.changes
        ],
        "deleted_by_hand": plan.deleted,
        "warnings": [f"{trouble.summary}: {trouble.detail}" for trouble in plan.warnings],
    }


@contextmanager
def showing(progress: Progress) -> Iterator[Callable[[Event], None]]:
    """Show how far Terraform is while the body runs; gives what has to hear its events."""
    console = stderr()
    if not console.is_terminal:
        yield lambda event: _plain(progress, event)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=progress.total)
        yield lambda event: _live(progress, event, bar, task)


def _plain(progress: Progress, event: Event) -> None:
    line = progress.hear(event)
    if event.get("type") == "interrupted":
        stderr().print(_INTERRUPTED)
    if line and event["hook"].get("elapsed_seconds", 0) >= _WORTH_A_LINE_SECONDS:
        stderr().print(f"{progress.done} of {progress.total}: {line}", markup=False)


def _live(progress: Progress, event: Event, bar: Bar, task: TaskID) -> None:
    progress.hear(event)
    if event.get("type") == "interrupted":
        bar.console.print(_INTERRUPTED)
    longest = progress.longest()
    text = ""
    if longest is not None:
        step, seconds = longest
        others = f" and {len(progress.running) - 1} more" if len(progress.running) > 1 else ""
        why = f" ({step.why})" if step.why else ""
        text = f"{step.what}, {seconds:.0f} s{others}{why}"
    bar.update(task, completed=progress.done, description=escape(text))


_INTERRUPTED = "interrupted: Terraform finishes what it has begun and writes its state"


def _described(change: Change) -> str:
    if change.half_made:
        return f"{change.address}: was only half made"
    names = change.attributes
    if not names:
        return change.address
    more = f" and {len(names) - _ATTRIBUTES_SHOWN} more" if len(names) > _ATTRIBUTES_SHOWN else ""
    return f"{change.address}: {', '.join(names[:_ATTRIBUTES_SHOWN])}{more}"
