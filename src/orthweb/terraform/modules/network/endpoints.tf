# AWS services without a way through the Internet.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

data "aws_vpc" "existing" {
  count = local.made ? 0 : 1

  id = var.existing.vpc_id

  lifecycle {
    postcondition {
      condition     = self.enable_dns_support && self.enable_dns_hostnames
      error_message = "The VPC ${self.id} needs DNS support and DNS hostnames turned on: endpoints are found by name."
    }
  }
}

locals {
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition
  region    = data.aws_region.current.id

  # The hosts are in the public subnets.
  client_cidrs = local.made ? [for zone in var.zones : aws_subnet.public[zone].cidr_block] : slice(data.aws_subnet.existing[*].cidr_block, 0, length(local.public_subnet_ids))
  route_tables = local.made ? [aws_route_table.public[0].id, aws_route_table.private[0].id] : var.existing.route_table_ids
  policy_names = { monitoring = "cloudwatch", "ecr.api" = "ecr", "ecr.dkr" = "ecr" }
  # A second endpoint for a service that a VPC has one for already is refused.
  endpoints = local.made ? true : length(var.existing.route_table_ids) > 0
}

resource "aws_vpc_endpoint" "s3" {
  count = local.endpoints ? 1 : 0

  vpc_id            = local.vpc_id
  service_name      = "com.amazonaws.${local.region}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = local.route_tables
  policy            = data.aws_iam_policy_document.s3.json
  tags              = merge(var.tags, { Name = "${var.name}-s3" })
}

data "aws_iam_policy_document" "s3" {
  statement {
    sid       = "BucketsOfTheSite"
    actions   = ["s3:*Object", "s3:ListBucket*", "s3:GetBucketLocation", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]
    resources = flatten([for arn in var.bucket_arns : [arn, "${arn}/*"]])

    principals {
      type        = "AWS"
      identifiers = ["*"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:PrincipalAccount"
      values   = [local.account]
    }
  }

  # The agents of Session Manager and CloudWatch come from buckets of AWS, and so do the layers of images in ECR.
  statement {
    sid     = "DownloadsFromAws"
    actions = ["s3:GetObject"]
    resources = [
      "arn:${local.partition}:s3:::amazon-ssm-${local.region}/*",
      "arn:${local.partition}:s3:::amazoncloudwatch-agent-${local.region}/*",
      "arn:${local.partition}:s3:::prod-${local.region}-starport-layer-bucket/*",
    ]

    principals {
      type        = "AWS"
      identifiers = ["*"]
    }

    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["true"]
    }
  }
}

resource "aws_security_group" "endpoints" {
  count = local.endpoints ? 1 : 0

  name_prefix = "${var.name}-endpoints-"
  description = "HTTPS from the subnets of the hosts to AWS services"
  vpc_id      = local.vpc_id
  tags        = merge(var.tags, { Name = "${var.name}-endpoints" })

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_ingress_rule" "endpoints" {
  count = local.endpoints ? length(local.public_subnet_ids) : 0

  security_group_id = aws_security_group.endpoints[0].id
  description       = "HTTPS from the subnets of the hosts"
  cidr_ipv4         = local.client_cidrs[count.index]
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  tags              = var.tags
}

resource "aws_vpc_endpoint" "interface" {
  for_each = local.endpoints ? var.interface_endpoints : []

  vpc_id              = local.vpc_id
  service_name        = "com.amazonaws.${local.region}.${each.key}"
  vpc_endpoint_type   = "Interface"
  subnet_ids          = local.private_subnet_ids
  security_group_ids  = aws_security_group.endpoints[*].id
  private_dns_enabled = true
  policy              = data.aws_iam_policy_document.interface[each.key].json
  tags                = merge(var.tags, { Name = "${var.name}-${each.key}" })
}

data "aws_iam_policy_document" "interface" {
  for_each = var.interface_endpoints

  statement {
    sid       = "OfThisAccount"
    actions   = ["${lookup(local.policy_names, each.key, each.key)}:*"]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = ["*"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:PrincipalAccount"
      values   = [local.account]
    }
  }
}
