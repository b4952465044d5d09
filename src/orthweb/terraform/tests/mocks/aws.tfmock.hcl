# Answers of an AWS that isn't there, of the form that the provider insists on.

mock_data "aws_iam_policy_document" {
  defaults = {
    json = "{\"Version\":\"2012-10-17\",\"Statement\":[]}"
  }
}

mock_data "aws_caller_identity" {
  defaults = {
    account_id = "123456789012"
  }
}

mock_data "aws_partition" {
  defaults = {
    partition = "aws"
  }
}

mock_data "aws_region" {
  defaults = {
    id = "ca-central-1"
  }
}

mock_data "aws_availability_zones" {
  defaults = {
    names = ["ca-central-1a", "ca-central-1b", "ca-central-1d"]
  }
}

mock_data "aws_ssm_parameter" {
  defaults = {
    insecure_value = "ami-00000000000000001"
  }
}

mock_data "aws_ami" {
  defaults = {
    architecture     = "x86_64"
    root_device_name = "/dev/sda1"
  }
}

mock_data "aws_vpc" {
  defaults = {
    enable_dns_support   = true
    enable_dns_hostnames = true
  }
}

mock_resource "aws_kms_key" {
  defaults = {
    arn = "arn:aws:kms:ca-central-1:123456789012:key/00000000-0000-0000-0000-000000000000"
  }
}

mock_resource "aws_s3_bucket" {
  defaults = {
    id  = "clinic-objects-0"
    arn = "arn:aws:s3:::clinic-objects-0"
  }
}

mock_resource "aws_iam_role" {
  defaults = {
    arn = "arn:aws:iam::123456789012:role/clinic"
  }
}

mock_resource "aws_secretsmanager_secret" {
  defaults = {
    arn = "arn:aws:secretsmanager:ca-central-1:123456789012:secret:clinic/users-0"
  }
}

mock_resource "aws_cloudwatch_log_group" {
  defaults = {
    arn = "arn:aws:logs:ca-central-1:123456789012:log-group:/orthweb/clinic/boot"
  }
}

mock_resource "aws_sns_topic" {
  defaults = {
    arn = "arn:aws:sns:ca-central-1:123456789012:clinic-alarms"
  }
}

mock_resource "aws_launch_template" {
  defaults = {
    id = "lt-0123456789abcdef0"
  }
}

mock_resource "aws_db_instance" {
  defaults = {
    master_user_secret = [{
      secret_arn    = "arn:aws:secretsmanager:ca-central-1:123456789012:secret:rds!db-0"
      secret_status = "active"
      kms_key_id    = "arn:aws:kms:ca-central-1:123456789012:key/00000000-0000-0000-0000-000000000000"
    }]
  }
}

mock_resource "aws_db_subnet_group" {
  defaults = {
    name = "clinic-0"
  }
}
