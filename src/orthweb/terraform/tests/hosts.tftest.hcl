# Two hosts: their doors, their disks, their image and the key that may log in.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name             = "clinic"
  vpc_id           = "vpc-0123456789abcdef0"
  subnet_ids       = ["subnet-0000000000000000a", "subnet-0000000000000000b", "subnet-0000000000000000c"]
  instance_profile = "clinic-host"
  kms_key_arn      = "arn:aws:kms:ca-central-1:123456789012:key/00000000-0000-0000-0000-000000000000"
  user_data        = "#cloud-config"
  pubkey_data      = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA given"
}

run "only_the_given_networks_reach_the_two_ports" {
  command = plan

  module {
    source = "./modules/hosts"
  }

  variables {
    web_cidrs   = ["203.0.113.0/24", "2001:db8::/32"]
    dicom_cidrs = ["10.20.0.0/16", "2001:db8:7::/48"]
    send_cidrs  = ["192.0.2.0/28"]
  }

  assert {
    condition = { for rule in aws_vpc_security_group_ingress_rule.doors : coalesce(rule.cidr_ipv4, rule.cidr_ipv6) => "${rule.ip_protocol} ${rule.from_port}-${rule.to_port}" } == {
      "203.0.113.0/24"  = "tcp 443-443"
      "2001:db8::/32"   = "tcp 443-443"
      "10.20.0.0/16"    = "tcp 11112-11112"
      "2001:db8:7::/48" = "tcp 11112-11112"
    }
    error_message = "Each network has its own port, and there is no other way in."
  }

  assert {
    condition     = alltrue([for rule in aws_vpc_security_group_ingress_rule.doors : rule.from_port > 22 || rule.to_port < 22])
    error_message = "There is no port for SSH."
  }

  assert {
    condition = { for rule in aws_vpc_security_group_egress_rule.ways_out : "${coalesce(rule.cidr_ipv4, rule.cidr_ipv6)} ${rule.from_port}" => rule.to_port } == {
      "0.0.0.0/0 80"      = 80
      "0.0.0.0/0 443"     = 443
      "10.20.0.0/16 1"    = 65535
      "2001:db8:7::/48 1" = 65535
      "192.0.2.0/28 1"    = 65535
    }
    error_message = "Hosts reach the web for packages, and devices in their own networks."
  }
}

run "nobody_comes_in_unless_named" {
  command = plan

  module {
    source = "./modules/hosts"
  }

  assert {
    condition     = length(aws_vpc_security_group_ingress_rule.doors) == 0
    error_message = "Without networks every door is shut."
  }

  assert {
    condition     = { for role, host in aws_instance.this : role => host.subnet_id } == { primary = "subnet-0000000000000000a", secondary = "subnet-0000000000000000b" }
    error_message = "The two hosts are in two zones."
  }

  assert {
    condition     = aws_launch_template.this.metadata_options[0].http_tokens == "required" && aws_launch_template.this.metadata_options[0].http_put_response_hop_limit == 2
    error_message = "The metadata service wants a token, and containers reach it."
  }

  assert {
    condition     = aws_launch_template.this.block_device_mappings[0].device_name == "/dev/xvda" && tostring(aws_launch_template.this.block_device_mappings[0].ebs[0].encrypted) == "true"
    error_message = "Debian's disk is encrypted."
  }

  assert {
    condition     = data.aws_ssm_parameter.debian[0].name == "/aws/service/debian/release/13/latest/amd64"
    error_message = "The hosts run Debian 13 unless an image is given."
  }
}

run "graviton_hosts_get_an_image_for_arm" {
  command = plan

  module {
    source = "./modules/hosts"
  }

  variables {
    instance_type = "m7gd.large"
  }

  assert {
    condition     = data.aws_ssm_parameter.debian[0].name == "/aws/service/debian/release/13/latest/arm64"
    error_message = "The image is for the processor of the instance type."
  }
}

run "an_image_of_ones_own_has_its_first_disk_encrypted" {
  command = plan

  module {
    source = "./modules/hosts"
  }

  variables {
    ami_id = "ami-0123456789abcdef0"
  }

  assert {
    condition     = aws_launch_template.this.image_id == "ami-0123456789abcdef0" && aws_launch_template.this.block_device_mappings[0].device_name == "/dev/sda1"
    error_message = "The device is the one that the image starts from."
  }
}

run "an_image_for_another_processor_is_refused" {
  command = plan

  module {
    source = "./modules/hosts"
  }

  variables {
    ami_id        = "ami-0123456789abcdef0"
    instance_type = "t4g.medium"
  }

  expect_failures = [data.aws_ami.own]
}

run "key_given_as_text" {
  command = plan

  module {
    source = "./modules/hosts"
  }

  variables {
    pubkey_path = "tests/keys/site.pub"
  }

  assert {
    condition     = endswith(aws_key_pair.this[0].public_key, " given")
    error_message = "Text goes before a file."
  }
}

run "key_given_as_file" {
  command = plan

  module {
    source = "./modules/hosts"
  }

  variables {
    pubkey_data = ""
    pubkey_path = "tests/keys/site.pub"
  }

  assert {
    condition     = endswith(aws_key_pair.this[0].public_key, " from-a-file")
    error_message = "A file goes before the default file."
  }
}

run "key_that_is_private_is_refused" {
  command = plan

  module {
    source = "./modules/hosts"
  }

  variables {
    pubkey_data = "-----BEGIN OPENSSH PRIVATE KEY-----"
  }

  expect_failures = [aws_key_pair.this]
}
