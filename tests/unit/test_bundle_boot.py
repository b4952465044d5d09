"""What a host's user data carry, run as they are: only the paths, the names and the network are the test's own."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import tarfile
import textwrap
import zipfile
from dataclasses import dataclass
from pathlib import Path

import people
import pytest

import orthweb
from orthweb.pki.authority import ensure_authority

_BOOT = Path(orthweb.__file__).parent / "terraform" / "boot"
_AMAZON = "1C5B395CBE5E74E2F1CA21592784DBF388D19D46"
_BUCKET, _REGION, _SECRET = "clinic-objects-0", "eu-central-1", "the+secret/of=the-role"
_NAMES = (f"{_BUCKET}.s3.{_REGION}.amazonaws.com", f"s3.{_REGION}.amazonaws.com")

# The metadata service, which gives nothing without a token, and the bucket, which wants a signature of the role.
_SERVERS = """
import hashlib, http.server, json, pathlib, ssl, sys, threading
folder = pathlib.Path(sys.argv[1])
class Answers(http.server.BaseHTTPRequestHandler):
    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *words):
        with (folder / "asked").open("a") as log:
            log.write(f"{self.command} {self.path}\\n")
class Metadata(Answers):
    def do_PUT(self):
        self.answer(200, b"a-token") if self.headers["X-aws-ec2-metadata-token-ttl-seconds"] else self.answer(400, b"")
    def do_GET(self):
        if self.headers["X-aws-ec2-metadata-token"] != "a-token":
            return self.answer(401, b"")
        if self.path.endswith("/security-credentials/"):
            return self.answer(200, b"clinic-host")
        self.answer(200, (folder / "credentials").read_bytes())
class Bucket(Answers):
    def do_GET(self):
        signed = self.headers.get("Authorization", "")
        if "x-amz-security-token" not in signed or "Credential=ASIATEST/" not in signed or "/s3/" not in signed:
            return self.answer(403, b"<Error><Code>Unsigned</Code><Message>No</Message></Error>")
        if self.headers.get("x-amz-content-sha256") != hashlib.sha256().hexdigest():
            return self.answer(400, b"<Error><Code>MissingSecurityHeader</Code><Message>x</Message></Error>")
        if (folder / "refusal").exists():
            return self.answer(403, (folder / "refusal").read_bytes())
        self.answer(200, (folder / "bundle.tar.gz").read_bytes())
metadata = http.server.ThreadingHTTPServer(("169.254.169.254", 80), Metadata)
bucket = http.server.ThreadingHTTPServer(("127.0.0.1", 443), Bucket)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(folder / "bucket.crt", folder / "bucket.key")
bucket.socket = context.wrap_socket(bucket.socket, server_side=True)
for server in (metadata, bucket):
    threading.Thread(target=server.serve_forever, daemon=True).start()
