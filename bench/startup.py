"""`orthweb up` from nothing beside what its parts need by themselves: `python bench/startup.py`.

The parts are started by hand, each as soon as the one before it answers, with the configuration that Orthweb rendered:
initdb, PostgreSQL, three Orthancs at once, Envoy until it finds a healthy Orthanc. The target is a ratio of 1.5 at
most. Also measured: `orthweb --help`, a second `up`, and the resident memory of Orthweb's own processes.
"""

from __future__ import annotations

import argparse
import configparser
import json
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from benchsite import ORTHWEB, wait_until

from orthweb.local.account import Account, current_account, unprivileged
from orthweb.local.database import answers, ensure_cluster, ensure_database
from orthweb.render.place import Database
from orthweb.running.probe import OrthancProbe, healthy_hosts
from orthweb.site.files import ensure_folder
from orthweb.site.paths import SitePaths
from orthweb.site.secrets import read_users


def timed_up(folder: Path) -> float:
    """Bring the site up; returns seconds."""
    started = time.perf_counter()
    subprocess.run([*ORTHWEB, "up", "-C", str(folder)], check=True, capture_output=True)
    return time.perf_counter() - started


def timed_parts(paths: SitePaths, account: Account) -> float:
    """Start the parts of a site that is down, on an empty database, by hand; returns seconds until all are healthy."""
    programs = _programs(paths)
    ports = json.loads((paths.state / "ports.json").read_text())
    database = Database("127.0.0.1", ports["postgresql"])
    ca = paths.pki / "internal/ca.crt"
    superuser = (paths.secrets / "postgres-superuser").read_text().strip()
    orthanc = (paths.secrets / "postgres-orthanc").read_text().strip()
    probe = OrthancProbe(paths.pki / "internal", read_users(paths)["orthweb-health"])
    replicas = [name for name in programs if name.startswith("orthanc-")]
    shutil.rmtree(paths.database)
    ensure_folder(paths.database, 0o700, account.file_owner)
    processes = []

    def start(name: str) -> None:
        command, environment = programs[name]
        command = unprivileged(account, command, low_ports=True)
        processes.append(subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, cwd=paths.run))

    started = time.perf_counter()
    try:
        initdb = Path(programs["postgresql"][0][0]).parent
        ensure_cluster(initdb, paths.database, paths.secrets / "postgres-superuser", account, lambda _: None)
        start("postgresql")
        wait_until(lambda: answers(database, superuser, ca))
        ensure_database(database, superuser, orthanc, ca)
        for name in replicas:
            start(name)
        for name in replicas:
            wait_until(partial(probe.healthy, ports[f"{name}/http"]))
        start("envoy")
        wait_until(lambda: any(healthy_hosts(paths.run / "envoy.sock").get("orthanc-dicom", {}).values()))
        return time.perf_counter() - started
    finally:
        for process in reversed(processes):
            process.terminate()
            process.wait(60)


def timed_help() -> float:
    """Median of seven runs of `orthweb --help`, in seconds."""
    times = []
    for _ in range(7):
        started = time.perf_counter()
        subprocess.run([str(Path(sys.executable).parent / "orthweb"), "--help"], check=True, capture_output=True)
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def _programs(paths: SitePaths) -> dict[str, tuple[list[str], dict[str, str]]]:
    """The commands and environments that the supervisor would use, without the shell that opens the log."""
    config = configparser.RawConfigParser()
    config.read(paths.config / "supervisord.conf")
    programs = {}
    for section in config.sections():
        if section.startswith("program:"):
            words = shlex.split(config[section]["command"].replace("%%", "%"))[4:]
            pairs = (pair.partition("=") for pair in config[section]["environment"].split(","))
            programs[section.removeprefix("program:")] = (words, {key: value.strip('"') for key, _, value in pairs})
    return programs


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=5)
    rounds = arguments.parse_args().rounds
    account = current_account()
    if account is None:
        raise SystemExit("run 'make up' once first: it makes the account that runs the site")
    ups, parts, again = [], [], []
    for _ in range(rounds):
        scratch = Path(tempfile.mkdtemp(prefix="ow-bench-"))
        try:
            subprocess.run([*ORTHWEB, "init", "-C", str(scratch), "--name", "bench"], check=True, capture_output=True)
            ups.append(timed_up(scratch))
            again.append(timed_up(scratch))
            state = json.loads(
                subprocess.run(
                    [*ORTHWEB, "status", "--json", "-C", str(scratch)], capture_output=True, check=False
                ).stdout
            )
            subprocess.run([*ORTHWEB, "down", "-C", str(scratch)], check=True, capture_output=True)
            parts.append(timed_parts(SitePaths(scratch), account))
        finally:
            subprocess.run([*ORTHWEB, "down", "--purge", "--yes", "-C", str(scratch)], check=True, capture_output=True)
            shutil.rmtree(scratch)
    own = state["supervisor"]["memory_mb"] + next(
        service["memory_mb"] for service in state["services"] if service["name"] == "housekeeping"
    )
    print(
        json.dumps(
            {
                "up_s": round(statistics.median(ups), 2),
                "parts_s": round(statistics.median(parts), 2),
                "ratio": round(statistics.median(up / part for up, part in zip(ups, parts, strict=True)), 2),
                "second_up_s": round(statistics.median(again), 2),
                "help_s": round(timed_help(), 2),
                "own_memory_mb": round(own, 1),
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
