# A site of its own network, for a hospital that reaches it from two networks.

terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 7.0"
    }
  }
}

provider "aws" {
  region = "ca-central-1"
}

module "orthweb" {
  source = "../.."

  name        = "clinic"
  environment = "production"
  owner       = "radiology@example.org"
  alarm_email = "radiology@example.org"

  zones       = 3
  vpc_cidr    = "10.40.0.0/20"
  web_cidrs   = ["203.0.113.0/24"]
  dicom_cidrs = ["203.0.113.64/26"]

  instance_type       = "m7g.large"
  database_class      = "db.m7g.large"
  database_storage_gb = 100
  backup_days         = 35
  interface_endpoints = ["secretsmanager", "kms", "ssm", "ssmmessages", "ec2messages", "logs"]

  tags = {
    CostCentre = "4711"
  }
}

output "site_address" {
  description = "Where browsers and modalities reach the site."
  value       = module.orthweb.site_address
}

output "host_info" {
  description = "The two hosts, for Session Manager."
  value       = module.orthweb.host_info
}
