"""The bucket that keeps Terraform's state, for a site that several people look after."""

from __future__ import annotations

import json
from typing import Any

from orthweb.aws.account import Account
from orthweb.errors import InputError


def ensure_state_bucket(account: Account, create: bool) -> bool:
    """See that the bucket of `aws.state` is there; returns whether it was made now.

    A bucket that is made has versions, is encrypted, closed to the public, and answers over TLS alone.

    Raises
    ------
    InputError
        There is no such bucket, and it is not to be made; or it is somebody else's.
    Failure
        AWS refuses.
    """
    place = account.aws.state_place()
    if place is None:
        return False
    bucket, _ = place
    s3 = account.client("s3")
    with account.told():
        status = _status(s3, bucket)
        if status == 404:
            if not create:
                raise InputError(
                    f"orthweb.yaml: aws.state: s3://{bucket}: no such bucket", "add --create-state to have it made"
                )
            _make(s3, bucket, account)
            return True
        if status in (301, 400, 403):
            raise InputError(
                f"orthweb.yaml: aws.state: s3://{bucket}: is of another account or region ({status})",
                "name a bucket of this account, in the site's region",
            )
    return False


def _status(s3: Any, bucket: str) -> int:
    from botocore.exceptions import ClientError

    try:
        s3.head_bucket(Bucket=bucket)
    except ClientError as error:
        return int(error.response["ResponseMetadata"]["HTTPStatusCode"])
    return 200


def _make(s3: Any, bucket: str, account: Account) -> None:
    # us-east-1 is where a bucket comes without being told, and it may not be told.
    region = account.aws.region
    place = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    s3.create_bucket(Bucket=bucket, **place)
    try:
        _close(s3, bucket, account.partition)
    except BaseException:
        # Half of its protection is none: the next try makes it anew.
        s3.delete_bucket(Bucket=bucket)
        raise


def _close(s3: Any, bucket: str, partition: str) -> None:
    s3.put_public_access_block(
        Bucket=bucket,
        PublicAccessBlockConfiguration=dict.fromkeys(
            ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True
        ),
    )
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_bucket_encryption(
        Bucket=bucket,
        ServerSideEncryptionConfiguration={
            "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}, "BucketKeyEnabled": True}]
        },
    )
    statement = {
        "Sid": "OnlyOverTls",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [f"arn:{partition}:s3:::{bucket}", f"arn:{partition}:s3:::{bucket}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
