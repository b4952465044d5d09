# Subnets, zones and endpoints of a VPC that is made, and what is left alone in one that exists.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name                = "clinic"
  zones               = ["ca-central-1a", "ca-central-1b"]
  bucket_arns         = ["arn:aws:s3:::clinic-objects"]
  flow_log_bucket_arn = "arn:aws:s3:::clinic-logs"
}

override_data {
  target = data.aws_subnet.existing[0]
  values = { vpc_id = "vpc-0123456789abcdef0", availability_zone = "ca-central-1a", cidr_block = "10.1.0.0/24" }
}

override_data {
  target = data.aws_subnet.existing[1]
  values = { vpc_id = "vpc-0123456789abcdef0", availability_zone = "ca-central-1b", cidr_block = "10.1.1.0/24" }
}

override_data {
  target = data.aws_subnet.existing[2]
  values = { vpc_id = "vpc-0123456789abcdef0", availability_zone = "ca-central-1a", cidr_block = "10.1.2.0/24" }
}

override_data {
  target = data.aws_subnet.existing[3]
  values = { vpc_id = "vpc-0123456789abcdef0", availability_zone = "ca-central-1b", cidr_block = "10.1.3.0/24" }
}

run "two_zones_of_a_16" {
  command = plan

  module {
    source = "./modules/network"
  }

  assert {
    condition     = length(aws_subnet.public) == 2 && length(aws_subnet.private) == 2
    error_message = "Each zone has a public and a private subnet."
  }

  assert {
    condition = [for subnet in concat(values(aws_subnet.public), values(aws_subnet.private)) : subnet.cidr_block] == [
      "172.27.0.0/19", "172.27.32.0/19", "172.27.128.0/19", "172.27.160.0/19",
    ]
    error_message = "Each subnet is an eighth of the range, and none overlaps another."
  }

  assert {
    condition     = alltrue([for subnet in concat(values(aws_subnet.public), values(aws_subnet.private)) : subnet.map_public_ip_on_launch == false])
    error_message = "No subnet hands out public addresses by itself."
  }

  assert {
    condition     = length(aws_route.internet) == 1 && length(aws_route_table_association.private) == 2
    error_message = "There is one way to the Internet, and private subnets have a table of their own."
  }

  assert {
    condition     = length(aws_flow_log.this) == 1 && aws_flow_log.this[0].traffic_type == "ALL"
    error_message = "All traffic of the VPC is logged."
  }

  assert {
    condition     = toset(keys(aws_vpc_endpoint.interface)) == toset(["secretsmanager", "kms"]) && length(aws_vpc_endpoint.s3) == 1
    error_message = "S3, Secrets Manager and KMS are reached without the Internet."
  }

  assert {
    condition     = [for rule in aws_vpc_security_group_ingress_rule.endpoints : rule.cidr_ipv4] == ["172.27.0.0/19", "172.27.32.0/19"]
    error_message = "Endpoints are reached from the subnets of the hosts alone."
  }
}

run "three_zones_of_a_24" {
  command = plan

  module {
    source = "./modules/network"
  }

  variables {
    cidr  = "10.9.8.0/24"
    zones = ["ca-central-1a", "ca-central-1b", "ca-central-1d"]
  }

  assert {
    condition = [for subnet in concat(values(aws_subnet.public), values(aws_subnet.private)) : subnet.cidr_block] == [
      "10.9.8.0/27", "10.9.8.32/27", "10.9.8.64/27", "10.9.8.128/27", "10.9.8.160/27", "10.9.8.192/27",
    ]
    error_message = "Six subnets of 32 addresses fit, and none overlaps another."
  }

  assert {
    condition     = [for zone, subnet in aws_subnet.private : subnet.availability_zone] == ["ca-central-1a", "ca-central-1b", "ca-central-1d"]
    error_message = "Each subnet is in its own zone."
  }
}

run "endpoints_on_request" {
  command = plan

  module {
    source = "./modules/network"
  }

  variables {
    interface_endpoints = ["secretsmanager", "kms", "ssm", "ssmmessages", "ec2messages", "logs", "monitoring", "ecr.api", "ecr.dkr"]
  }

  assert {
    condition     = length(aws_vpc_endpoint.interface) == 9 && alltrue([for endpoint in aws_vpc_endpoint.interface : endpoint.private_dns_enabled])
    error_message = "Each service asked for has an endpoint that answers to its public name."
  }
}

run "an_existing_vpc_is_left_as_it_is" {
  command = plan

  module {
    source = "./modules/network"
  }

  variables {
    zones = []
    existing = {
      vpc_id             = "vpc-0123456789abcdef0"
      public_subnet_ids  = ["subnet-0000000000000000a", "subnet-0000000000000000b"]
      private_subnet_ids = ["subnet-0000000000000000c", "subnet-0000000000000000d"]
    }
  }

  assert {
    condition = sum([
      length(aws_vpc.this), length(aws_subnet.public), length(aws_subnet.private), length(aws_internet_gateway.this),
      length(aws_route.internet), length(aws_default_security_group.this), length(aws_flow_log.this),
    ]) == 0
    error_message = "No VPC, subnet, gateway, route or flow log is made."
  }

  assert {
    condition     = length(aws_vpc_endpoint.s3) + length(aws_vpc_endpoint.interface) == 0
    error_message = "Endpoints stay those of the VPC's owner unless route tables are named."
  }

  assert {
    condition     = output.vpc_id == "vpc-0123456789abcdef0" && output.public_subnet_ids[0] == "subnet-0000000000000000a"
    error_message = "What was given is handed on."
  }
}

run "an_existing_vpc_gets_endpoints_when_its_route_tables_are_named" {
  command = plan

  module {
    source = "./modules/network"
  }

  variables {
    zones = []
    existing = {
      vpc_id             = "vpc-0123456789abcdef0"
      public_subnet_ids  = ["subnet-0000000000000000a", "subnet-0000000000000000b"]
      private_subnet_ids = ["subnet-0000000000000000c", "subnet-0000000000000000d"]
      route_table_ids    = ["rtb-0123456789abcdef0"]
    }
  }

  assert {
    condition     = aws_vpc_endpoint.s3[0].route_table_ids == toset(["rtb-0123456789abcdef0"]) && length(aws_vpc_endpoint.interface) == 2
    error_message = "The endpoints are in the tables and subnets that were given."
  }

  assert {
    condition     = [for rule in aws_vpc_security_group_ingress_rule.endpoints : rule.cidr_ipv4] == ["10.1.0.0/24", "10.1.1.0/24"]
    error_message = "They are reached from the public subnets, where the hosts are."
  }
}

run "two_hosts_in_one_zone_are_refused" {
  command = plan

  module {
    source = "./modules/network"
  }

  variables {
    zones = []
    existing = {
      vpc_id             = "vpc-0123456789abcdef0"
      public_subnet_ids  = ["subnet-0000000000000000a", "subnet-0000000000000000b"]
      private_subnet_ids = ["subnet-0000000000000000c", "subnet-0000000000000000d"]
    }
  }

  override_data {
    target = data.aws_subnet.existing[1]
    values = { vpc_id = "vpc-0123456789abcdef0", availability_zone = "ca-central-1a" }
  }

  expect_failures = [output.public_subnet_ids]
}