print("ready", flush=True)
sys.stdin.read()
"""


@dataclass(frozen=True)
class Machine:
    """A folder that stands for a host's disk, and how a program of the user data is run on it."""

    folder: Path

    def boot(self, program: str = "orthweb-boot", servers: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a program in a network of its own."""
        script = self.folder / program
        text = (_BOOT / program).read_text()
        for path in ("/opt/orthweb", "/etc/orthweb", "/usr/local/bin"):
            text = text.replace(path, f"{self.folder}{path}")
        script.write_text(text)
        inside = textwrap.dedent("""\
            ip link set lo up && ip address add 169.254.169.254/32 dev lo || exit 99
            folder=$1 program=$2 servers=$3; shift 3
            if [ -n "$servers" ]; then
                mkfifo "$folder/in" "$folder/out"
                "$0" "$folder/servers.py" "$folder" <"$folder/in" >"$folder/out" &
                exec 8>"$folder/in"
                read -r _ <"$folder/out"
            fi
            sh "$folder/$program" 8>&-; status=$?
            exec 8>&-
            rm -f "$folder/in" "$folder/out"
            wait
            exit $status
        """)
        # Debian's list of packages is not the host's here.
        environment = {"PATH": f"{self.folder}/bin:{os.environ['PATH']}", "HOME": str(self.folder)}
        return subprocess.run(
            ["unshare", "--net", "sh", "-c", inside, sys.executable, self.folder, program, "1" if servers else ""],
            env=environment, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    def asked(self) -> list[str]:
        """What the servers were asked, and forget it."""
        log = self.folder / "asked"
        lines = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return lines

    def describe(self, sha256: str) -> None:
        """Write host.json."""
        (self.folder / "etc/orthweb/host.json").write_text(
            json.dumps(
                {
                    "site": "clinic", "region": _REGION, "bucket": _BUCKET, "values_key": "host/values.json",
                    "bundle": {"key": f"host/bundle-{sha256}.tar.gz", "sha256": sha256}, "images": None,
                }
            )
        )  # fmt: skip


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    people.need_root("a network of its own")
    for name in ("etc/orthweb", "usr/local/bin", "bin"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "servers.py").write_text(_SERVERS)
    issued = ensure_authority(tmp_path, "authority of the test").issue_server(list(_NAMES))
    (tmp_path / "bucket.crt").write_bytes(issued.certificate_pem)
    (tmp_path / "bucket.key").write_bytes(issued.key_pem)
    resolved = "".join(f'resolve = "{name}:443:127.0.0.1"\n' for name in _NAMES)
    (tmp_path / ".curlrc").write_text(f'cacert = "{tmp_path}/ca.crt"\n{resolved}')
    (tmp_path / "credentials").write_text(
        json.dumps(
            {"Code": "Success", "AccessKeyId": "ASIATEST", "SecretAccessKey": _SECRET, "Token": "t/+="}, indent=2
        )
    )
    (tmp_path / "bin/dpkg-query").write_text("#!/bin/sh\necho installed\n")
    (tmp_path / "bin/dpkg-query").chmod(0o755)
    found = Machine(tmp_path)
    found.describe(_bundle(tmp_path, tmp_path / "bundle.tar.gz"))
    return found


def _bundle(folder: Path, path: Path, says: str = "host is up") -> str:
    """Make a bundle of a stand-in for Orthweb, which says what it was called with; gives its SHA-256."""
    wheel = folder / "orthweb-9-py3-none-any.whl"
    about = "orthweb-9.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("orthweb.py", f"import sys\ndef main(): print({says!r}, *sys.argv[1:])\n")
        archive.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: orthweb\nVersion: 9\n")
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{about}/entry_points.txt", "[console_scripts]\northweb = orthweb:main\n")
        archive.writestr(f"{about}/RECORD", "".join(f"{name},,\n" for name in [*archive.namelist(), f"{about}/RECORD"]))
    required = folder / "requirements.txt"
    required.write_text(f"orthweb==9 --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n")
    with tarfile.open(path, "w:gz") as archive:
        archive.add(required, "requirements.txt")
        archive.add(wheel, f"wheels/{wheel.name}")
        archive.add(required, "images/orthanc.tar")
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.slow
def test_a_host_installs_the_bundle_once_and_comes_up_at_every_boot(machine: Machine) -> None:
    done = machine.boot()
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "host is up host up"
    assert [line.split()[0] for line in machine.asked()] == ["PUT", "GET", "GET", "GET"]
    assert _SECRET not in done.stdout + done.stderr
    home = machine.folder / "opt/orthweb"
    assert sorted(path.name[0] for path in home.iterdir()) == sorted([os.readlink(home / "current")[0], "c"])
    assert (home / "current/images/orthanc.tar").exists(), "for hosts that reach no registry"
    assert (machine.folder / "usr/local/bin/orthweb").exists()

    again = machine.boot(servers=False)
    assert (again.returncode, again.stdout) == (0, "host is up host up\n"), again.stderr
    assert machine.asked() == []


@pytest.mark.slow
def test_what_was_cut_off_is_done_again(machine: Machine) -> None:
    home = machine.folder / "opt/orthweb"
    (home / ".new.killed").mkdir(parents=True)
    half = home / json.loads((machine.folder / "etc/orthweb/host.json").read_text())["bundle"]["sha256"] / "bin"
    half.mkdir(parents=True)
    (half / "orthweb").write_text("half of it")
    assert machine.boot().stdout.endswith("host is up host up\n")
    assert not list(home.glob(".new.*"))


def _refused(machine: Machine, said: str, servers: bool = True) -> None:
    done = machine.boot(servers=servers)
    assert done.returncode == 1
    assert re.fullmatch(rf"orthweb-boot: {said}: trying again\n", done.stderr), done.stderr
    assert not (machine.folder / "opt/orthweb/current").exists()
    assert not list(machine.folder.glob("opt/orthweb/.new.*"))
    assert _SECRET not in done.stdout + done.stderr


def test_a_bundle_that_was_tampered_with_is_refused_before_anything_of_it_runs(machine: Machine) -> None:
    _bundle(machine.folder, machine.folder / "bundle.tar.gz", "somebody else's")
    _refused(machine, rf"s3://{_BUCKET}/host/bundle-\w+\.tar\.gz has another SHA-256 than \S+ says and is refused")
    assert not [path for path in (machine.folder / "opt/orthweb").iterdir()]


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("AccessDenied", "User: arn:aws:sts::1:assumed-role/clinic-host is not authorized to perform: s3:GetObject"),
        ("RequestTimeTooSkewed", "The difference between the request time and the current time is too large."),
        ("NoSuchKey", "The specified key does not exist."),
    ],
)
def test_why_the_bucket_refuses_is_in_the_line(machine: Machine, code: str, message: str) -> None:
    (machine.folder / "refusal").write_text(
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>'
    )
    _refused(machine, rf"s3://\S+ cannot be fetched: curl: \(22\) .*403 {code}, {re.escape(message)}")


def test_without_the_metadata_service_one_line_says_so(machine: Machine) -> None:
    _refused(machine, r"the metadata service gives no token: curl: \(7\) Failed to connect .*", servers=False)


def test_without_a_role_one_line_says_so(machine: Machine) -> None:
    (machine.folder / "servers.py").write_text(_SERVERS.replace('"/security-credentials/"', '"/nowhere/"').replace(
        'self.answer(200, (folder / "credentials").read_bytes())', 'self.answer(404, b"")'))  # fmt: skip
    _refused(machine, r"the metadata service gives no credentials: curl: \(22\) .*404.*")


def test_values_that_cannot_be_read_are_one_line(machine: Machine) -> None:
    path = machine.folder / "etc/orthweb/host.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "bundle": None}))
    _refused(machine, r"\S+/host\.json names no bundle", servers=False)
    path.unlink()
    done = machine.boot(servers=False)
    assert done.returncode == 1
    assert done.stderr.endswith("/etc/orthweb/host.json cannot be read: trying again\n")


def test_an_agent_that_amazon_did_not_sign_is_not_installed(machine: Machine) -> None:
    (machine.folder / "etc/orthweb/session-manager.gpg").write_bytes((_BOOT / "session-manager.gpg").read_bytes())
    (machine.folder / "servers.py").write_text(
        _SERVERS.replace('signed = self.headers.get("Authorization", "")', 'return self.answer(200, b"a package")')
    )
    for name, text in (("systemctl", "exit 1"), ("apt-get", 'echo "apt-get $*"')):
        (machine.folder / "bin" / name).write_text(f"#!/bin/sh\n{text}\n")
        (machine.folder / "bin" / name).chmod(0o755)
    done = machine.boot("orthweb-agent")
    assert done.returncode == 1
    assert done.stderr.endswith("orthweb-agent: the agent is not signed by Amazon and is refused: trying again\n")
    assert "apt-get" not in done.stdout
    architecture = subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True, check=True).stdout
    path = f"/amazon-ssm-{_REGION}/latest/debian_{architecture.strip()}/amazon-ssm-agent.deb"
    assert machine.asked() == [f"GET {path}", f"GET {path}.sig"]


def test_the_key_of_the_agent_is_the_one_that_amazon_publishes() -> None:
    key = (_BOOT / "session-manager.gpg").read_bytes()
    # The first packet is the key, with a length of two bytes; its fingerprint is of RFC 4880, 12.2.
    assert key[0] == 0x99
    body = key[: 3 + int.from_bytes(key[1:3], "big")]
    assert hashlib.sha1(body).hexdigest().upper() == _AMAZON
    assert _AMAZON in (_BOOT.parent / "boot.tf").read_text()


@pytest.mark.parametrize("program", ["orthweb-boot", "orthweb-agent"])
def test_no_secret_is_an_argument_of_a_program(program: str) -> None:
    text = (_BOOT / program).read_text()
    assert subprocess.run(["sh", "-n", _BOOT / program], timeout=30, check=False).returncode == 0
    # printf and echo are of the shell itself.
    assert not re.search(r"curl [^|]*(\$token|\$credentials)|--user\b|-u ", text)
