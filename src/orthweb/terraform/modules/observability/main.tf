# Logs that last, and alarms that reach somebody.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition
  region    = data.aws_region.current.id
}

resource "aws_cloudwatch_log_group" "this" {
  for_each = toset(["boot", "containers", "envoy"])

  name              = "/orthweb/${var.name}/${each.key}"
  retention_in_days = var.log_days
  kms_key_id        = var.kms_key_arn
  tags              = merge(var.tags, { Name = "/orthweb/${var.name}/${each.key}" })
}

resource "aws_sns_topic" "this" {
  name_prefix       = "${var.name}-alarms-"
  kms_master_key_id = var.kms_key_arn
  tags              = merge(var.tags, { Name = "${var.name}-alarms" })
}

resource "aws_sns_topic_policy" "this" {
  arn    = aws_sns_topic.this.arn
  policy = data.aws_iam_policy_document.topic.json
}

data "aws_iam_policy_document" "topic" {
  statement {
    sid       = "AlarmsOfThisAccount"
    actions   = ["sns:Publish"]
    resources = [aws_sns_topic.this.arn]

    principals {
      type        = "Service"
      identifiers = ["cloudwatch.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }

    condition {
      test     = "ArnLike"
      variable = "aws:SourceArn"
      values   = ["arn:${local.partition}:cloudwatch:${local.region}:${local.account}:alarm:${var.name}-*"]
    }
  }

  statement {
    sid       = "EventsOfBuckets"
    actions   = ["sns:Publish"]
    resources = [aws_sns_topic.this.arn]

    principals {
      type        = "Service"
      identifiers = ["s3.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }

    condition {
      test     = "ArnLike"
      variable = "aws:SourceArn"
      values   = var.bucket_arns
    }
  }
}

resource "aws_sns_topic_subscription" "mail" {
  count = var.alarm_email != "" ? 1 : 0

  topic_arn = aws_sns_topic.this.arn
  protocol  = "email"
  endpoint  = var.alarm_email
}

locals {
  database = { DBInstanceIdentifier = var.database_identifier }
  gigabyte = 1024 * 1024 * 1024

  # The statistic is the bad end of a period, but for the processor, which may have short bursts.
  of_database = {
    database-silent = {
      description = "The database reports nothing: it is stopped or gone"
      metric      = "CPUUtilization", statistic = "SampleCount", threshold = 1, comparison = "LessThanThreshold"
    }
    database-connections = {
      description = "Four fifths of the database's connections are taken: more replicas would find none"
      metric      = "DatabaseConnections", statistic = "Maximum", threshold = floor(var.max_connections * 0.8), comparison = "GreaterThanThreshold"
    }
    database-disk = {
      description = "The database's disk has less than 5 GB left"
      metric      = "FreeStorageSpace", statistic = "Minimum", threshold = 5 * local.gigabyte, comparison = "LessThanThreshold"
    }
    database-memory = {
      description = "The database has less than 128 MB of memory left"
      metric      = "FreeableMemory", statistic = "Minimum", threshold = 128 * 1024 * 1024, comparison = "LessThanThreshold"
    }
    database-processor = {
      description = "The database's processor is busy: storing gets slow"
      metric      = "CPUUtilization", statistic = "Average", threshold = 90, comparison = "GreaterThanThreshold"
    }
  }

  of_hosts = merge([for role in keys(var.instance_ids) : {
    "${role}-disk" = {
      role        = role
      description = "The disk of the ${role} host is nearly full"
      metric      = "DiskUsedPercent", threshold = 85, comparison = "GreaterThanThreshold"
    }
    "${role}-certificate" = {
      role        = role
      description = "The site's certificate on the ${role} host has less than 30 days left: 'orthweb certs rotate'"
      metric      = "CertificateDaysLeft", threshold = 30, comparison = "LessThanThreshold"
    }
  }]...)
}

resource "aws_cloudwatch_metric_alarm" "database" {
  for_each = local.of_database

  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.description
  namespace           = "AWS/RDS"
  metric_name         = each.value.metric
  dimensions          = local.database
  statistic           = each.value.statistic
  period              = 300
  evaluation_periods  = 2
  threshold           = each.value.threshold
  comparison_operator = each.value.comparison
  treat_missing_data  = each.value.statistic == "SampleCount" ? "breaching" : "missing"
  alarm_actions       = [aws_sns_topic.this.arn]
  ok_actions          = [aws_sns_topic.this.arn]
  tags                = var.tags
}

# A host that was stopped on purpose reports nothing, which is no alarm.
resource "aws_cloudwatch_metric_alarm" "status" {
  for_each = var.instance_ids

  alarm_name          = "${var.name}-${each.key}-status"
  alarm_description   = "The ${each.key} host fails a status check of EC2"
  namespace           = "AWS/EC2"
  metric_name         = "StatusCheckFailed"
  dimensions          = { InstanceId = each.value }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 3
  threshold           = 0
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.this.arn]
  ok_actions          = [aws_sns_topic.this.arn]
  tags                = var.tags
}

resource "aws_cloudwatch_metric_alarm" "host" {
  for_each = local.of_hosts

  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.description
  namespace           = var.metric_namespace
  metric_name         = each.value.metric
  dimensions          = { Host = each.value.role }
  statistic           = each.value.comparison == "LessThanThreshold" ? "Minimum" : "Maximum"
  period              = 300
  evaluation_periods  = 1
  threshold           = each.value.threshold
  comparison_operator = each.value.comparison
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.this.arn]
  ok_actions          = [aws_sns_topic.this.arn]
  tags                = var.tags
}
