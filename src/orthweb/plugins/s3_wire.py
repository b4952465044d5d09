"""Sends one signed request to an S3-compatible server and sorts what can go wrong with it.

It stands on botocore's signer and credentials and on urllib3's connections, not on a botocore client: inside
Orthanc every millisecond of Python is taken from all other threads, and a client costs twice as many.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import quote, urlsplit

import urllib3
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from urllib3.exceptions import HTTPError

from orthweb.plugins.s3_settings import Settings, SettingsError

_SEND_BYTES = 256 * 1024
_RECEIVE_BYTES = 1024 * 1024
_ERROR_FIELD = re.compile(rb"<(Code|Message)>([^<]{1,300})")
# Answers of a server in trouble, and those that say that the request did not arrive as it was sent.
_PASSING_STATUS = frozenset({408, 429, 500, 502, 503, 504})
_PASSING_CODES = frozenset({"BadDigest", "IncompleteBody", "InternalError", "RequestTimeout", "SlowDown"})


class BucketError(Exception):
    """What was asked for did not happen; the text is one line for a log."""


class MissingObject(BucketError):
    """There is no object, or no bucket, of that name."""


class Trouble(BucketError):
    """An attempt failed in a way that the next one may not."""


@dataclass(frozen=True)
class Patience:
    """How long a modality is kept waiting, in seconds, whatever the longer times of the configuration.

    No attempt begins later than `window` after the first, and one takes at most `connect` and `answer`: an
    instance (two objects) that cannot be stored is refused within 54 s even if the server hangs at the last
    moment each time. `answer` grows with the object: a server that keeps 2 GB needs time.
    """

    window: float = 12.0
    connect: float = 5.0
    answer: float = 10.0
    bytes_per_second: float = 10e6


class Wire:
    """Signed requests to one bucket over kept connections; safe to use from many threads.

    Raises
    ------
    SettingsError
        There are no credentials, or the authorities' file cannot be read.
    """

    def __init__(self, settings: Settings, patience: Patience) -> None:
        self._settings = settings
        self._patience = patience
        self._credentials = _credentials(settings)
        self._base, self._path = _address(settings)
        secure = self._base.startswith("https:")
        self._pool = urllib3.connection_from_url(
            self._base,
            maxsize=settings.max_connections,
            retries=False,
            **({"ssl_context": _tls(settings.ca_bundle)} if secure else {}),
        )

    def send(
        self,
        method: str,
        key: str = "",
        headers: Mapping[str, str] | None = None,
        content: bytes = b"",
        query: str = "",
        whole: bool = True,
    ) -> urllib3.BaseHTTPResponse:
        """Make one request; the whole answer has arrived when this returns.

        Parameters
        ----------
        key:
            Name of the object; empty for the bucket itself.
        query:
            What follows the question mark, its names in order.
        whole:
            False for an answer that the caller reads, and releases.

        Raises
        ------
        Trouble
            No whole answer came, or one that may be another the next time.
        MissingObject
            The server knows no such object.
        BucketError
            The server refuses.
        """
        path = self._path + quote(key, safe="/~") if key else self._path.rstrip("/") or "/"
        if query:
            path = f"{path}?{query}"
        request = AWSRequest(method, self._base + path, headers=dict(headers or {}), data=content)
        # Over TLS a Content-MD5 vouches for the content: it need not be hashed once more for the signature.
        request.context["has_streaming_input"] = True
        S3SigV4Auth(self._credentials.get_frozen_credentials(), "s3", self._settings.region).add_auth(request)
        signed = dict(request.headers.items())
        if method == "PUT":
            signed["Content-Length"] = str(len(content))
        try:
            answer = self._pool.urlopen(
                method,
                path,
                body=_pieces(content) if content else None,
                headers=signed,
                timeout=self._timeout(len(content)),
                redirect=False,
                preload_content=whole,
                decode_content=whole,
            )
        except HTTPError as error:
            raise _failure(error, self._base) from None
        if answer.status >= 300:
            raise _refusal(answer, f"{self._base}{self._path}")
        return answer

    def pieces(self, key: str) -> Iterator[bytes]:
        """Fetch an object piece by piece; raises as `send` does, also between two pieces."""
        answer = self.send("GET", key, whole=False)
        try:
            yield from answer.stream(_RECEIVE_BYTES, decode_content=False)
        except HTTPError as error:
            raise _failure(error, self._base) from None
        finally:
            # What was not read to its end is of no use to the next request.
            answer.close()
            answer.release_conn()

    def _timeout(self, size: int) -> urllib3.Timeout:
        answer = self._patience.answer + size / self._patience.bytes_per_second
        return urllib3.Timeout(
            connect=min(self._settings.connection_timeout, self._patience.connect),
            read=min(self._settings.request_timeout, answer),
        )


def _credentials(settings: Settings) -> Any:
    if settings.access_key is not None:
        return Credentials(settings.access_key, settings.secret_key)
    from botocore.session import Session

    found = Session().get_credentials()
    if found is None:
        raise SettingsError("AwsS3Storage.AccessKey: missing, and this machine has no default credentials")
    return found


def _address(settings: Settings) -> tuple[str, str]:
    """Give the server's base address and the path of the bucket on it, which ends with a slash."""
    base = settings.endpoint
    if base is None:
        from botocore.session import Session

        resolver = Session().get_component("endpoint_resolver")
        base = f"https://{resolver.construct_endpoint('s3', settings.region)['hostname']}"
    parts = urlsplit(base)
    host = parts.hostname or ""
    # A certificate for *.s3.amazonaws.com covers one label, and an IP address has no names below it.
    nameable = re.search("[a-z]", host) is not None and ":" not in host
    if settings.virtual_addressing and "." not in settings.bucket and nameable:
        return f"{parts.scheme}://{settings.bucket}.{parts.netloc}", "/"
    return base, f"/{quote(settings.bucket)}/"


def _tls(ca_bundle: str | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca_bundle)
    except OSError as error:
        raise SettingsError(f"OrthwebS3.CaBundle: {ca_bundle}: {error.strerror or error}") from None
    if ca_bundle is None:
        from botocore.httpsession import get_cert_path

        context.load_verify_locations(get_cert_path(True))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _pieces(content: bytes) -> Iterator[bytes]:
    """Cut a body up: a socket's time-out covers one call to send, and must not cover a gigabyte."""
    view = memoryview(content)
    for start in range(0, len(content), _SEND_BYTES):
        yield cast(bytes, view[start : start + _SEND_BYTES])


def _failure(error: BaseException, where: str) -> BucketError:
    """Say why no answer came: the reason lies below what urllib3 made of it."""
    while error.__cause__ or error.__context__:
        error = cast(BaseException, error.__cause__ or error.__context__)
    if isinstance(error, ssl.SSLCertVerificationError):
        return BucketError(f"{where}: its certificate is not trusted: {error.verify_message}")
    return Trouble(f"{where}: {getattr(error, 'strerror', None) or str(error) or type(error).__name__}")


def _refusal(answer: urllib3.BaseHTTPResponse, where: str) -> BucketError:
    fields = dict(_ERROR_FIELD.findall(answer.data[:4096]))
    code, message = (fields.get(name, b"").decode(errors="replace") for name in (b"Code", b"Message"))
    line = " ".join(filter(None, [f"{where} answers {answer.status}", code, message]))
    if answer.status in _PASSING_STATUS or code in _PASSING_CODES:
        return Trouble(line)
    # The answer to HEAD has no code. A missing bucket is no missing object: it is a mistake.
    if answer.status == 404 and code in ("", "NoSuchKey"):
        return MissingObject(line)
    return BucketError(line)
