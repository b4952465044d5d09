# A plan by the provider itself, without AWS: it looks at every argument, which a mock does not.

provider "aws" {
  region                      = "ca-central-1"
  access_key                  = "testing"
  secret_key                  = "testing"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_region_validation      = true
  skip_requesting_account_id  = true
}

variables {
  name        = "clinic"
  environment = "production"
  zone_names  = ["ca-central-1a", "ca-central-1b"]
  ami_id      = "ami-0123456789abcdef0"
  pubkey_data = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA given"
  web_cidrs   = ["203.0.113.0/24"]
  dicom_cidrs = ["10.20.0.0/16"]
  alarm_email = "radiology@example.org"
}

override_data {
  target = data.aws_caller_identity.current
  values = { account_id = "123456789012" }
}

override_data {
  target = module.key.data.aws_caller_identity.current
  values = { account_id = "123456789012" }
}

override_data {
  target = module.network.data.aws_caller_identity.current
  values = { account_id = "123456789012" }
}

override_data {
  target = module.storage.data.aws_caller_identity.current
  values = { account_id = "123456789012" }
}

override_data {
  target = module.database.data.aws_caller_identity.current
  values = { account_id = "123456789012" }
}

override_data {
  target = module.observability.data.aws_caller_identity.current
  values = { account_id = "123456789012" }
}

override_data {
  target = module.hosts.data.aws_ami.own
  values = { architecture = "x86_64", root_device_name = "/dev/xvda" }
}

run "plan_of_a_whole_site" {
  command = plan

  assert {
    condition     = local.role_arn == "arn:aws:iam::123456789012:role/clinic-ca-central-1-host" && length(local.role_name) <= 64
    error_message = "The role that the bucket's policy names is the one that is made."
  }
}
