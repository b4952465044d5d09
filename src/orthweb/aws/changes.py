"""What a plan is about to do, for a person: grouped by concern, and with what would cost data named."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from orthweb.render.terraform import MODULE

CREATE, UPDATE, REPLACE, DESTROY, FORGET = "create", "update", "replace", "destroy", "forget"
_ACTIONS = {"create": CREATE, "update": UPDATE, "replace": REPLACE, "delete": DESTROY, "remove": FORGET}
# What holds patients' data, or opens them.
_HOLDS_DATA = {
    "aws_db_instance": "the index of all images",
    "aws_s3_bucket": "a bucket with what is in it",
    "aws_kms_key": "the key, without which nothing can be read",
}


@dataclass(frozen=True)
class Change:
    """One resource that a plan changes.

    Attributes
    ----------
    address:
        As Terraform has it, such as `module.site.module.key.aws_kms_key.this`.
    action:
        One of `create`, `update`, `replace`, `destroy`, `forget`.
    attributes:
        Names of what changes in it; empty where that is not known.
    half_made:
        It was being made when that failed or was interrupted, and is made anew.
    """

    address: str
    kind: str
    action: str
    attributes: tuple[str, ...] = ()
    half_made: bool = False

    @property
    def concern(self) -> str:
        """The module that it belongs to, such as `network`; `site` for what joins them."""
        parts = self.address.removeprefix(f"module.{MODULE}.").split(".")
        return parts[1] if parts[0] == "module" else "site"

    @property
    def name(self) -> str:
        """The address without what is the same for all."""
        short = self.address.removeprefix(f"module.{MODULE}.")
        return short.removeprefix(f"module.{self.concern}.")

    @property
    def loses(self) -> str:
        """What is lost with it, in words; empty when nothing is."""
        return _HOLDS_DATA.get(self.kind, "") if self.action in (REPLACE, DESTROY) else ""

    @property
    def steps(self) -> int:
        """How many times Terraform says that it has done something about it."""
        return {REPLACE: 2, FORGET: 0}.get(self.action, 1)


def change_of(event: Mapping[str, Any]) -> Change | None:
    """Read a `planned_change` event; None for what changes nothing, and for other events."""
    if event.get("type") != "planned_change":
        return None
    change = event["change"]
    action = _ACTIONS.get(change["action"])
    if action is None:
        return None
    resource = change["resource"]
    return Change(resource["addr"], resource["resource_type"], action, half_made=change.get("reason") == "tainted")


def with_attributes(changes: Iterable[Change], shown: Mapping[str, Any]) -> list[Change]:
    """Add what changes in each resource, from what `show -json` says of the plan."""
    differing = {resource["address"]: _differing(resource["change"]) for resource in shown.get("resource_changes", ())}
    return [replace(change, attributes=differing.get(change.address, ())) for change in changes]


def _differing(change: Mapping[str, Any]) -> tuple[str, ...]:
    before, after = change.get("before") or {}, change.get("after") or {}
    if not before or not (after or change.get("after_unknown")):
        return ()
    unknown = {name for name, whole in (change.get("after_unknown") or {}).items() if whole is True}
    known = {name for name in {*before, *after} - unknown if before.get(name) != after.get(name)}
    # What AWS decides anew follows from the others, where there are any.
    return tuple(sorted(known or unknown))


def counts(changes: Iterable[Change]) -> dict[str, int]:
    """How many resources each action is for, in the order in which a person wants to know."""
    found = dict.fromkeys((CREATE, UPDATE, REPLACE, DESTROY, FORGET), 0)
    for change in changes:
        found[change.action] += 1
    return {action: count for action, count in found.items() if count}
