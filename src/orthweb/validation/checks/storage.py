"""Checks of the storage: it holds the very object that the index names, gives it to nobody else, and encrypts it."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import os
import socket
import ssl
import stat
from urllib.parse import urlsplit

from cryptography import x509

from orthweb.dicom.tls import TlsFiles, client_context
from orthweb.errors import Failure
from orthweb.pki import describe
from orthweb.validation.check import check
from orthweb.validation.checks import database, dicom
from orthweb.validation.look import Look
from orthweb.validation.probes import index, objects
from orthweb.validation.probes.web_client import WebClient
from orthweb.validation.target import BucketStorage, FolderStorage

_GUIDE = "Storage Validation"
_RESTORE = "bring the objects back from a backup, and run 'orthweb audit': others may be concerned"
_BUCKET_POLICY = "block public access of the bucket, and see its policy"
# Evidence only: what else a bucket says of an object.
_HEADERS = ("x-amz-version-id", "x-amz-storage-class", "x-amz-object-lock-mode", "x-amz-replication-status")
# rclone's server calls a request without a signature malformed.
_REFUSED = (400, 401, 403)
_ENCRYPTION = "x-amz-server-side-encryption"


@check(
    "storage.object",
    "The object that the index names is in the storage, with the same size and MD5.",
    needs=(database.CONNECTION, dicom.STORE),
    inside=True,
    guide=_GUIDE,
)
def OBJECT(look: Look) -> str:
    row = _row(look)
    stored = _stored(look, row)
    md5 = hashlib.md5(stored.content, usedforsecurity=False).hexdigest()
    look.saw("object", f"{stored.where}\n{len(stored.content)} bytes, MD5 {md5}")
    look.saw("row", f"{row.size} bytes, MD5 {row.md5 or 'not kept'}")
    if row.size != len(stored.content):
        look.wrong(f"the index says {row.size} bytes, and the object has {len(stored.content)}", _RESTORE)
    if row.md5 and row.md5 != md5:
        look.wrong(f"the index says MD5 {row.md5}, and the object has {md5}", _RESTORE)
    if not row.md5:
        look.warn("the index keeps no MD5 to compare with", "set StoreMD5ForAttachments to true")
    for name in _HEADERS:
        if name in stored.headers:
            look.saw(name, stored.headers[name])
    return f"{len(stored.content)} bytes, MD5 {md5}"


@check(
    "storage.private",
    "Nobody but the site reads its objects.",
    needs=(database.CONNECTION, dicom.STORE),
    inside=True,
    guide="Storage Validation: the bucket is not public",
)
def PRIVATE(look: Look) -> str:
    storage, row = look.inside.storage, _row(look)
    if isinstance(storage, FolderStorage):
        return _private_folder(look, storage, row.uuid)
    return _private_bucket(look, storage, row.uuid)


@check("storage.tls", "The bucket is reached over TLS, with a certificate that holds.", inside=True)
def TLS(look: Look) -> str:
    storage = look.inside.storage
    if isinstance(storage, FolderStorage):
        look.skip("the objects are in a folder: no connection leads there")
    parts = urlsplit(storage.endpoint)
    host, port = parts.hostname or "", parts.port or 443
    if parts.scheme != "https":
        look.fail(f"the endpoint {storage.endpoint} is spoken to without TLS", "use an address with https")
    try:
        with (
            socket.create_connection((host, port), look.remaining()) as plain,
            client_context(TlsFiles(storage.ca)).wrap_socket(plain, server_hostname=host) as connection,
        ):
            certificate = connection.getpeercert(binary_form=True) or b""
            version, cipher = connection.version(), (connection.cipher() or ("no cipher",))[0]
    except ssl.SSLCertVerificationError as error:
        look.fail(
            f"the certificate of {host} port {port} does not hold: {error.verify_message}",
            "give the endpoint a certificate for its name, or name its authority in storage.ca",
        )
    except OSError as error:
        look.fail(f"{host} port {port}: {error.strerror or error}", "see 'orthweb status', and the endpoint")
    info = describe(x509.load_der_x509_certificate(certificate), datetime.datetime.now(datetime.UTC))
    look.exhibits.add_certificate("object storage", info)
    look.saw("TLS", f"{version}, {cipher}")
    look.saw("certificate", f"{info.subject}, for {', '.join(info.names)}, until {info.not_after:%Y-%m-%d}")
    return f"{version}, certificate verified"


@check(
    "storage.encryption",
    "What is stored is encrypted at rest.",
    needs=(OBJECT,),
    inside=True,
)
def ENCRYPTION(look: Look) -> str:
    storage = look.inside.storage
    if isinstance(storage, FolderStorage):
        if look.inside.host.encrypted(storage.path):
            return f"the disk under {storage.path} is encrypted (dm-crypt)"
        look.skip(
            f"this machine shows no encryption under {storage.path}: a virtual or a self-encrypting disk may do it"
            " unseen, so ask whoever runs it; else keep the site's folder on a LUKS volume"
        )
    if storage.embedded:
        look.skip("the site's own object storage keeps plain files: what encrypts them is the disk below, such as LUKS")
    stored = _stored(look, _row(look))
    said = stored.headers.get(_ENCRYPTION)
    if not said:
        look.fail(
            f"the bucket {storage.bucket} says of no encryption of the object",
            "turn on default encryption of the bucket, and copy what it holds onto itself",
        )
    key = stored.headers.get(f"{_ENCRYPTION}-aws-kms-key-id")
    look.saw(_ENCRYPTION, said)
    if key:
        look.saw(f"{_ENCRYPTION}-aws-kms-key-id", key)
    return f"encrypted by the server ({said})"


def _row(look: Look) -> index.Attachment:
    with index.connected(look) as connection:
        row = index.attachment(look, connection)
    if row is None:
        look.skip("the index has no row of the test image: see database.row")
    if not objects.is_name(row.uuid):
        look.fail(f"the index names an object {row.uuid!r}, which is no UUID", "bring the database back from a backup")
    return row


def _stored(look: Look, row: index.Attachment) -> objects.Stored:
    try:
        return objects.read(look.inside.storage, row.uuid, look.remaining())
    except objects.Missing as missing:
        look.fail(f"the object of the image that was just stored is missing: {missing}", _RESTORE)
    except Failure as failure:
        look.fail(failure.message, failure.remedy)


def _private_folder(look: Look, storage: FolderStorage, uuid: str) -> str:
    path = objects.path_of(storage, uuid)
    steps = [storage.path, path.parent.parent, path.parent, path]
    for step in steps:
        try:
            linked = step.is_symlink()
        except PermissionError:
            look.skip(f"this user may not look into {storage.path}")
        if linked:
            look.wrong(f"{step} is a symbolic link to {os.readlink(step)}", "put a real folder or file in its place")
    try:
        root, file = storage.path.stat(), path.stat()
    except FileNotFoundError as error:
        look.skip(f"{error.filename} is missing: see storage.object")
    for step, seen in ((storage.path, root), (path, file)):
        look.saw(str(step), f"mode {stat.S_IMODE(seen.st_mode):o}, owner {seen.st_uid}")
    if root.st_mode & 0o077:
        remedy = f"chmod 700 {storage.path}"
        words = f"{storage.path} has mode {stat.S_IMODE(root.st_mode):o}: others than its owner"
        if file.st_mode & 0o044:
            look.wrong(f"{words} may read the objects", remedy)
        else:
            look.warn(f"{words} see the objects' names", remedy)
    if file.st_uid != root.st_uid:
        look.wrong(f"{path} belongs to user {file.st_uid}, and the folder to {root.st_uid}", _RESTORE)
    return f"{storage.path} is open to its owner only"


def _private_bucket(look: Look, storage: BucketStorage, uuid: str) -> str:
    key = objects.key_of(storage, uuid)
    parts = urlsplit(storage.endpoint)
    context = client_context(TlsFiles(storage.ca)) if parts.scheme == "https" else None
    client = WebClient(parts.hostname or "", parts.port or (443 if context else 80), context)
    bucket = f"{parts.path.rstrip('/')}/{storage.bucket}"
    requests = {
        "read the object": ("GET", f"{bucket}/{key}"),
        "ask for the bucket": ("HEAD", bucket),
        "list the bucket": ("GET", f"{bucket}?list-type=2&max-keys=1"),
    }
    for what, (method, path) in requests.items():
        status = client.request(method, path, timeout=look.remaining()).status
        look.saw(f"unsigned {method} {path}", status)
        if status < 300:
            look.wrong(f"anybody may {what}: {method} {path} answers {status}", _BUCKET_POLICY)
        elif status not in _REFUSED:
            look.warn(f"{method} {path} without a signature answers {status}, which refuses nothing", _BUCKET_POLICY)
    for what, strange in {
        "a wrong secret key": dataclasses.replace(storage, secret_key=look.data.patient_id),
        "an unknown access key": dataclasses.replace(storage, access_key=look.data.patient_id),
    }.items():
        said = _refusal(look, strange, key)
        look.saw(f"GET {bucket}/{key} with {what}", said or "200")
        if said is None:
            look.wrong(f"the bucket gives the object to whoever signs with {what}", _BUCKET_POLICY)
    return f"{storage.bucket} refuses requests without a signature and with a wrong one"


def _refusal(look: Look, storage: BucketStorage, key: str) -> str | None:
    """Why the bucket refuses a signed request; None when it doesn't."""
    from orthweb.plugins.s3_wire import BucketError

    try:
        objects.wire(storage, look.remaining()).send("GET", key)
    except BucketError as error:
        return str(error)
    return None


CHECKS = (OBJECT, PRIVATE, TLS, ENCRYPTION)
