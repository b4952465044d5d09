# What holds data: database, buckets, key and secrets, in production and in development.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name                     = "clinic"
  vpc_id                   = "vpc-0123456789abcdef0"
  subnet_ids               = ["subnet-0000000000000000c", "subnet-0000000000000000d"]
  client_security_group_id = "sg-0123456789abcdef0"
  kms_key_arn              = "arn:aws:kms:ca-central-1:123456789012:key/00000000-0000-0000-0000-000000000000"
  role_arn                 = "arn:aws:iam::123456789012:role/clinic-host"
  alarm_topic_arn          = "arn:aws:sns:ca-central-1:123456789012:clinic-alarms"
}

run "a_database_of_production" {
  command = plan

  module {
    source = "./modules/database"
  }

  assert {
    condition     = aws_db_instance.this.deletion_protection && !aws_db_instance.this.skip_final_snapshot && !aws_db_instance.this.delete_automated_backups
    error_message = "It refuses to be deleted, and leaves a snapshot and its backups."
  }

  assert {
    condition     = aws_db_instance.this.storage_encrypted && aws_db_instance.this.multi_az && !aws_db_instance.this.publicly_accessible
    error_message = "It is encrypted, has a standby and is not reached from the Internet."
  }

  assert {
    condition     = aws_db_instance.this.manage_master_user_password && aws_db_instance.this.password == null
    error_message = "RDS makes the password."
  }

  assert {
    condition     = one([for parameter in aws_db_parameter_group.this.parameter : parameter.value if parameter.name == "rds.force_ssl"]) == "1"
    error_message = "Without TLS nobody is let in."
  }

  assert {
    condition     = aws_vpc_security_group_ingress_rule.hosts.referenced_security_group_id == "sg-0123456789abcdef0" && aws_vpc_security_group_ingress_rule.hosts.cidr_ipv4 == null
    error_message = "The hosts are admitted, and no network is."
  }

  assert {
    condition     = alltrue([for group in aws_cloudwatch_log_group.this : group.retention_in_days == 365 && group.kms_key_id == var.kms_key_arn])
    error_message = "Its logs are encrypted and end."
  }
}

run "a_database_of_development" {
  command = plan

  module {
    source = "./modules/database"
  }

  variables {
    protected      = false
    keep           = false
    engine_version = "16"
    storage_gb     = 65536
  }

  assert {
    condition     = !aws_db_instance.this.deletion_protection && aws_db_instance.this.skip_final_snapshot
    error_message = "It goes without a trace."
  }

  assert {
    condition     = aws_db_parameter_group.this.family == "postgres16" && aws_db_instance.this.auto_minor_version_upgrade
    error_message = "RDS raises the minor version of the version that was asked for."
  }

  assert {
    condition     = aws_db_instance.this.max_allocated_storage == 65536
    error_message = "RDS has no larger disk."
  }
}

run "buckets_of_production" {
  command = plan

  module {
    source = "./modules/storage"
  }

  assert {
    condition     = !aws_s3_bucket.this.force_destroy && !aws_s3_bucket.logs.force_destroy
    error_message = "A bucket with objects is not deleted."
  }

  assert {
    condition     = alltrue([for block in [aws_s3_bucket_public_access_block.this, aws_s3_bucket_public_access_block.logs] : block.block_public_acls && block.block_public_policy && block.ignore_public_acls && block.restrict_public_buckets])
    error_message = "Nothing is public."
  }

  assert {
    condition     = one(aws_s3_bucket_notification.this.topic).events == toset(["s3:ObjectRemoved:Delete"]) && one(aws_s3_bucket_notification.logs.topic).events == toset(["s3:ObjectRemoved:*"])
    error_message = "Who deletes an image for good, or a log, is told of; a delete marker of the hosts is none."
  }
}

run "buckets_of_development" {
  command = plan

  module {
    source = "./modules/storage"
  }

  variables {
    name = "a-site-whose-name-is-as-long-as-32"
    keep = false
  }

  assert {
    condition     = aws_s3_bucket.this.force_destroy && aws_s3_bucket.logs.force_destroy
    error_message = "A bucket is deleted with its objects."
  }

  assert {
    condition     = length(aws_s3_bucket.this.bucket_prefix) <= 37 && length(aws_s3_bucket.logs.bucket_prefix) <= 37
    error_message = "S3 takes no longer prefix."
  }
}

run "the_key_turns_every_year" {
  command = plan

  module {
    source = "./modules/key"
  }

  assert {
    condition     = aws_kms_key.this.enable_key_rotation && aws_kms_key.this.deletion_window_in_days == 30
    error_message = "The key is rotated, and can be brought back for a month."
  }
}
