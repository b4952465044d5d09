"""Shows how the distribution's packages are found, and with which commands they are installed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from orthweb.errors import Failure, InputError
from orthweb.local import apt, packages, quiet
from orthweb.local.execute import INSTALLING, Result, Say, execute

SOURCES = Path(__file__).parents[2] / "src"


@pytest.fixture
def dpkg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A dpkg database of its own, for the real dpkg-query to read."""
    monkeypatch.setenv("DPKG_ADMINDIR", str(tmp_path))
    return tmp_path / "status"


def entry(package: str, status: str = "install ok installed") -> str:
    fields = f"Package: {package}\nStatus: {status}\nVersion: 1\nArchitecture: all\n"
    return fields + "Maintainer: Nobody <nobody@example.org>\nDescription: none\n\n"


def eventually(path: Path) -> None:
    limit = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < limit, f"{path} was not written"
        time.sleep(0.01)


def test_packages_that_dpkg_does_not_know_are_missing(dpkg: Path) -> None:
    dpkg.write_text(entry("orthanc") + entry("acl", "deinstall ok config-files"))
    assert packages.missing(["orthanc", "acl", "orthanc-postgresql"]) == ["acl", "orthanc-postgresql"]


def test_a_package_that_was_left_half_installed_is_missing(dpkg: Path) -> None:
    dpkg.write_text(entry("orthanc", "install ok half-configured"))
    assert packages.missing(["orthanc"]) == ["orthanc"]


@pytest.mark.parametrize(
    ("name", "installed"),
    [
        ("postgresql", "postgresql-17"),
        ("default-jre-headless", "openjdk-17-jre-headless"),
        ("default-jre-headless", "default-jdk"),
    ],
)
def test_a_package_that_does_the_same_counts_as_installed(dpkg: Path, name: str, installed: str) -> None:
    dpkg.write_text(entry(installed))
    assert packages.missing([name]) == []


def test_parts_of_postgresql_that_are_no_server_do_not_count_as_one(dpkg: Path) -> None:
    dpkg.write_text(entry("postgresql-client-15") + entry("postgresql-15-jit") + entry("postgresql-common"))
    assert packages.missing(["postgresql"]) == ["postgresql"]


def test_a_machine_without_apt_is_told_which_systems_are_supported(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match=r"no apt-get.*Debian 12, Debian 13 or Ubuntu 24\.04"):
        packages.missing(["orthanc"])


def test_a_user_who_cannot_become_root_is_told_the_line_to_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(InputError, match=r"run: sudo apt-get install --no-install-recommends orthanc acl$") as caught:
        apt.become_root(["orthanc", "acl"])
    assert caught.value.exit_status == 2


def test_a_user_whose_sudo_wants_a_password_without_a_terminal_is_told_the_line_to_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "sudo").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "sudo").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(InputError, match="only root can install them"):
        apt.become_root(["orthanc"])


def test_only_a_bucket_needs_python_in_orthanc_and_only_root_needs_access_lists() -> None:
    plain = packages.site_packages(s3=False, root=False)
    assert plain == ("orthanc", "orthanc-postgresql", "orthanc-dicomweb", "postgresql", "tcc")
    assert set(packages.site_packages(s3=True, root=True)) - set(plain) == {"orthanc-python", "acl"}


def test_ubuntu_gets_chromium_as_a_snap_because_its_package_is_empty() -> None:
    assert "chromium" in packages.packages_for_tests("debian")
    assert "chromium" not in packages.packages_for_tests("ubuntu")
    assert packages.snap_command(["sudo"]) == ["sudo", "snap", "install", "chromium"]


@pytest.mark.parametrize(
    ("text", "family"),
    [
        ('ID=debian\nVERSION_ID="12"\n', "debian"),
        ("ID=ubuntu\nID_LIKE=debian\n", "ubuntu"),
        ('ID=linuxmint\nID_LIKE="ubuntu debian"\n', "ubuntu"),
        ("ID=fedora\n", "fedora"),
    ],
)
def test_the_family_of_the_system_is_read_from_os_release(tmp_path: Path, text: str, family: str) -> None:
    (tmp_path / "os-release").write_text(text)
    assert packages.distribution(tmp_path / "os-release") == family


def test_nothing_is_done_when_nothing_is_missing() -> None:
    commands: list[Sequence[str]] = []
    said: list[str] = []

    def run(command: Sequence[str], text: str = "", hear: Say | None = None) -> Result:
        commands.append(command)
        return execute(command, text, hear)

    packages.ensure(("dpkg", "apt"), said.append, run)
    assert [command[0] for command in commands] == ["dpkg-query"]
    assert said == []


def test_apt_asks_nothing_removes_nothing_and_waits_for_others() -> None:
    command = apt.install_command(["sudo", "-n"], ["orthanc"])
    assert command[:3] == ["sudo", "-n", "env"]
    assert command[-2:] == ["install", "orthanc"]
    assert {"DEBIAN_FRONTEND=noninteractive", "NEEDRESTART_SUSPEND=1"} < set(command)
    assert {"--yes", "--no-remove", "--no-install-recommends", "DPkg::Lock::Timeout=300"} < set(command)
    assert {"Dpkg::Options::=--force-confdef", "Dpkg::Options::=--force-confold"} < set(command)


