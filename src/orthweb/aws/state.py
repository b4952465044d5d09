"""Reads what Terraform keeps of a site, its state, without Terraform: nothing is written, moved or locked.

So a command that only looks can run beside one that changes the site.
Format: https://github.com/hashicorp/terraform/blob/main/internal/states/statefile/version4.go
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orthweb
from orthweb.aws.account import Account
from orthweb.errors import Failure, InputError
from orthweb.site.paths import SitePaths

Place = tuple[str, str] | None
"""Bucket and key of a state; None for the file beside `orthweb.yaml`."""

_FORMAT = 4
_LOCAL = "terraform.tfstate"
# Terraform writes a local state over the old one: for a moment there is only half of it.
_TRIES, _PAUSE_SECONDS = 20, 0.1


@dataclass(frozen=True)
class State:
    """What there is of a site, by Terraform.

    Attributes
    ----------
    lineage:
        The same for all states that came from one another.
    serial:
        Counts them.
    outputs:
        By name, what the last apply has put out.
    resources:
        How many blocks of the modules have made something.
    """

    lineage: str
    serial: int
    outputs: dict[str, Any]
    resources: int


def place_in_use(paths: SitePaths) -> tuple[bool, Place]:
    """Whether Terraform has been prepared in the site's folder, and where its state was then."""
    try:
        backend = json.loads((paths.terraform / ".terraform" / _LOCAL).read_text())["backend"]
        config = backend["config"]
        return True, (config["bucket"], config["key"]) if backend["type"] == "s3" else None
    except (FileNotFoundError, NotADirectoryError, ValueError, LookupError, TypeError):
        return False, None


def read_state(account: Account, paths: SitePaths, place: Place) -> State | None:
    """Read the state that is at a place; None where there is none.

    Raises
    ------
    Failure
        AWS refuses, or it is not a state that this version of Orthweb knows.
    """
    if place is None:
        return _local(paths.terraform / _LOCAL)
    bucket, key = place
    return _parsed(_object(account, bucket, key), f"s3://{bucket}/{key}")


def applied_outputs(account: Account, paths: SitePaths, name: str) -> dict[str, Any]:
    """Give what the last apply of a site has put out; empty where none has come that far.

    Where `orthweb.yaml` names another place for the state and nothing has moved it yet, it is read where it is.

    Raises
    ------
    Failure
        As `read_state`; or the site was made by a newer Orthweb.
    """
    prepared, place = place_in_use(paths)
    wanted = account.aws.state_place()
    state = read_state(account, paths, place if prepared else wanted)
    if prepared and place != wanted and (state is None or not state.outputs):
        state = read_state(account, paths, wanted)
    return finished_outputs(name, state.outputs if state else {})


def finished_outputs(name: str, outputs: dict[str, Any]) -> dict[str, Any]:
    """Give a site's outputs, or none: an apply that was not finished leaves those that it knew.

    Raises Failure when a newer Orthweb has made them.
    """
    made_by = str(outputs.get("orthweb_version", orthweb.__version__))
    if _numbers(made_by) > _numbers(orthweb.__version__):
        raise Failure(
            f"{name} was last applied by Orthweb {made_by}, and this is {orthweb.__version__}",
            "use that version or a newer one",
        )
    return outputs if "site" in outputs else {}


def check_move(account: Account, paths: SitePaths) -> None:
    """See that a state that is about to move to another place covers none that is worth more.

    Raises
    ------
    InputError
        Where `orthweb.yaml` wants the state there is that of another site, or a newer one of this.
    """
    prepared, place = place_in_use(paths)
    wanted = account.aws.state_place()
    if not prepared or place == wanted:
        return
    ours, theirs = (read_state(account, paths, each) for each in (place, wanted))
    if ours is None or theirs is None or not (ours.resources and theirs.resources):
        return
    field, here = f"orthweb.yaml: aws.state: {account.aws.state}", _told(paths, place)
    if ours.lineage != theirs.lineage:
        raise InputError(f"{field}: holds the state of another site", f"name a place of its own; that in use is {here}")
    if ours.serial < theirs.serial:
        raise InputError(f"{field}: holds a newer state of this site than {here}", f"put {here} away, and it is used")


def _local(path: Path) -> State | None:
    for left in reversed(range(_TRIES)):
        try:
            return _parsed(path.read_text(), str(path))
        except FileNotFoundError:
            return None
        except ValueError:
            if left:
                time.sleep(_PAUSE_SECONDS)
    raise Failure(
        f"{path}: is no state of Terraform's", "bring back the copy beside it, or ask whoever changes the site"
    )


def _object(account: Account, bucket: str, key: str) -> str:
    from botocore.exceptions import ClientError

    with account.told():
        try:
            return str(account.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read(), "utf-8")
        except ClientError as error:
            if error.response["Error"]["Code"] not in ("NoSuchKey", "NoSuchBucket"):
                raise
            return ""


def _parsed(text: str, where: str) -> State | None:
    # What Terraform leaves of a local state that has moved into a bucket.
    if not text:
        return None
    told = json.loads(text)
    if not isinstance(told, dict) or told.get("version") != _FORMAT:
        raise Failure(f"{where}: is not of a form that this version knows", "use a newer version of Orthweb")
    outputs = {name: held["value"] for name, held in told.get("outputs", {}).items()}
    made = [each for each in told.get("resources", []) if each["mode"] == "managed" and each["instances"]]
    return State(str(told.get("lineage", "")), int(told.get("serial", 0)), outputs, len(made))


def _told(paths: SitePaths, place: Place) -> str:
    return str(paths.terraform / _LOCAL) if place is None else f"s3://{place[0]}/{place[1]}"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
