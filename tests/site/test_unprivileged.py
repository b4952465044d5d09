"""The processes of a site: unprivileged, in an environment of their own, no secret in sight, small, with short logs."""

from __future__ import annotations

import json
import os
import pwd
import re
import stat
from pathlib import Path

from anatomy import alive, family, pids
from harness import TestSite, eventually

from orthweb.local.housekeeping import rotate

_PRIVATE = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----\n\w|Basic [A-Za-z0-9+/=]{16}")
_OWN_MEMORY_MB = 60


def test_every_process_is_unprivileged_for_good(site: TestSite) -> None:
    expected = pwd.getpwnam("orthweb").pw_uid if os.getuid() == 0 else os.getuid()
    for pid in _processes(site):
        status = dict(re.findall(r"(\w+):\t(.*)", Path(f"/proc/{pid}/status").read_text()))
        assert status["Uid"].split() == [str(expected)] * 4, status["Name"]
        assert status["NoNewPrivs"] == "1", status["Name"]
        assert status["Groups"].split() in ([], [status["Gid"].split()[0]]) or os.getuid() != 0, status["Name"]
        # Nothing but listening on ports below 1024, and that only where a port asks for it.
        assert int(status["CapEff"], 16) & ~(1 << 10) == 0, status["Name"]


def test_no_process_inherits_anything_of_the_callers_environment(site: TestSite) -> None:
    allowed = {
        "PATH",
        "LANG",
        "HOME",
        "TMPDIR",
        "TCP_NODELAY",
        "LD_LIBRARY_PATH",
        "LD_PRELOAD",
        "PWD",
        "OLDPWD",
        "SHLVL",
        "_",
    }
    for pid in _processes(site):
        found = _environment(pid)
        ours = {name for name in found if not name.startswith(("SUPERVISOR_", "PG_"))}
        assert ours <= allowed, _command(pid)
        assert found.get("HOME") in (None, str(site.state / "run")), _command(pid)
        assert found.get("PATH") in (None, "/usr/sbin:/usr/bin:/sbin:/bin"), _command(pid)


def test_no_password_stands_in_a_command_line_or_an_environment(site: TestSite) -> None:
    passwords = _passwords(site)
    for pid in _processes(site):
        for name in ("cmdline", "environ"):
            content = Path(f"/proc/{pid}/{name}").read_bytes()
            assert not any(password in content for password in passwords), f"{name} of {_command(pid)}"


def test_files_with_secrets_are_their_owners_alone(site: TestSite) -> None:
    passwords = _passwords(site)
    secret = 0
    for path in site.state.rglob("*"):
        if not path.is_file() or path.is_relative_to(site.state / "data"):
            continue
        content = path.read_bytes()
        if _PRIVATE.search(content) or any(password in content for password in passwords):
            secret += 1
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
            assert path.parent.name != "logs", f"{path} tells a secret"
    assert secret > 10
    for folder in ("secrets", "logs", "run", "data/postgresql", "data/dicom"):
        assert stat.S_IMODE((site.state / folder).stat().st_mode) == 0o700, folder
    assert stat.S_IMODE(site.state.stat().st_mode) & 0o007 == 0


def test_orthwebs_own_processes_take_less_than_60_mb(site: TestSite) -> None:
    processes = pids(site)
    taken = {name: _resident_mb(processes[name]) for name in ("supervisor", "housekeeping")}
    assert all(taken.values())
    assert sum(taken.values()) < _OWN_MEMORY_MB, taken


def test_a_killed_process_is_started_again(site: TestSite) -> None:
    victim = site.kill("housekeeping")
    eventually(lambda: site.pid("housekeeping") not in (0, victim), 20, "the supervisor to start it again")
    assert not alive(victim)
    site.healthy()


def test_a_log_that_was_rotated_goes_on_at_its_new_end(site: TestSite) -> None:
    log = site.state / "logs/web.log"
    assert site.status_code("/before") == 404
    eventually(lambda: "/before" in log.read_text(), 20, "Envoy to write its log")
    old = log.read_bytes()
    assert rotate(log, most_bytes=10)
    kept = log.with_name("web.log.1")
    assert kept.read_bytes().startswith(old)
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert site.status_code("/after") == 404
    eventually(lambda: b"/after" in log.read_bytes(), 20, "Envoy to write its log")
    # Envoy still has the old end in mind unless it appends: then a hole of zeros would stand before its line.
    assert b"\0" not in log.read_bytes()
    assert all(json.loads(line) for line in log.read_text().split("\n")[:-1])
    assert not rotate(log, most_bytes=1024 * 1024)


def test_only_so_many_old_logs_are_kept(tmp_path: Path) -> None:
    log = tmp_path / "web.log"
    for number in range(8):
        log.write_text(f"{number}" * 20)
        assert rotate(log, most_bytes=10, kept=3)
    assert {path.name: path.read_text()[:1] for path in tmp_path.iterdir()} == {
        "web.log": "",
        "web.log.1": "7",
        "web.log.2": "6",
        "web.log.3": "5",
    }


def _processes(site: TestSite) -> list[int]:
    """Every process of the site that can be looked at; PostgreSQL's children come and go."""
    processes = pids(site)
    found = family(processes["supervisor"])
    assert set(processes.values()) <= set(found)
    return [pid for pid in found if alive(pid)]


def _environment(pid: int) -> dict[str, str]:
    entries = Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace").split("\0")
    return dict(entry.split("=", 1) for entry in entries if "=" in entry)


def _command(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")


def _resident_mb(pid: int) -> float:
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024 if found else 0


def _passwords(site: TestSite) -> list[bytes]:
    secrets = site.state / "secrets"
    users = json.loads((secrets / "users.json").read_text())
    files = [path.read_text().strip() for path in secrets.iterdir() if path.name != "users.json"]
    passwords = [*users.values(), *files]
    assert all(len(password) >= 20 for password in passwords)
    return [password.encode() for password in passwords]
