"""Sessions on the hosts through Session Manager, and the log of their boot.

https://docs.aws.amazon.com/systems-manager/latest/userguide/session-manager.html
"""

from __future__ import annotations

import shlex
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from orthweb.aws.applied import Applied
from orthweb.aws.host_states import as_words
from orthweb.errors import Failure
from orthweb.site.aws import Aws

_PROGRAMS = {
    "aws": "https://docs.aws.amazon.com/cli/latest/userguide/getting-started-install.html",
    "session-manager-plugin": (
        "https://docs.aws.amazon.com/systems-manager/latest/userguide/session-manager-working-with-install-plugin.html"
    ),
}
# Debian's images log in this user: https://wiki.debian.org/Cloud/AmazonEC2Image
_USER = "admin"
_DEFAULT_KEY = "~/.ssh/id_rsa"
_PAUSE_SECONDS = 2.0
# CloudWatch takes events that are late; what came within this time is asked for again.
_LATE_MS = 60_000


@dataclass(frozen=True)
class Line:
    """A line of a log: which stream it is of, and when it was written, in milliseconds since 1970."""

    stream: str
    at: int
    text: str


def check_programs() -> None:
    """See that what opens a session is on this machine; raises Failure, which names the page that installs it."""
    for program, page in _PROGRAMS.items():
        if shutil.which(program) is None:
            raise Failure(f"{program} is not on this machine", f"{page} installs it")


def shell_command(instance: str, aws: Aws) -> list[str]:
    """Make the command that opens a shell on an instance."""
    return ["aws", "ssm", "start-session", "--target", instance, *_where(aws)]


def ssh_config(aws: Aws, root: Path) -> str:
    """Make the block of ~/.ssh/config that takes SSH to an instance, by its id, through Session Manager.

    Parameters
    ----------
    root:
        The site's folder, which the file of a key may be relative to.
    """
    words = ["aws", "ssm", "start-session", *_where(aws), "--document-name", "AWS-StartSSHSession"]
    # ssh takes %% for a % of our own, and fills in host and port; it hands the line to a shell.
    proxy = shlex.join(words).replace("%", "%%") + " --target %h --parameters portNumber=%p"
    key = _key(aws.hosts.pubkey_path, root)
    note = "" if aws.hosts.ami_id is None else "    # Debian's user; an image of your own may have another.\n"
    identity = f'"{key}"' if " " in key else key
    return f"Host i-* mi-*\n    ProxyCommand {proxy}\n    IdentityFile {identity}\n{note}    User {_USER}\n"


def _key(public: str | None, root: Path) -> str:
    """The private key beside a public one."""
    if public is None:
        return _DEFAULT_KEY
    private = public.removesuffix(".pub")
    return private if private.startswith(("/", "~")) else str(root / private)


def boot_lines(applied: Applied, instances: dict[str, str], since: int) -> Iterator[list[Line]]:
    """Follow the boot log for ever: gives the new lines each time that it was looked at.

    Parameters
    ----------
    instances:
        Roles by instance id: the streams whose names begin with one of them are followed, under the role.
    since:
        Milliseconds since 1970; earlier lines are left out.

    Raises
    ------
    Failure
        AWS refuses.
    """
    logs = applied.account.client("logs")
    group = applied.parts["log_groups"]["boot"]
    seen: dict[str, int] = {}
    newest = since
    while True:
        fresh: list[Line] = []
        with applied.account.told():
            pages = logs.get_paginator("filter_log_events").paginate(
                logGroupName=group, startTime=max(since, newest - _LATE_MS)
            )
            for event in (event for page in pages for event in page["events"]):
                stream, at = str(event["logStreamName"]), int(event["timestamp"])
                role = next((role for id, role in instances.items() if stream.startswith(id)), None)
                if role is not None and event["eventId"] not in seen:
                    seen[event["eventId"]] = at
                    fresh.append(Line(role, at, as_words(str(event["message"]))))
                    newest = max(newest, at)
        seen = {id: at for id, at in seen.items() if at >= newest - _LATE_MS}
        yield sorted(fresh, key=lambda line: line.at)
        time.sleep(_PAUSE_SECONDS)


def _where(aws: Aws) -> list[str]:
    return ["--region", aws.region, *(["--profile", aws.profile] if aws.profile else [])]
