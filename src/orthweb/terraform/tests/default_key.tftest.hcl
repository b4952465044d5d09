# Run with a home folder that has a key, and with one that has none.

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
}

run "key_by_default_or_none" {
  command = plan

  module {
    source = "./modules/hosts"
  }

  assert {
    condition     = length(aws_key_pair.this) == (fileexists(pathexpand("~/.ssh/id_rsa.pub")) ? 1 : 0)
    error_message = "The default file is taken where there is one, and no key where there is none."
  }
}
