"""Sites, places and secrets for the tests of rendering."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from ruamel.yaml import YAML

from orthweb.render import Place, Rendered, Secrets, render
from orthweb.render.gate import GATE_WASM
from orthweb.render.place import Bucket, Database, Files, Replica, Versions
from orthweb.render.supervisor import Program
from orthweb.site.load import parse_site
from orthweb.site.model import HEALTH_USER, Site

OLD_PLUGIN, NEW_PLUGIN = (4, 0), (10, 3)
SECRETS = Secrets(
    users={"admin": "Secret-of-admin", HEALTH_USER: "Secret-of-health"},
    database="Secret-of-database",
    s3_access_key="Secret-access-key",
    s3_secret_key="Secret-key-of-the-bucket",
)


def site(more: str = "") -> Site:
    return parse_site(f"name: test\n{more}")


def place(root: Path = Path("/srv/site"), replicas: int = 3, plugin: tuple[int, ...] = OLD_PLUGIN) -> Place:
    """A place as the native engine makes it, below `root`."""
    state = PurePosixPath(root)
    files = Files(
        config=state / "config",
        pki=state / "pki",
        objects=state / "data/dicom",
        temporary=state / "data/tmp",
        logs=state / "logs",
        run=state / "run",
        plugins=PurePosixPath("/usr/share/orthanc/plugins"),
        gate=PurePosixPath(GATE_WASM),
        server_certificate=state / "pki/server.crt",
        server_key=state / "pki/server.key",
        s3_plugin=PurePosixPath("/opt/s3_storage.py"),
    )
    return Place(
        replicas=tuple(
            Replica(f"orthanc-{number}", "127.0.0.1", 20000 + number, 21000 + number)
            for number in range(1, replicas + 1)
        ),
        database=Database("127.0.0.1", 22000, listen="127.0.0.1"),
        bucket=None,
        versions=Versions((1, 10, 1), plugin),
        files=files,
        ipv6=True,
        remote_proxy=False,
    )


def bucket(where: Place) -> Place:
    ca = where.files.pki / "internal/ca.crt"
    return replace(where, bucket=Bucket("https://127.0.0.1:23000", "images", "us-east-1", "", ca, where.files.objects))


def programs(where: Place) -> list[Program]:
    data, base = where.files.objects, {"HOME": str(where.files.run), "TCP_NODELAY": "1"}
    return [
        Program("postgresql", ["/usr/bin/postgres", "-D", str(data), "-c", f"config_file={data}"], base, "INT", 60),
        Program("envoy", ["/usr/bin/envoy", "-c", str(where.files.config / "envoy/envoy.yaml")], base, stop_seconds=30),
    ]


def rendered(more: str = "", where: Place | None = None) -> dict[str, Rendered]:
    where = where or place()
    return render(site(more), where, SECRETS, programs(where))


def orthanc(files: dict[str, Rendered], number: int = 1) -> dict[str, Any]:
    return dict(json.loads(files[f"orthanc-{number}/orthanc.json"].text))


def envoy(files: dict[str, Rendered]) -> Any:
    return YAML(typ="safe").load(files["envoy/envoy.yaml"].text)


def dicom_cluster(files: dict[str, Rendered]) -> list[Any]:
    (assignment,) = YAML(typ="safe").load(files["envoy/eds-orthanc-dicom.yaml"].text)["resources"]
    return list(assignment["endpoints"])


def postgres_settings(files: dict[str, Rendered]) -> dict[str, str]:
    lines = files["postgresql/postgresql.conf"].text.splitlines()
    return {name: value for name, _, value in (line.partition(" = ") for line in lines)}


def addresses(files: dict[str, Rendered], name: str) -> list[tuple[str, int]]:
    listener = next(entry for entry in envoy(files)["static_resources"]["listeners"] if entry["name"] == name)
    found = [listener["address"], *(entry["address"] for entry in listener.get("additional_addresses", []))]
    return [(entry["socket_address"]["address"], entry["socket_address"]["port_value"]) for entry in found]


EVERY_KIND = [
    "",
    "storage: s3",
    "dicom: {plaintext: {port: 1104, allowed_cidrs: [192.168.7.0/24]}}",
    "web: {redirect_port: 80}",
    "web: {allowed_cidrs: [10.0.0.0/8, '2001:db8::/32']}\ndicom: {allowed_cidrs: ['::/0', 0.0.0.0/0]}",
    "web: {allowed_cidrs: []}",
    "dicom: {client_certificates: optional}",
    "dicom: {client_certificates: off}",
    "orthanc: {modalities: {ct: {ae_title: CT, host: ct.example.org, tls: true}}}",
]


def of_kind(more: str, root: Path = Path("/srv/site")) -> dict[str, Rendered]:
    where = place(root)
    return rendered(more, bucket(where) if "s3" in more else where)
