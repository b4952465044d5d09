"""The AWS account that a site belongs to: who we are there, and what would stop the site before it is begun."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orthweb.errors import Failure, InputError, OrthwebError
from orthweb.site.aws import Aws

if TYPE_CHECKING:
    from botocore.client import BaseClient
    from botocore.session import Session

_LOG_IN = "log in with 'aws configure' or 'aws sso login', or name a profile in aws.profile"
_AGAIN = "log in to AWS again"
_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})
_UNKNOWN = frozenset({"InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch", "AuthFailure"})
_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"})
# What an account has where nobody has asked for more: https://docs.aws.amazon.com/general/latest/gr/aws-service-limits.html
_USUAL_QUOTA = 5
_VPCS, _ADDRESSES = ("vpc", "L-F678F1CE"), ("ec2", "L-0263D0A3")


@dataclass(frozen=True)
class Identity:
    """Whom AWS takes us for."""

    account: str
    arn: str


class Account:
    """The services of AWS in the site's region.

    Raises
    ------
    InputError
        The profile is unknown.
    Failure
        Orthweb was installed without what it needs for AWS.
    """

    def __init__(self, aws: Aws) -> None:
        self.aws = aws
        with _told(aws):
            self._session = _session(aws.profile)

    def client(self, service: str) -> BaseClient:
        """Give the client of a service, such as `ec2`; its calls raise botocore's errors."""
        from botocore.config import Config

        config = Config(connect_timeout=10, read_timeout=60, retries={"mode": "standard", "max_attempts": 4})
        return self._session.create_client(service, region_name=self.aws.region, config=config)

    @property
    def partition(self) -> str:
        """The part of AWS that the region is in, as ARNs name it: `aws`, `aws-us-gov`, `aws-cn`."""
        return str(self._session.get_partition_for_region(self.aws.region))

    @contextmanager
    def told(self) -> Iterator[None]:
        """Turn botocore's errors into one line that tells what to do."""
        with _told(self.aws):
            yield

    def identity(self) -> Identity:
        """Ask AWS who we are.

        Raises
        ------
        InputError
            These are credentials of another account than `aws.account`.
        Failure
            There are no credentials, or they are not good any more, or AWS cannot be reached.
        """
        with self.told():
            told = self.client("sts").get_caller_identity()
        found = Identity(told["Account"], told["Arn"])
        if self.aws.account is not None and found.account != self.aws.account:
            raise InputError(
                f"orthweb.yaml: aws.account: {self.aws.account}: these credentials are of account {found.account} "
                f"({found.arn})",
                "use credentials of that account, such as by aws.profile",
            )
        return found


def usual_region() -> str | None:
    """The region that the environment or the AWS configuration names; raises Failure when Orthweb cannot look."""
    region = _session(None).get_config_variable("region")
    return str(region) if region else None


def check_region(account: Account) -> None:
    """See that the region is open to the account, and has the zones that the site names; raises OrthwebError."""
    aws = account.aws
    with account.told():
        answer = account.client("ec2").describe_availability_zones(
            Filters=[{"Name": "opt-in-status", "Values": ["opt-in-not-required"]}]
        )
    zones = {zone["ZoneName"] for zone in answer["AvailabilityZones"] if zone["State"] == "available"}
    for number, zone in enumerate(aws.network.zone_names):
        if zone not in zones:
            raise InputError(
                f"orthweb.yaml: aws.network.zone_names[{number}]: {zone}: no such zone",
                f"{aws.region} has {', '.join(sorted(zones))}",
            )
    if len(zones) < aws.network.zones:
        raise InputError(
            f"orthweb.yaml: aws.network.zones: {aws.network.zones}: {aws.region} has {len(zones)}",
            "choose fewer, or another region",
        )


