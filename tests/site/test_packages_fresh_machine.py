"""Shows on a freshly made machine that installing a site's packages neither starts nor changes a service.

The machine is a folder with the base system of this distribution, made by debootstrap from this machine's own
package source; its processes live in a namespace of their own, which ends with the command that is run there.
Making one needs root: another user gets it through sudo, and without that the tests fail.
`FRESH_MACHINE_SUITE` names another release to try (trixie, say).
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

# A base system that is made anew comes over the network.
pytestmark = pytest.mark.timeout(900)
SOURCE = Path(__file__).parents[2] / "src/orthweb"
INSTALL = """
from orthweb.local.packages import ensure_packages, installed_versions
ensure_packages(True, lambda line: print("said:", line, flush=True))
parts = installed_versions()
print("parts:", parts.orthanc, parts.postgresql_plugin_version >= (4, 0), max(parts.postgresql), flush=True)
"""
LOOK = """
echo "processes:" $(cat /proc/[0-9]*/comm | grep -v -x -e sh -e cat -e grep -e python3)
cd /etc/systemd/system
echo "at boot:" $(ls -d *.wants/orthanc.service *.wants/postgresql.service /etc/rc[2345].d/S*orthanc \\
    /etc/rc[2345].d/S*postgresql 2>/dev/null)
echo "clusters:" $(ls /var/lib/postgresql/*/ /etc/postgresql/*/ 2>/dev/null)
echo "ours:" $(ls -d /usr/sbin/policy-rc.d /etc/postgresql-common/createcluster.d/zz* 2>/dev/null)
"""
FETCH = """
apt-get -qq update
apt-get -qq install --download-only --no-install-recommends \\
    orthanc orthanc-postgresql orthanc-dicomweb orthanc-python postgresql acl tcc
printf '#!/bin/sh\necho N 2\n' >/sbin/runlevel
printf '#!/bin/sh\n' >/sbin/init
chmod 755 /sbin/runlevel /sbin/init
"""
"""Fetches the packages once, and plays a machine that booted with init: without one nothing would start anyway."""
KEPT = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "orthweb/tests"
"""What is the same for every run; it may be deleted at any time."""
KEPT_SECONDS = 14 * 86400
# Files and packages there are thrown away: nothing has to survive a power cut, and nobody reads manuals.
QUICK = "force-unsafe-io\npath-exclude=/usr/share/doc/*\npath-exclude=/usr/share/man/*\n"


def as_root(*command: str) -> list[str]:
    """Put sudo before a command where it is needed, or end the test with what is lacking."""
    # An ordinary user's PATH lacks what root runs.
    command = ("env", "PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin", *command)
    if os.geteuid() == 0:
        return list(command)
    if not shutil.which("sudo") or subprocess.run(["sudo", "-n", "true"], capture_output=True).returncode != 0:
        pytest.fail("making a fresh machine needs root: run the tests as root or as a user who may sudo")
    return ["sudo", "-n", *command]


def package_source() -> tuple[str, str, str]:
    """Read mirror, suite and components of this system's release from its apt configuration."""
    release = dict(re.findall(r'^(\w+)="?([^"\n]*)', Path("/etc/os-release").read_text(), re.MULTILINE))
    codename = release["VERSION_CODENAME"]
    for file in [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]:
        text = file.read_text() if file.exists() else ""
        one_line = re.search(rf"^deb (?:\[[^]]*\] )?(\S+) {codename} (.+)$", text, re.MULTILINE)
        if one_line:
            return one_line[1], codename, one_line[2]
        for paragraph in text.split("\n\n"):
            fields = dict(re.findall(r"^(\w+):[ \t]*(.*)$", paragraph, re.MULTILINE))
            if codename in fields.get("Suites", "").split():
                return fields["URIs"].split()[0], codename, fields["Components"]
    pytest.fail(f"no package source for {codename} in /etc/apt")


