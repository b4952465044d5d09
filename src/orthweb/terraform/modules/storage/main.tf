# The bucket of the site: DICOM objects, and the bundle that the hosts start from.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition
  region    = data.aws_region.current.id
  # A prefix may have 37 characters.
  short = substr(var.name, 0, 27)
}

resource "aws_s3_bucket" "this" {
  # checkov:skip=CKV_AWS_144:A copy in another region is the operator's choice: patient data may have to stay where they are.
  bucket_prefix = "${local.short}-objects-"
  force_destroy = !var.keep
  tags          = merge(var.tags, { Name = "${var.name}-objects" })
}

resource "aws_s3_bucket_public_access_block" "this" {
  bucket                  = aws_s3_bucket.this.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_versioning" "this" {
  bucket = aws_s3_bucket.this.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    bucket_key_enabled = true

    apply_server_side_encryption_by_default {
      sse_algorithm     = "aws:kms"
      kms_master_key_id = var.kms_key_arn
    }
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    id     = "incomplete-uploads"
    status = "Enabled"
    filter {}

    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }

  rule {
    id     = "old-versions"
    status = "Enabled"
    filter {}

    noncurrent_version_expiration {
      noncurrent_days = var.noncurrent_days
    }

    expiration {
      expired_object_delete_marker = true
    }
  }

  # Which decides what the second rule means.
  depends_on = [aws_s3_bucket_versioning.this]
}

resource "aws_s3_bucket_logging" "this" {
  bucket        = aws_s3_bucket.this.id
  target_bucket = aws_s3_bucket_policy.logs.bucket # which lets the logs in
  target_prefix = "s3-access/"
}

resource "aws_s3_bucket_policy" "this" {
  # A policy that names a public access block that isn't there yet could be public for a moment.
  bucket = aws_s3_bucket_public_access_block.this.bucket
  policy = data.aws_iam_policy_document.this.json
}

data "aws_iam_policy_document" "this" {
  source_policy_documents = [data.aws_iam_policy_document.tls["objects"].json]

  # Also an administrator of the account has no business with patients' images. Who must, changes this policy first,
  # which leaves a trace. To delete is not denied: a development site is removed with what it holds, and in production
  # versions keep what was deleted.
  statement {
    sid       = "ObjectsAreForTheHostsAlone"
    effect    = "Deny"
    actions   = ["s3:GetObject*", "s3:PutObject*", "s3:RestoreObject"]
    resources = ["${aws_s3_bucket.this.arn}/${var.object_prefix}/*"]

    principals {
      type        = "AWS"
      identifiers = ["*"]
    }

    condition {
      test     = "ArnNotEquals"
      variable = "aws:PrincipalArn"
      values   = [var.role_arn]
    }
  }
}

data "aws_iam_policy_document" "tls" {
  for_each = { objects = aws_s3_bucket.this.arn, logs = aws_s3_bucket.logs.arn }

  statement {
    sid       = "TlsOnly"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [each.value, "${each.value}/*"]

    principals {
      type        = "AWS"
      identifiers = ["*"]
    }

    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }

  statement {
    sid       = "Tls12OrNewer"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [each.value, "${each.value}/*"]

    principals {
      type        = "AWS"
      identifiers = ["*"]
    }

    condition {
      test     = "NumericLessThan"
      variable = "s3:TlsVersion"
      values   = ["1.2"]
    }
  }
}
