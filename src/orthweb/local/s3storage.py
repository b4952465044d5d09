"""The bucket of a site's DICOM objects: its keys, its embedded server's configuration, and the bucket itself."""

from __future__ import annotations

import json
import socket
import urllib.parse
from pathlib import Path, PurePath

from orthweb.errors import Failure
from orthweb.local.layout import Layout
from orthweb.render.place import Bucket, Rendered, Secrets
from orthweb.site.paths import SitePaths


def server_files(paths: SitePaths, layout: Layout, known: Secrets) -> dict[str, Rendered]:
    """Make the configuration of the embedded S3-compatible server; empty when the site has none."""
    bucket = layout.place.bucket
    if bucket is None or all(program.name != "s3" for program in layout.programs):
        return {}
    internal = paths.pki / "internal"
    server = {
        "rclone": str(_rclone()),
        "folder": str(paths.bucket),
        "address": urllib.parse.urlsplit(bucket.endpoint).netloc,
        "certificate": str(internal / "s3.crt"),
        "key": str(internal / "s3.key"),
        "keys_file": str(paths.config / "s3/keys.json"),
        "socket": str(paths.run / "s3.sock"),
    }
    pair = {"AccessKey": known.s3_access_key, "SecretKey": known.s3_secret_key}
    return {
        "s3/server.json": Rendered(json.dumps(server, indent=2) + "\n"),
        "s3/keys.json": Rendered(json.dumps(pair) + "\n", secret=True),
    }


def answers(bucket: Bucket) -> bool:
    """Whether the server takes connections."""
    host, _, port = urllib.parse.urlsplit(bucket.endpoint).netloc.partition(":")
    try:
        socket.create_connection((host, int(port or 443)), 2).close()
    except OSError:
        return False
    return True


def ensure_bucket(
    endpoint: str,
    bucket: str,
    access_key: str,
    secret_key: str,
    ca_bundle: PurePath | None = None,
    region: str = "us-east-1",
) -> None:
    """Make a bucket if it is not there.

    Raises
    ------
    Failure
        The server cannot be reached, or refuses.
    """
    from orthweb.plugins.s3_bucket import Bucket
    from orthweb.plugins.s3_settings import Settings, SettingsError
    from orthweb.plugins.s3_wire import BucketError

    ca = str(ca_bundle) if ca_bundle else None
    place = Settings(
        bucket, region, access_key, secret_key, endpoint.rstrip("/"), virtual_addressing=False, ca_bundle=ca
    )
    try:
        Bucket(place).ensure()
    except (BucketError, SettingsError) as error:
        raise Failure(str(error), "check the endpoint, the keys and what they may do") from None


def _rclone() -> Path:
    import sysconfig

    return Path(sysconfig.get_path("scripts")) / "rclone"