def check_network(account: Account) -> None:
    """See that a VPC and subnets of one's own are there and belong together; raises OrthwebError."""
    existing = account.aws.network.existing
    if existing is None:
        return
    field = "orthweb.yaml: aws.network.existing"
    ec2 = account.client("ec2")
    with account.told():
        vpcs = ec2.describe_vpcs(Filters=[{"Name": "vpc-id", "Values": [existing.vpc_id]}])["Vpcs"]
        wanted = [*existing.public_subnet_ids, *existing.private_subnet_ids]
        subnets = ec2.describe_subnets(Filters=[{"Name": "subnet-id", "Values": wanted}])["Subnets"]
    if not vpcs:
        raise InputError(
            f"{field}.vpc_id: {existing.vpc_id}: no such VPC in {account.aws.region}", "correct it, or the region"
        )
    places = {subnet["SubnetId"]: subnet for subnet in subnets}
    for name, ids in (
        ("public_subnet_ids", existing.public_subnet_ids),
        ("private_subnet_ids", existing.private_subnet_ids),
    ):
        for subnet in ids:
            if places.get(subnet, {}).get("VpcId") != existing.vpc_id:
                raise InputError(f"{field}.{name}: {subnet}: no such subnet in {existing.vpc_id}", "correct it")
        if len({places[subnet]["AvailabilityZone"] for subnet in ids}) < 2:
            raise InputError(f"{field}.{name}: all are in one zone", "name subnets of two zones")


def quota_warnings(account: Account) -> list[str]:
    """Say which quotas of the account would stop a site that is not there yet, one line each."""
    ec2 = account.client("ec2")
    found = []
    with account.told():
        if account.aws.network.existing is None:
            used = len(ec2.describe_vpcs()["Vpcs"])
            most = _quota(account, *_VPCS)
            if used >= most:
                found.append(f"{account.aws.region} has {used} of {most} VPCs: delete one, or ask AWS for more")
        used = len(ec2.describe_addresses()["Addresses"])
        most = _quota(account, *_ADDRESSES)
        if used >= most:
            found.append(f"{account.aws.region} has {used} of {most} elastic IPs: release one, or ask AWS for more")
    return found


def _quota(account: Account, service: str, code: str) -> int:
    from botocore.exceptions import ClientError

    try:
        told = account.client("service-quotas").get_service_quota(ServiceCode=service, QuotaCode=code)
    except ClientError:
        # Not everybody may ask; the usual one is what most accounts have.
        return _USUAL_QUOTA
    return int(told["Quota"]["Value"])


def _session(profile: str | None) -> Session:
    try:
        from botocore.session import Session
    except ImportError:
        raise Failure("Orthweb was installed without its part for AWS", "pip install 'orthweb[aws]'") from None
    return Session(profile=profile)


@contextmanager
def _told(aws: Aws) -> Iterator[None]:
    try:
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError:
        # Told by whoever makes the session.
        yield
        return
    try:
        yield
    except ClientError as error:
        raise _of_answer(error.response, str(error.operation_name)) from None
    except BotoCoreError as error:
        raise _of_ours(error, aws) from None


def _of_answer(response: Any, operation: str) -> OrthwebError:
    """What AWS has answered."""
    code, text = response["Error"]["Code"], response["Error"].get("Message", "")
    if code in _EXPIRED:
        return Failure(f"AWS: the session has expired ({code})", _AGAIN)
    if code in _UNKNOWN:
        return Failure(f"AWS does not know these credentials ({code})", f"{_LOG_IN}; or the region is not enabled")
    if code in _DENIED:
        return Failure(f"AWS: {operation}: {text}", "use credentials that may do that, or have the permission given")
    return Failure(f"AWS: {operation}: {code}: {text}")


def _of_ours(error: Exception, aws: Aws) -> OrthwebError:
    """What went wrong before AWS was asked."""
    name = type(error).__name__
    if name == "ProfileNotFound":
        return InputError(f"orthweb.yaml: aws.profile: {aws.profile}: no such profile", "'aws configure list-profiles'")
    if name in ("NoCredentialsError", "PartialCredentialsError"):
        return Failure(f"there are no credentials for AWS: {error}", _LOG_IN)
    if "SSO" in name or name in ("TokenRetrievalError", "CredentialRetrievalError", "LoginRefreshRequired"):
        return Failure(f"AWS: {error}", _AGAIN)
    return Failure(f"AWS cannot be reached: {error}", "see that this machine reaches it, and that the region is right")
