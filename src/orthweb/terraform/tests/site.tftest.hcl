# The modules together: what production keeps, what development gives up, and what a host is told.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name        = "clinic"
  owner       = "radiology@example.org"
  pubkey_data = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA given"
  web_cidrs   = ["203.0.113.0/24"]
  dicom_cidrs = ["10.20.0.0/16"]
}

run "a_development_site_is_removed_with_what_it_holds" {
  command = apply

  assert {
    condition     = output.site.protected == false && output.site.keep_data == false
    error_message = "A development site is neither protected nor kept."
  }

  assert {
    condition     = output.host_info == "Primary:${output.site.hosts.primary.id} Secondary:${output.site.hosts.secondary.id}"
    error_message = "The hosts are named as in the guide."
  }

  assert {
    condition     = output.s3_bucket == "clinic-objects-0.s3.ca-central-1.amazonaws.com"
    error_message = "The bucket is named as in the guide."
  }

  assert {
    condition     = startswith(local.user_data, "#cloud-config\n") && length(local.user_data) < 2048
    error_message = "User data are a small cloud-config."
  }

  assert {
    condition     = keys(yamldecode(local.user_data)) == ["write_files"] && keys(jsondecode(yamldecode(local.user_data).write_files[0].content)) == ["bucket", "bundle", "images", "region", "site", "values_key"]
    error_message = "User data hold names alone."
  }

  assert {
    condition     = !can(regex("(?i)password|secret|token|private|ssh-", local.user_data))
    error_message = "User data hold no secret and no key."
  }

  assert {
    condition     = jsondecode(aws_s3_object.values.content).database.secret == "arn:aws:secretsmanager:ca-central-1:123456789012:secret:rds!db-0"
    error_message = "A host is told the name of the database's secret."
  }

  assert {
    condition     = keys(jsondecode(aws_s3_object.values.content).secrets) == ["internal", "server-certificate", "users"]
    error_message = "A host is told the names of the site's secrets."
  }
}

run "production_is_protected_and_kept" {
  command = plan

  variables {
    environment = "production"
  }

  assert {
    condition     = local.protected && local.keep
    error_message = "Production is protected and its data are kept."
  }
}

run "to_remove_production_its_protection_is_taken_back_and_its_data_stay" {
  command = plan

  variables {
    environment = "production"
    protected   = false
  }

  assert {
    condition     = !local.protected && local.keep
    error_message = "What is kept is another question than what may be deleted."
  }
}

run "options_of_the_guide" {
  command = plan

  variables {
    DeploymentOptions = { InstanceType = "t2.medium", OrthancImg = "orthanc:1", EnvoyImg = "envoy:1" }
    images            = { envoy = "envoy:2" }
  }

  assert {
    condition     = local.instance_type == "t2.medium" && local.images == { orthanc = "orthanc:1", envoy = "envoy:2" }
    error_message = "The guide's variable is taken, and this module's own ones go before."
  }
}

run "zones_by_name" {
  command = plan

  variables {
    zone_names = ["ca-central-1d", "ca-central-1a"]
  }

  assert {
    condition     = join(" ", local.zones) == "ca-central-1d ca-central-1a" && length(data.aws_availability_zones.available) == 0
    error_message = "Zones that are named are not looked up."
  }
}