def test_a_package_that_no_source_offers_is_told_from_one_that_is_there() -> None:
    assert apt.without_candidate(["dpkg", "no-such-package"], execute) == ["no-such-package"]


@pytest.mark.parametrize(
    ("output", "message", "remedy"),
    [
        (
            "Reading lists\nE: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 7 (apt)\n",
            "It is held by process 7",
            "wait until it has ended",
        ),
        ("E: dpkg was interrupted, you must ...\n", "dpkg was interrupted", "sudo dpkg --configure -a"),
        ("Err:1\nE: Failed to fetch x.deb  404\nE: Unable to\n", "Failed to fetch x.deb", "network"),
        ("E: You don't have enough free space in /var/cache\n", "enough free space", "free some disk space"),
        ("dpkg: error processing x\nE: Sub-process\n", "error processing x", "run: sudo apt-get install"),
        ("", "it said nothing", "run: sudo apt-get install"),
    ],
)
def test_a_failed_installation_says_what_apt_said_and_what_to_do(output: str, message: str, remedy: str) -> None:
    error = apt.explain(output, ["orthanc"])
    assert error.exit_status == 1
    assert message in error.message
    assert remedy in error.remedy
    assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("service", "installing", "status"),
    [("orthanc", "1", 101), ("postgresql@15-main.service", "1", 101), ("dbus", "1", 0), ("orthanc", "", 0)],
)
def test_the_policy_holds_orthanc_and_postgresql_in_our_installation_only(
    tmp_path: Path, service: str, installing: str, status: int
) -> None:
    script = tmp_path / "policy-rc.d"
    script.write_text(quiet.policy(["orthanc"], 1, "2"))
    command = ["sh", str(script), "--quiet", service, "start", "2"]
    environment = {"PATH": "/usr/bin:/bin", INSTALLING: installing}
    assert subprocess.run(command, env=environment, check=False).returncode == status


def test_what_a_killed_installation_left_is_found_and_what_a_living_one_uses_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quiet, "POLICY", tmp_path / "policy-rc.d")
    monkeypatch.setattr(quiet, "NO_CLUSTER", tmp_path / "zz-orthweb.conf")
    assert quiet.left_behind() is None
    now = quiet.started_at(os.getpid())
    quiet.POLICY.write_text(quiet.policy(["orthanc"], os.getpid(), now))
    assert quiet.left_behind() is None
    quiet.POLICY.write_text(quiet.policy(["orthanc", "postgresql"], os.getpid(), f"{int(now) - 1}"))
    assert quiet.left_behind() == ["orthanc", "postgresql"]
    quiet.POLICY.write_text("#!/bin/sh\nexit 101\n")
    assert quiet.left_behind() is None


def test_services_are_kept_from_booting_with_systemd_and_without() -> None:
    with_systemd = quiet.disable_commands([], "orthanc", systemctl=True)
    assert [command[-4:] for command in with_systemd] == [["systemctl", "--quiet", "disable", "orthanc"]]
    without = quiet.disable_commands([], "orthanc", systemctl=False)
    assert [command[-3:] for command in without] == [
        ["update-rc.d", "orthanc", "disable"],
        ["deb-systemd-helper", "disable", "orthanc.service"],
    ]


def test_a_command_that_starts_a_service_ends_although_the_service_keeps_its_output() -> None:
    heard: list[str] = []
    result = execute(["sh", "-c", "sleep 60 & echo $!; cat"], text="given", hear=heard.append)
    os.kill(int(heard[0]), signal.SIGTERM)
    assert result == Result(0, f"{heard[0]}\ngiven")


def test_an_interrupted_command_is_asked_to_stop_and_waited_for(tmp_path: Path) -> None:
    ready, ended = tmp_path / "ready", tmp_path / "ended"
    child = f"trap 'sleep 0.3; : >{ended}; exit 0' INT; : >{ready}; while :; do sleep 0.05; done"
    script = f"from orthweb.local.execute import execute; execute(['sh', '-c', {child!r}])"
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(SOURCES)},
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        eventually(ready)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) != 0
        assert ended.exists()
    finally:
        process.kill()
        process.wait()


def test_the_installed_parts_are_found_with_their_versions() -> None:
    parts = packages.installed_versions()
    assert os.access(parts.orthanc, os.X_OK)
    assert parts.orthanc_version >= (1, 10)
    assert parts.postgresql_plugin_version >= (4, 0)
    assert parts.dicomweb_plugin_version >= (1, 7)
    assert all((folder / "initdb").exists() for folder in parts.postgresql.values())


@pytest.mark.parametrize(
    ("there", "named"),
    [
        ([], "orthanc"),
        (["usr/sbin/Orthanc"], "orthanc-postgresql"),
        (["usr/sbin/Orthanc", "plugins"], "postgresql"),
    ],
)
def test_a_missing_part_is_named_with_the_line_that_installs_it(tmp_path: Path, there: list[str], named: str) -> None:
    plugins = ["PostgreSQLIndex", "PostgreSQLStorage", "DicomWeb"]
    files = [f"usr/share/orthanc/plugins/libOrthanc{name}.so" for name in plugins] if "plugins" in there else []
    for name in [*files, *(name for name in there if name != "plugins")]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch(0o755)
    with pytest.raises(Failure, match=f"run: sudo apt-get install --no-install-recommends {named}$"):
        packages.installed_versions(tmp_path)
