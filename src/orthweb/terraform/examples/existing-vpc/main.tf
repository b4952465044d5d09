# A site in a network that is there already, with routes and endpoints of its own.

terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 7.0"
    }
  }
}

variable "vpc_id" {
  description = "The network: its public subnets lead to an internet gateway, and DNS hostnames are turned on."
  type        = string
}

variable "public_subnet_ids" {
  description = "Subnets of the hosts, the first two in different zones."
  type        = list(string)
}

variable "private_subnet_ids" {
  description = "Subnets of the database, in two zones at least."
  type        = list(string)
}

provider "aws" {
  region = "ca-central-1"
}

module "orthweb" {
  source = "../.."

  name  = "clinic"
  owner = "radiology@example.org"

  existing_network = {
    vpc_id             = var.vpc_id
    public_subnet_ids  = var.public_subnet_ids
    private_subnet_ids = var.private_subnet_ids
  }

  web_cidrs   = ["203.0.113.0/24"]
  dicom_cidrs = ["203.0.113.64/26"]
}

output "site_address" {
  description = "Where browsers and modalities reach the site."
  value       = module.orthweb.site_address
}