def inside(machine: Path, script: str, network: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a shell script on the machine; whatever it leaves running ends with it."""
    space = ["unshare", "--mount", "--pid", "--fork", "--kill-child", *([] if network else ["--net"])]
    path = "PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
    command = ["chroot", str(machine), "env", "-i", path, "PYTHONPATH=/opt", f"INSTALL={INSTALL}", "sh", "-c", script]
    before = f"mount -t proc proc {machine}/proc"
    if machine.name != "base":
        # A copy in memory, which is gone with the namespace.
        before = f"mount -t tmpfs tmpfs {machine.parent} && cp -a {machine.parent.parent}/base {machine} && {before}"
    whole = [*space, "sh", "-c", f'{before} && exec "$@"', "sh", *command]
    return subprocess.run(as_root(*whole), capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)


def facts(output: str) -> dict[str, str]:
    """Take the lines "name: value" of `LOOK` apart."""
    return {name: value.strip() for name, value in re.findall(r"^([a-z ]+):(.*)$", output, re.MULTILINE)}


def make_base(machine: Path, suite: str, mirror: str) -> None:
    """Make the base system, or unpack the one that an earlier run kept: it takes a minute to make."""
    kept = KEPT / f"fresh-{suite}-{hashlib.sha256(mirror.encode()).hexdigest()[:12]}.tar"
    if not kept.exists() or time.time() - kept.stat().st_mtime > KEPT_SECONDS:
        # What it mounts goes with it, also when it is killed.
        command = ["unshare", "--mount", "debootstrap", "--variant=minbase", "--include=python3"]
        _must(*command, suite, str(machine), mirror)
        _must("mkdir", "-p", str(KEPT))
        new = f"{kept}.{os.getpid()}"
        _must("tar", "--numeric-owner", "--one-file-system", "-C", str(machine), "-cf", new, ".")
        # Whole or not at all, for whoever looks meanwhile.
        _must("mv", new, str(kept))
        return
    _must("mkdir", str(machine))
    _must("tar", "--numeric-owner", "-C", str(machine), "-xpf", str(kept))


def _must(*command: str) -> None:
    done = subprocess.run(as_root(*command), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A machine that holds a base system and Python, with this checkout's package in /opt."""
    if not Path("/usr/sbin/debootstrap").exists():
        pytest.fail("debootstrap is not installed: run: sudo apt-get install debootstrap")
    folder = tmp_path_factory.mktemp("fresh")
    machine = folder / "base"
    mirror, suite, components = package_source()
    suite = os.environ.get("FRESH_MACHINE_SUITE", suite)
    try:
        make_base(machine, suite, mirror)
        settings = subprocess.run(["apt-config", "dump", "Acquire"], capture_output=True, text=True, check=True).stdout
        wanted = re.findall(r'^Acquire::(?:Check-|Retries|https?::).* ".+";$', settings, re.MULTILINE)
        files = {
            "etc/apt/sources.list": f"deb {mirror} {suite} {components}\n",
            "etc/apt/apt.conf.d/99machine": "\n".join(wanted) + "\n",
            "etc/dpkg/dpkg.cfg.d/quick": QUICK,
            "etc/resolv.conf": Path("/etc/resolv.conf").read_text(),
            "etc/hosts": Path("/etc/hosts").read_text(),
        }
        for name, text in files.items():
            subprocess.run(as_root("tee", str(machine / name)), input=text, text=True, capture_output=True, check=True)
        subprocess.run(as_root("cp", "-r", str(SOURCE), str(machine / "opt/orthweb")), check=True)
        fetched = inside(machine, FETCH)
        assert fetched.returncode == 0, fetched.stdout + fetched.stderr
        yield machine
    finally:
        subprocess.run(as_root("rm", "-rf", "--one-file-system", str(folder)), check=True)


@pytest.fixture
def machine(base: Path) -> Path:
    """A copy of the machine for each script that runs there."""
    (base.parent / "copy").mkdir(exist_ok=True)
    return base.parent / "copy/machine"


def test_installing_starts_no_service_and_makes_no_cluster(machine: Path) -> None:
    script = f"""
rm -rf /var/lib/apt/lists/*
python3 -c "$INSTALL"
{LOOK}
python3 -c "$INSTALL" | sed "s/^/again /"
pg_createcluster $(ls /usr/lib/postgresql) main >/dev/null && echo later: made
"""
    result = inside(machine, script)
    seen = facts(result.stdout)
    assert re.fullmatch(r"/usr/sbin/Orthanc True \d+", seen["parts"]), result.stdout + result.stderr
    assert seen["processes"] == seen["at boot"] == seen["clusters"] == seen["ours"] == ""
    assert (
        "said: kept the distribution's orthanc.service and postgresql.service from starting, now and at boot"
        in result.stdout
    )
    # A second call finds everything there and says nothing.
    assert "again parts: " in result.stdout
    assert "again said:" not in result.stdout
    # And a person who wants a cluster one day makes it as ever.
    assert seen.get("later") == "made", result.stderr


def test_an_orthanc_that_a_person_runs_is_left_alone_even_by_a_killed_installation(machine: Path) -> None:
    script = f"""
apt-get -qq install --no-install-recommends orthanc >/dev/null 2>&1
echo "person before:" $(pidof Orthanc) $(ls -d /etc/rc[2345].d/S*orthanc)
python3 -c "$INSTALL" & ours=$!
# In the middle: the policy is there and packages are being unpacked.
for i in $(seq 600); do [ -e /usr/lib/postgresql ] && break; sleep 0.1; done
kill -9 $ours
echo "effect of what is left on others:" $(/usr/sbin/policy-rc.d orthanc start; echo $?)
# The apt-get that was left alone goes on to its end.
for i in $(seq 600); do [ -z "$(pidof apt-get)" ] && break; sleep 0.1; done
python3 -c "$INSTALL"
{LOOK}
echo "person after:" $(pidof Orthanc) $(ls -d /etc/rc[2345].d/S*orthanc)
"""
    result = inside(machine, script, network=False)
    seen = facts(result.stdout)
    assert re.match(r"\d+ /etc/rc2.d/S", seen["person before"]), result.stdout + result.stderr
    assert seen["person after"] == seen["person before"]
    assert seen["processes"] == "Orthanc"
    assert seen["effect of what is left on others"] == "0"
    assert "orthanc" in seen["at boot"]
    assert "postgresql" not in seen["at boot"]
    assert seen["clusters"] == seen["ours"] == ""
    assert re.fullmatch(r"/usr/sbin/Orthanc True \d+", seen["parts"])
