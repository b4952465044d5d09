"""What Terraform says, as a person gets it: changes, progress and troubles."""

from __future__ import annotations

from typing import Any

import pytest

from orthweb.aws.changes import Change, change_of, counts, with_attributes
from orthweb.aws.progress import Progress
from orthweb.aws.troubles import Trouble, explain, trouble_of
from orthweb.aws.workspace import Plan

_DATABASE = "module.site.module.database.aws_db_instance.this"


def _planned(address: str, kind: str, action: str) -> dict[str, Any]:
    resource = {"addr": address, "resource_type": kind}
    return {"type": "planned_change", "change": {"resource": resource, "action": action}}


def _hook(kind: str, address: str, action: str, **more: Any) -> dict[str, Any]:
    resource = {"addr": address, "resource_type": address.split(".")[-2]}
    return {"type": kind, "hook": {"resource": resource, "action": action, **more}}


def test_a_change_belongs_to_the_concern_whose_module_it_is_in() -> None:
    change = Change(_DATABASE, "aws_db_instance", "create")
    assert (change.concern, change.name) == ("database", "aws_db_instance.this")
    assert Change("module.site.aws_s3_object.values", "aws_s3_object", "create").concern == "site"


@pytest.mark.parametrize(
    ("action", "loses"),
    [("create", False), ("update", False), ("replace", True), ("delete", True), ("remove", False)],
)
def test_what_would_cost_data_is_told_from_what_would_not(action: str, loses: bool) -> None:
    for kind in ("aws_db_instance", "aws_s3_bucket", "aws_kms_key"):
        change = change_of(_planned(f"module.site.module.x.{kind}.this", kind, action))
        assert change is not None and bool(change.loses) is loses
    harmless = change_of(_planned("module.site.module.x.aws_subnet.this", "aws_subnet", action))
    assert harmless is not None and not harmless.loses


def test_what_was_only_half_made_held_nothing_before_the_site_was_first_finished() -> None:
    event = _planned(_DATABASE, "aws_db_instance", "replace")
    event["change"]["reason"] = "tainted"
    change = change_of(event)
    assert change is not None
    assert not Plan([change], finished=False).losses
    assert Plan([change], finished=True).losses
    whole = Change(_DATABASE, "aws_db_instance", "replace")
    assert Plan([whole], finished=False).losses


def test_what_is_only_read_is_no_change() -> None:
    assert change_of(_planned("module.site.data.aws_region.current", "aws_region", "read")) is None
    assert change_of(_planned(_DATABASE, "aws_db_instance", "noop")) is None
    assert change_of({"type": "version"}) is None


def test_counts_are_by_action() -> None:
    changes = [Change("a", "b", action) for action in ("destroy", "create", "create")]
    assert counts(changes) == {"create": 2, "destroy": 1}


def test_what_changes_in_a_resource_is_named() -> None:
    def shown(before: dict[str, Any], after: dict[str, Any], unknown: dict[str, Any]) -> tuple[str, ...]:
        change = {"before": before, "after": after, "after_unknown": unknown}
        told = {"resource_changes": [{"address": "a", "change": change}]}
        return with_attributes([Change("a", "b", "update")], told)[0].attributes

    assert shown({"size": 1, "name": "x"}, {"size": 2, "name": "x"}, {}) == ("size",)
    # What follows from it is left out, and said only where there is nothing else.
    assert shown({"size": 1, "version": 1}, {"size": 2}, {"version": True}) == ("size",)
    assert shown({"version": 1}, {}, {"version": True}) == ("version",)


def test_progress_counts_what_the_plan_counts() -> None:
    now = 0.0
    progress = Progress(3, lambda: now)
    progress.hear(_hook("apply_start", "data.aws_region.current", "read"))
    progress.hear(_hook("apply_complete", "data.aws_region.current", "read"))
    assert (progress.done, progress.longest()) == (0, None)
    progress.hear(_hook("apply_start", _DATABASE, "create"))
    now = 7.0
    progress.hear(_hook("apply_start", "module.site.module.hosts.aws_eip.this", "create"))
    longest = progress.longest()
    assert longest is not None
    step, seconds = longest
    assert (step.what, seconds) == ("making module.database.aws_db_instance.this", 7.0)
    assert "10 to 15 minutes" in step.why
    told = progress.hear(_hook("apply_complete", _DATABASE, "create", elapsed_seconds=93))
    assert told == "making module.database.aws_db_instance.this: done after 93 s"
    assert progress.done == 1
    progress.hear(_hook("apply_errored", "module.site.module.hosts.aws_eip.this", "create"))
    assert (progress.done, progress.longest(), len(progress.failed)) == (1, None, 1)


def test_a_replaced_resource_is_two_steps() -> None:
    assert [Change("a", "b", action).steps for action in ("create", "update", "replace", "destroy", "forget")] == [
        1, 1, 2, 1, 0
    ]  # fmt: skip
    progress = Progress(2)
    for action in ("delete", "create"):
        progress.hear(_hook("apply_start", _DATABASE, action))
        progress.hear(_hook("apply_complete", _DATABASE, action, elapsed_seconds=1))
    assert (progress.done, progress.running) == (2, {})


_AWS_SAYS = (
    "creating EC2 EIP: operation error EC2: AllocateAddress, https response error StatusCode: 400, RequestID: 1, "
    "api error AddressLimitExceeded: The maximum number of addresses has been reached."
)


def test_an_error_of_aws_is_said_once_with_the_resource_the_reason_and_what_to_do() -> None:
    trouble = Trouble("error", _AWS_SAYS, "", "module.site.module.hosts.aws_eip.this")
    assert trouble.code == "AddressLimitExceeded"
    told = explain(trouble, "terraform force-unlock")
    assert told.message == "module.hosts.aws_eip.this: The maximum number of addresses has been reached."
    assert "release an elastic IP" in told.remedy and "goes on from here" in told.remedy


def test_what_credentials_may_not_do_is_told_as_that() -> None:
    trouble = Trouble("error", "creating KMS Key: api error AccessDeniedException: not authorized to kms:CreateKey", "")
    assert "these credentials may not" in explain(trouble, "").remedy


def test_an_error_that_nobody_foresaw_keeps_its_own_words() -> None:
    told = explain(Trouble("error", "Invalid value", "The value\n  is  wrong", "module.site.x.y"), "")
    assert told.message == "x.y: Invalid value The value is wrong"


def test_a_locked_state_names_who_since_when_and_how_to_unlock() -> None:
    detail = (
        "Error message: resource temporarily unavailable\nLock Info:\n  ID:        0123-4567\n"
        "  Path:      terraform.tfstate\n  Operation: OperationTypeApply\n  Who:       anna@desk\n"
        "  Version:   1.11.4\n  Created:   2026-11-21 20:01:02.123456 +0000 UTC\n  Info:      \n"
    )
    told = explain(Trouble("error", "Error acquiring the state lock", detail), "terraform force-unlock")
    assert "anna@desk has been at 'apply' since 2026-11-21 20:01:02" in told.message
    assert "terraform force-unlock 0123-4567" in told.remedy


def test_only_diagnostics_are_troubles() -> None:
    assert trouble_of({"type": "log"}) is None
    event = {"type": "diagnostic", "diagnostic": {"severity": "warning", "summary": "s", "detail": "d"}}
    assert trouble_of(event) == Trouble("warning", "s", "d")
