"""A bucket that stores an object only when it is safely there: checksums both ways, bounded retries."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import random
import re
import time
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote, urlencode

from orthweb.plugins.s3_settings import Settings
from orthweb.plugins.s3_wire import BucketError, MissingObject, Patience, Trouble, Wire

if TYPE_CHECKING:
    from orthweb.plugins.s3_listing import Page

_DIGEST = re.compile(r"[0-9a-f]{32}")
_Result = TypeVar("_Result")


class Bucket:
    """One bucket of an S3-compatible server; safe to use from many threads.

    Parameters
    ----------
    settings:
        Where the bucket is and how it is used.
    warn:
        Called with one line when something does not work out at once.
    patience:
        How long to try.

    Raises
    ------
    SettingsError
        There are no credentials, or the authorities' file cannot be read.
    """

    def __init__(
        self,
        settings: Settings,
        warn: Callable[[str], None] = lambda line: None,
        patience: Patience | None = None,
    ) -> None:
        self._settings = settings
        self._warn = warn
        self._patience = patience or Patience()
        self._wire = Wire(settings, self._patience)
        self._flushed: set[Path] = set()

    def put(self, key: str, content: bytes) -> None:
        """Store an object; returns only when the server has confirmed its checksum.

        Raises
        ------
        BucketError
            The object is not safely there.
        """
        digest = _md5(content)
        headers = {"Content-MD5": base64.b64encode(digest).decode(), **self._wishes()}
        crc = base64.b64encode(zlib.crc32(content).to_bytes(4, "big")).decode()
        if self._settings.endpoint is None:
            # AWS repeats it in its answer, also where an ETag is no MD5. Other servers may not know it.
            headers["x-amz-checksum-crc32"] = crc

        def attempt() -> None:
            try:
                answer = self._wire.send("PUT", key, headers, content).headers
            except MissingObject as error:
                # A server that looks after its own upload may not see it yet, and then answers so.
                raise Trouble(str(error)) from None
            try:
                self._confirm(key, answer, digest.hex(), crc, len(content))
            except (Trouble, MissingObject) as error:
                self._forget(key)
                raise Trouble(str(error)) from None
            if self._settings.folder is not None:
                self._flush(Path(self._settings.folder, self._settings.bucket, key), len(content))

        self._persist(f"PUT {key}", attempt)

    def get(self, key: str, start: int | None = None, size: int = 0) -> bytes:
        """Fetch an object, or `size` bytes of it from byte `start` on.

        Raises
        ------
        MissingObject
            There is no such object.
        BucketError
            It cannot be fetched, or arrives damaged.
        """
        headers = {} if start is None else {"Range": f"bytes={start}-{start + size - 1}"}

        def attempt() -> bytes:
            answer = self._wire.send("GET", key, headers)
            stated = _stated_md5(answer.headers)
            if start is not None and len(answer.data) != size:
                raise Trouble(f"{len(answer.data)} bytes came where {size} were asked for")
            if start is None and stated is not None and _md5(answer.data).hex() != stated:
                raise Trouble("what came does not have the checksum that the server states")
            return answer.data

        return self._persist(f"GET {key}", attempt)

    def md5(self, key: str, took: Callable[[int], None]) -> str:
        """Fetch an object and give its MD5 in hexadecimal, whatever its size.

        Parameters
        ----------
        took:
            Called with the number of bytes of every piece.

        Raises
        ------
        MissingObject
            There is no such object.
        BucketError
            It cannot be fetched.
        """

        def attempt() -> str:
            digest = hashlib.md5(usedforsecurity=False)
            for piece in self._wire.pieces(key):
                digest.update(piece)
                took(len(piece))
            return digest.hexdigest()

        return self._persist(f"GET {key}", attempt)

    def head(self, key: str) -> Mapping[str, str]:
        """Ask what the server says of an object, such as `Content-Length`; raises as `get` does."""
        return self._persist(f"HEAD {key}", lambda: self._wire.send("HEAD", key).headers)

    def page(self, prefix: str = "", start_after: str = "", token: str = "") -> Page:
        """List a part of the bucket.

        Parameters
        ----------
        prefix, start_after, token:
            As of `s3_listing.question`.

        Raises
        ------
        BucketError
            The server cannot be reached, refuses, or answers something else.
        """
        # Inside Orthanc nobody lists.
        from orthweb.plugins.s3_listing import question, read_page

        def attempt() -> Page:
            answer = self._wire.send("GET", query=question(prefix, start_after, token))
            try:
                return read_page(answer.data)
            except ValueError as error:
                raise BucketError(str(error)) from None

        return self._persist(f"list of {self._settings.bucket}", attempt)

    def delete(self, key: str) -> None:
        """Remove an object; one that is not there is removed already.

        Raises
        ------
        BucketError
            The server cannot be reached or refuses.
        """

        def attempt() -> None:
            with contextlib.suppress(MissingObject):
                self._wire.send("DELETE", key)

        self._persist(f"DELETE {key}", attempt)

    def check(self) -> None:
        """Ask once whether the bucket is there and open to these keys.

        Raises
        ------
        MissingObject
            The server has no such bucket.
        BucketError
            The server cannot be reached or refuses.
        """
        self._wire.send("HEAD")

    def ensure(self) -> None:
        """Make the bucket if it is not there.

        Raises
        ------
        BucketError
            The server cannot be reached or refuses.
        """

        def attempt() -> None:
            try:
                self._wire.send("HEAD")
            except MissingObject:
                self._wire.send("PUT")

        self._persist(f"bucket {self._settings.bucket}", attempt)

    def _wishes(self) -> dict[str, str]:
        wishes = {}
        if self._settings.storage_class is not None:
            wishes["x-amz-storage-class"] = self._settings.storage_class
        if self._settings.tags:
            wishes["x-amz-tagging"] = urlencode(self._settings.tags, quote_via=quote)
        return wishes

    def _confirm(self, key: str, answer: Mapping[str, str], digest: str, crc: str, size: int) -> None:
        stated = _stated_md5(answer)
        if stated == digest or (stated is None and answer.get("x-amz-checksum-crc32") == crc):
            return
        if stated is not None:
            raise Trouble(f"the server kept something else: its checksum is {stated}, not {digest}")
        # The ETag is no MD5 (SSE-KMS, or another kind of server). The server has compared Content-MD5 itself;
        # what it shows under the key must be what it has just confirmed.
        seen = self._wire.send("HEAD", key).headers
        if seen.get("Content-Length") != str(size) or seen.get("ETag") != answer.get("ETag"):
            raise Trouble(f"the server shows {seen.get('Content-Length')} bytes where {size} were written")

    def _forget(self, key: str) -> None:
        """Remove what the server kept wrongly, if it lets us: nobody was told that it is there."""
        try:
            self._wire.send("DELETE", key)
        except BucketError as error:
            self._warn(f"{key} is in the bucket and should not be: {error}")

    def _flush(self, path: Path, size: int) -> None:
        """Force an object of the embedded server to the disk: rclone leaves that to chance, as of 1.75."""
        top = Path(self._settings.folder or "/")
        # The file, the folder that names it, and once the folders above, which may be new.
        above = [folder for folder in path.parents[1:] if top in (folder, *folder.parents)]
        try:
            if path.stat().st_size != size:
                raise Trouble(f"{path} has {path.stat().st_size} bytes where {size} were written")
            for step in [path, path.parent, *(set(above) - self._flushed)]:
                handle = os.open(step, os.O_RDONLY)
                try:
                    os.fsync(handle)
                finally:
                    os.close(handle)
        except OSError as error:
            raise BucketError(f"OrthwebS3.Folder: {error.filename or path}: {error.strerror}") from None
        self._flushed.update(above)

    def _persist(self, what: str, attempt: Callable[[], _Result]) -> _Result:
        begin = time.monotonic()
        failed = 0
        while True:
            try:
                return attempt()
            except Trouble as trouble:
                delay, spent = _delay(failed), time.monotonic() - begin
                failed += 1
                if failed > self._settings.max_retries or spent + delay > self._patience.window:
                    raise BucketError(f"{what}: {trouble} ({failed} attempts in {spent:.1f} s)") from None
                if failed == 2:
                    self._warn(f"{what}: {trouble}; trying for {self._patience.window:.0f} s")
                time.sleep(delay)
            except BucketError as error:
                raise type(error)(f"{what}: {error}") from None


def _delay(failed: int) -> float:
    """Give the seconds before the next attempt, after so many failed ones before this failure.

    The first repetition is immediate: it most often meets a connection that the server closed while idle.
    """
    return min(2.0, 0.1 * 2.0 ** (failed - 1)) * random.uniform(0.5, 1) if failed else 0.0  # noqa: S311


def _md5(content: bytes) -> bytes:
    return hashlib.md5(content, usedforsecurity=False).digest()


def _stated_md5(headers: Mapping[str, str]) -> str | None:
    """Give the MD5 in an answer, None where the ETag is something else (multipart, SSE-KMS, SSE-C)."""
    etag = headers.get("ETag", "").strip('"').lower()
    keyed = headers.get("x-amz-server-side-encryption", "").startswith("aws:kms")
    own = "x-amz-server-side-encryption-customer-algorithm" in headers
    return etag if _DIGEST.fullmatch(etag) and not keyed and not own else None
