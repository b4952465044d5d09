"""What a host asks of AWS with its role: values, secrets, logs and metrics; each refusal is one line.

What time can heal is a `NotYet`; a permission that is missing or a clock that is wrong is a Failure.
"""

from __future__ import annotations

import datetime
import functools
import http.client
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from orthweb.errors import Failure
from orthweb.host.trust import SYSTEM
from orthweb.host.values import HostFile, Values, parse_values

if TYPE_CHECKING:
    from botocore.client import BaseClient

_METADATA = "169.254.169.254"
_METADATA_SECONDS = 5
# What services answer to a request whose time is too far from theirs.
_CLOCK = frozenset({"RequestTimeTooSkewed", "InvalidSignatureException", "SignatureDoesNotMatch", "RequestExpired"})
_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "403", "Forbidden"})
_NOT_THERE = frozenset({"NoSuchKey", "404", "ResourceNotFoundException"})


class NotYet(Failure):
    """It is not there, or not to be reached, and may be in a while."""


class Cloud:
    """The services of AWS that a host uses, in its region and with its role."""

    def __init__(self, host: HostFile) -> None:
        self._host = host

    def values(self) -> Values:
        """What is known when everything is made; raises NotYet before, Failure when it may not be read."""
        key = self._host.values_key
        return parse_values(self.object(key).decode(), f"s3://{self._host.bucket}/{key}")

    def object(self, key: str) -> bytes:
        """An object of the site's bucket; raises NotYet while there is none."""
        with _told(f"s3://{self._host.bucket}/{key}", "s3:GetObject"):
            content: bytes = self._client("s3").get_object(Bucket=self._host.bucket, Key=key)["Body"].read()
        return content

    def secret(self, arn: str, names: tuple[str, ...]) -> dict[str, str]:
        """The value of a secret, which has to have these names; raises NotYet while it has none."""
        name = arn.rpartition(":")[2]
        with _told(f"secret {name}", "secretsmanager:GetSecretValue"):
            text = self._client("secretsmanager").get_secret_value(SecretId=arn).get("SecretString", "")
        try:
            value = json.loads(text)
        except ValueError:
            value = None
        # What it holds is never repeated.
        if not isinstance(value, dict) or not all(isinstance(part, str) for part in value.values()):
            raise Failure(f"secret {name}: is no JSON object of texts", "'orthweb apply' writes it anew")
        for missing in (part for part in names if not value.get(part)):
            raise Failure(f"secret {name}: has no {missing}", "'orthweb apply' writes it anew")
        return value

    def say(self, group: str, stream: str, line: str) -> None:
        """Write a line to a log; raises Failure or NotYet."""
        logs = self._client("logs")
        event = {"timestamp": int(time.time() * 1000), "message": line}
        with _told(f"log group {group}", "logs:PutLogEvents"):
            try:
                logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=[event])
            except logs.exceptions.ResourceNotFoundException:
                logs.create_log_stream(logGroupName=group, logStreamName=stream)
                logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=[event])

    def measure(self, namespace: str, role: str, figures: Mapping[str, float]) -> None:
        """Report figures by their metric's name; raises Failure or NotYet."""
        data = [
            {"MetricName": name, "Value": value, "Dimensions": [{"Name": "Host", "Value": role}]}
            for name, value in figures.items()
        ]
        with _told("CloudWatch", "cloudwatch:PutMetricData"):
            self._client("cloudwatch").put_metric_data(Namespace=namespace, MetricData=data)

    @functools.cache  # noqa: B019 - one for the life of a command
    def _client(self, service: str) -> BaseClient:
        from botocore.config import Config

        config = Config(connect_timeout=5, read_timeout=20, retries={"mode": "standard", "max_attempts": 3})
        # Not botocore's own list: the host's administrator says whom the host trusts.
        trusted = str(SYSTEM) if SYSTEM.exists() else None
        return _session().create_client(service, region_name=self._host.region, config=config, verify=trusted)


@functools.cache
def instance_id() -> str:
    """Ask the metadata service which instance this is (IMDSv2); raises NotYet when it does not answer."""
    connection = http.client.HTTPConnection(_METADATA, timeout=_METADATA_SECONDS)
    try:
        connection.request("PUT", "/latest/api/token", headers={"X-aws-ec2-metadata-token-ttl-seconds": "60"})
        token = connection.getresponse().read().decode()
        connection.request("GET", "/latest/meta-data/instance-id", headers={"X-aws-ec2-metadata-token": token})
        answer = connection.getresponse()
        if answer.status != http.HTTPStatus.OK:
            raise NotYet(f"the metadata service answers {answer.status}", "it is there on EC2 only")
        return answer.read().decode().strip()
    except (OSError, http.client.HTTPException) as error:
        raise NotYet(f"the metadata service does not answer: {error}", "it is there on EC2 only") from None
    finally:
        connection.close()


@functools.cache
def _session() -> Any:
    import botocore.session

    return botocore.session.Session()


@contextmanager
def _told(what: str, action: str) -> Iterator[None]:
    """Turn botocore's errors into one line."""
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        CredentialRetrievalError,
        HTTPClientError,
        NoCredentialsError,
    )

    try:
        yield
    except ClientError as error:
        raise _explained(error.response, what, action) from None
    except (NoCredentialsError, CredentialRetrievalError):
        raise NotYet("the metadata service gives no credentials", "the instance needs its profile") from None
    except HTTPClientError as error:
        if "certificate is not yet valid" in str(error) or "certificate has expired" in str(error):
            raise Failure(f"{what}: {error}", _clock()) from None
        raise NotYet(f"{what}: cannot be reached: {error}", "see to the network") from None
    except BotoCoreError as error:
        raise Failure(f"{what}: {error}") from None


def _explained(answer: Any, what: str, action: str) -> Failure:
    code, said = answer["Error"]["Code"], answer["Error"].get("Message", "")
    if code in _NOT_THERE:
        return NotYet(f"{what}: is not there yet", "'orthweb apply' makes it")
    # A signature is refused as such also where the time is meant.
    if code in _CLOCK and ("expired" in said.lower() or "skew" in code.lower() or "not yet current" in said.lower()):
        return Failure(f"{what}: {said or code}", _clock())
    if code in _DENIED:
        return Failure(
            f"{what}: the host's role lacks a permission ({action}): {said or code}", "'orthweb apply' mends it"
        )
    return NotYet(f"{what}: {code}: {said}")


def _clock() -> str:
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return f"this host's clock says {now}: see 'timedatectl'"
