# Values that are refused before anything is made: each variable's message is in its module.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name                     = "clinic"
  vpc_id                   = "vpc-0123456789abcdef0"
  subnet_ids               = ["subnet-0000000000000000a", "subnet-0000000000000000b"]
  client_security_group_id = "sg-0123456789abcdef0"
  kms_key_arn              = "arn:aws:kms:ca-central-1:123456789012:key/00000000-0000-0000-0000-000000000000"
  role_arn                 = "arn:aws:iam::123456789012:role/clinic-host"
  role_name                = "clinic-host"
  alarm_topic_arn          = "arn:aws:sns:ca-central-1:123456789012:clinic-alarms"
  instance_profile         = "clinic-host"
  user_data                = "#cloud-config"
  bucket_arn               = "arn:aws:s3:::clinic-objects"
  bucket_arns              = ["arn:aws:s3:::clinic-objects"]
  flow_log_bucket_arn      = "arn:aws:s3:::clinic-logs"
  host_prefix              = "host"
  object_prefix            = "objects"
  database_secret_arn      = "arn:aws:secretsmanager:ca-central-1:123456789012:secret:rds!db-0"
  log_group_arns           = ["arn:aws:logs:ca-central-1:123456789012:log-group:/orthweb/clinic/boot"]
  metric_namespace         = "Orthweb/clinic"
  database_identifier      = "clinic"
  max_connections          = 200
  instance_ids             = { primary = "i-0123456789abcdef0" }
  pubkey_data              = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA given"
  zones                    = ["ca-central-1a", "ca-central-1b"]
}

run "site" {
  command = plan

  variables {
    name        = "Clinic_1"
    environment = "prod"
    owner       = "radiology; <office>"
    zones       = 4
    bundle      = { path = "/nowhere/bundle.tar.gz", sha256 = "0000000000000000000000000000000000000000000000000000000000000000" }
    site_json   = "[1]"
  }

  expect_failures = [var.name, var.environment, var.owner, var.zones, var.bundle, var.site_json]
}

run "site_with_a_long_name_and_a_wrong_sum" {
  command = plan

  variables {
    name   = "a-b-c-d-e-f-g-h-i-j-k-l-m-n-o-p-q-r"
    zones  = 2
    bundle = { path = "tests/keys/site.pub", sha256 = "not-a-sum" }
  }

  expect_failures = [var.name, var.bundle]
}

run "site_with_a_name_of_aws_and_the_sum_of_another_file" {
  command = plan

  variables {
    name      = "sg-clinic"
    zones     = 2
    bundle    = { path = "tests/keys/site.pub", sha256 = "0000000000000000000000000000000000000000000000000000000000000000" }
    site_json = "name: clinic"
  }

  expect_failures = [var.name, var.bundle, var.site_json]
}

run "key" {
  command = plan

  module {
    source = "./modules/key"
  }

  variables {
    deletion_window_days = 5
  }

  expect_failures = [var.deletion_window_days]
}

run "network" {
  command = plan

  module {
    source = "./modules/network"
  }

  variables {
    cidr                = "172.27.0.1/16"
    zones               = ["ca-central-1a", "ca-central-1a"]
    interface_endpoints = ["sqs"]
  }

  expect_failures = [var.cidr, var.zones, var.interface_endpoints]
}

run "network_too_small" {
  command = plan

  module {
    source = "./modules/network"
  }

  variables {
    cidr  = "172.27.0.0/25"
    zones = ["ca-central-1a"]
  }

  expect_failures = [var.cidr, var.zones]
}

run "network_that_is_no_network" {
  command = plan

  module {
    source = "./modules/network"
  }

  variables {
    existing = {
      vpc_id             = "my-vpc"
      public_subnet_ids  = ["subnet-0000000000000000a", "subnet-0000000000000000b"]
      private_subnet_ids = ["subnet-0000000000000000c"]
    }
  }

  expect_failures = [var.existing]
}

run "subnets_of_another_network" {
  command = plan

  module {
    source = "./modules/network"
  }

  variables {
    existing = {
      vpc_id             = "vpc-0123456789abcdef0"
      public_subnet_ids  = ["subnet-0000000000000000a", "subnet-0000000000000000b"]
      private_subnet_ids = ["subnet-0000000000000000c", "subnet-0000000000000000d"]
    }
  }

  expect_failures = [data.aws_subnet.existing]
}

run "storage" {
  command = plan

  module {
    source = "./modules/storage"
  }

  variables {
    object_prefix   = "/objects/"
    noncurrent_days = 0
    log_days        = 0
  }

  expect_failures = [var.object_prefix, var.noncurrent_days, var.log_days]
}

run "database" {
  command = plan

  module {
    source = "./modules/database"
  }

  variables {
    name            = "1-clinic"
    subnet_ids      = ["subnet-0000000000000000a"]
    engine_version  = "17.5"
    instance_class  = "t4g.small"
    storage_gb      = 10
    max_storage_gb  = 10
    max_connections = 10
    backup_days     = 0
  }

  expect_failures = [
    var.name, var.subnet_ids, var.engine_version, var.instance_class, var.storage_gb, var.max_storage_gb,
    var.max_connections, var.backup_days,
  ]
}

run "identity" {
  command = plan

  module {
    source = "./modules/identity"
  }

  variables {
    recovery_days = 3
  }

  expect_failures = [var.recovery_days]
}

run "hosts" {
  command = plan

  module {
    source = "./modules/hosts"
  }

  variables {
    subnet_ids    = ["subnet-0000000000000000a"]
    instance_type = "large"
    ami_id        = "debian-13"
    disk_gb       = 10
    web_cidrs     = ["203.0.113.7/24"]
    dicom_cidrs   = ["2001:db8::1/32"]
    send_cidrs    = ["everybody"]
    pubkey_path   = "/nowhere/id.pub"
    user_data     = join("", [for number in range(1000) : "0123456789"])
  }

  expect_failures = [
    var.subnet_ids, var.instance_type, var.ami_id, var.disk_gb, var.web_cidrs, var.dicom_cidrs, var.send_cidrs,
    var.pubkey_path, var.user_data,
  ]
}

run "observability" {
  command = plan

  module {
    source = "./modules/observability"
  }

  variables {
    log_days    = 100
    alarm_email = "the office"
  }

  expect_failures = [var.log_days, var.alarm_email]
}
