"""What outlives a site on AWS whose data are to be kept, and what goes."""

from __future__ import annotations

import pytest

from orthweb.aws.lasting import divided, holds_data, kept_as

_SITE = "module.site.module"
_ARN = "arn:aws:{}:eu-central-1:123456789012:{}"


def test_all_goes_but_what_holds_data_and_what_protects_it() -> None:
    goes, stays = divided(
        [
            "module.site.aws_s3_object.values",
            f"{_SITE}.database.aws_db_instance.this",
            f"{_SITE}.database.aws_db_subnet_group.this",
            f'{_SITE}.hosts.aws_instance.this["primary"]',
            f"{_SITE}.key.aws_kms_alias.this",
            f"{_SITE}.key.aws_kms_key.this",
            f"{_SITE}.storage.aws_s3_bucket.logs",
            f"{_SITE}.storage.aws_s3_bucket_notification.this",
            f"{_SITE}.storage.aws_s3_bucket_policy.this",
        ]
    )
    assert goes == [
        "module.site.aws_s3_object.values",
        f"{_SITE}.database",
        f"{_SITE}.hosts",
        # The next site of this name wants it.
        f"{_SITE}.key.aws_kms_alias.this",
        # It tells a topic that goes.
        f"{_SITE}.storage.aws_s3_bucket_notification.this",
    ]
    assert stays == [
        f"{_SITE}.key.aws_kms_key.this",
        f"{_SITE}.storage.aws_s3_bucket.logs",
        f"{_SITE}.storage.aws_s3_bucket_policy.this",
    ]


def test_where_only_what_stays_is_left_nothing_goes() -> None:
    assert divided([f"{_SITE}.key.aws_kms_key.this"])[0] == []
    assert divided([]) == ([], [])


def test_a_bucket_and_a_key_hold_data() -> None:
    assert holds_data("aws_s3_bucket") and holds_data("aws_kms_key") and not holds_data("aws_kms_alias")


@pytest.mark.parametrize(
    ("arn", "words"),
    [
        ("arn:aws:s3:::clinic-objects-20261121231125256700000002", "the images"),
        ("arn:aws:s3:::clinic-logs-20261121231125290300000004", "the logs"),
        ("arn:aws:s3:::clinic", "a bucket"),
        (_ARN.format("kms", "key/bc1c0c28"), "the key"),
        (_ARN.format("rds", "snapshot:clinic-final"), "a snapshot of the database"),
        (_ARN.format("rds", "snapshot:rds:clinic-2026-11-21-23-30"), "an automated backup of the database"),
        (_ARN.format("rds", "auto-backup:ab-0"), "the automated backups of the database"),
        (_ARN.format("rds", "db:clinic"), None),
        (_ARN.format("kms", "alias/clinic"), None),
        (_ARN.format("ec2", "vpc/vpc-0"), None),
    ],
)
def test_what_is_kept_is_told_by_its_arn(arn: str, words: str | None) -> None:
    assert kept_as(arn) == words
