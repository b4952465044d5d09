"""Deletes orphans: objects that were old and unknown at both looks, and still are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from orthweb.audit.findings import Finding, Kind
from orthweb.audit.index import Index
from orthweb.audit.objects import Missing, Storage, Unreadable
from orthweb.audit.second_look import LEAST_AGE, names
from orthweb.audit.state import Stage, State
from orthweb.errors import Failure

_FEW = 100


def refuse_to_empty(state: State) -> None:
    """Refuse to delete more objects than the index knows: more likely the index is of another time than they.

    Raises
    ------
    Failure
        There are more than a few orphans, and more of them than known objects.
    """
    orphans, known = state.count(Stage.CONFIRMED)[Kind.ORPHAN], state.progress.pairs
    if orphans > _FEW and orphans > known:
        raise Failure(
            f"--delete-orphans: {orphans} objects are unknown to the index, and it knows {known}: that looks like an "
            "empty or old index rather than interrupted stores",
            "see that the database is the right one; add --yes if they are to be deleted",
        )


def remove_orphans(state: State, index: Index, storage: Storage, told: Callable[[int], None]) -> None:
    """Delete all confirmed orphans; `told` hears how many were looked at."""
    done = 0
    for stage, gone in ((Stage.REMOVING, Stage.REMOVED), (Stage.CONFIRMED, Stage.DROPPED)):
        for portion in state.portions(stage, Kind.ORPHAN):
            rows = index.known({finding.uuid for finding in portion})
            unknown = [one for one in portion if not any(names(row, one, storage) for row in rows.get(one.uuid, ()))]
            state.settle(Stage.DROPPED, set(portion) - set(unknown))
            # Whoever kills this process finds out afterwards which of them it had come to.
            state.settle(Stage.REMOVING, unknown)
            state.save()
            for finding in unknown:
                became, finding = _remove(finding, storage, gone)
                state.settle(became, [finding])
                done += 1
                told(done)
            state.save()


def _remove(finding: Finding, storage: Storage, gone: Stage) -> tuple[Stage, Finding]:
    try:
        removed = storage.remove(finding.name, LEAST_AGE)
    except Missing:
        return gone, finding
    except Unreadable as error:
        return Stage.CONFIRMED, replace(finding, detail=f"cannot be deleted: {error}")
    if not removed:
        return Stage.CONFIRMED, replace(finding, detail="not deleted: it has just been written to, or is a link by now")
    return Stage.REMOVED, finding
