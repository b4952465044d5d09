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
    condition     = jsondecode(aws_s3_object.values.content).description == {}
    error_message = "Where nothing is said of the site, a host is told nothing."
  }

  assert {
    condition     = length(aws_s3_object.bundle) == 0 && jsondecode(aws_s3_object.values.content).bundle == null
    error_message = "Without a bundle nothing is uploaded."
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

run "user_data_are_a_small_cloud_config_that_holds_names_alone" {
  command = apply

  variables {
    # As long as names become.
    name   = "clinic-of-the-longest-of-names-1"
    bundle = { path = "tests/keys/site.pub", sha256 = "57a31dfba391f5588d49cec5f4e143d5b4edde76d35a71b94c25e321780ee7fa" }
    images = {
      orthanc = "registry.example.org:5000/radiology/orthanc@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
      envoy   = "registry.example.org:5000/radiology/envoy@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    }
  }

  assert {
    condition     = startswith(local.user_data, "#cloud-config\n") && length(local.user_data) < 8192
    error_message = "User data are ${length(local.user_data)} characters, and 8192 is the end."
  }

  assert {
    condition     = keys(yamldecode(local.user_data)) == ["package_update", "packages", "runcmd", "write_files"]
    error_message = "User data do nothing else."
  }

  assert {
    condition     = contains(yamldecode(local.user_data).packages, "docker.io") && contains(yamldecode(local.user_data).packages, "gpgv")
    error_message = "What the first boot needs is installed before it."
  }

  assert {
    condition     = keys(jsondecode(yamldecode(local.user_data).write_files[0].content)) == ["bucket", "bundle", "images", "region", "site", "values_key"]
    error_message = "A host is told names alone."
  }

  assert {
    condition     = jsondecode(yamldecode(local.user_data).write_files[0].content).bundle == { key = "host/bundle-${var.bundle.sha256}.tar.gz", sha256 = var.bundle.sha256 }
    error_message = "A host is told which bundle, and what it has to be."
  }

  assert {
    condition     = alltrue([for name in concat(local.programs, local.units) : contains(yamldecode(local.user_data).write_files[*].path, "${endswith(name, ".service") || endswith(name, ".timer") ? "/etc/systemd/system" : "/usr/local/sbin"}/${name}")])
    error_message = "A host gets every file of boot/."
  }

  assert {
    condition     = !can(regex("(?i)PRIVATE KEY|AKIA|ssh-", local.user_data)) && !strcontains(local.user_data, "secret:")
    error_message = "User data hold no secret, no name of one and no key but Amazon's public one."
  }
}

run "the_bundle_is_uploaded_and_named_after_its_sum" {
  command = apply

  variables {
    bundle    = { path = "tests/keys/site.pub", sha256 = "57a31dfba391f5588d49cec5f4e143d5b4edde76d35a71b94c25e321780ee7fa" }
    site_json = "{\"name\": \"clinic\", \"orthanc\": {\"replicas\": 2}}"
  }

  assert {
    condition     = aws_s3_object.bundle[0].key == "host/bundle-${var.bundle.sha256}.tar.gz" && aws_s3_object.bundle[0].source == var.bundle.path
    error_message = "Another bundle is another object."
  }

  assert {
    condition     = aws_s3_object.bundle[0].server_side_encryption == "aws:kms" && aws_s3_object.bundle[0].kms_key_id == module.key.arn
    error_message = "It is encrypted with the site's key."
  }

  assert {
    condition     = jsondecode(aws_s3_object.values.content).bundle == { key = aws_s3_object.bundle[0].key, sha256 = var.bundle.sha256 }
    error_message = "The values name it as well, for a host that is upgraded."
  }

  assert {
    condition     = jsondecode(aws_s3_object.values.content).description == { name = "clinic", orthanc = { replicas = 2 } }
    error_message = "The values say what the site is to be."
  }

  assert {
    condition     = jsondecode(aws_s3_object.values.content).images == { envoy = null, orthanc = null }
    error_message = "The values name the images that were given."
  }
}
