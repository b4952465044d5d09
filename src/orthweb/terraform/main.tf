# A site on AWS: one module a concern, wired here and nowhere else.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

data "aws_availability_zones" "available" {
  count = var.existing_network == null && length(var.zone_names) == 0 ? 1 : 0

  # Local Zones and Wavelength Zones have no RDS. Zones in trouble are not left out: their subnets would be replaced.
  filter {
    name   = "opt-in-status"
    values = ["opt-in-not-required"]
  }

  lifecycle {
    postcondition {
      condition     = length(self.names) >= var.zones
      error_message = "The region ${local.region} has ${length(self.names)} availability zones, and zones says ${var.zones}."
    }
  }
}

locals {
  region    = data.aws_region.current.id
  protected = coalesce(var.protected, var.environment == "production")
  keep      = coalesce(var.keep_data, var.environment == "production")
  found     = flatten(data.aws_availability_zones.available[*].names)
  zones     = length(var.zone_names) > 0 ? var.zone_names : slice(local.found, 0, min(var.zones, length(local.found)))

  # The variables of this module go before, and where they aren't given, those of the guide.
  instance_type = coalesce(var.instance_type, var.DeploymentOptions.InstanceType, "t3.medium")
  images = {
    orthanc = try(coalesce(var.images.orthanc, var.DeploymentOptions.OrthancImg), null)
    envoy   = try(coalesce(var.images.envoy, var.DeploymentOptions.EnvoyImg), null)
  }

  # On every resource and not as default_tags: those are the provider's, which a module may not set, and they show
  # differences on launch templates where there are none.
  tags = merge(var.tags, {
    Site        = var.name
    Environment = var.environment
    Owner       = var.owner
    ManagedBy   = "Orthweb"
  })

  # Known before it is made, so that the bucket's policy can name it. Roles are not of a region, and sites are.
  role_name        = "${var.name}-${local.region}-host"
  role_arn         = "arn:${data.aws_partition.current.partition}:iam::${data.aws_caller_identity.current.account_id}:role/${local.role_name}"
  host_prefix      = "host"
  metric_namespace = "Orthweb/${var.name}"
}

module "key" {
  source = "./modules/key"

  name                 = var.name
  deletion_window_days = local.keep ? 30 : 7
  keep                 = local.keep
  tags                 = local.tags
}

module "network" {
  source = "./modules/network"

  name                = var.name
  cidr                = var.vpc_cidr
  zones               = local.zones
  existing            = var.existing_network
  interface_endpoints = var.interface_endpoints
  bucket_arns         = [module.storage.bucket_arn]
  flow_log_bucket_arn = module.storage.log_bucket_arn
  tags                = local.tags
}

module "storage" {
  source = "./modules/storage"

  name            = var.name
  kms_key_arn     = module.key.arn
  role_arn        = local.role_arn
  alarm_topic_arn = module.observability.topic_arn
  keep            = local.keep
  noncurrent_days = var.noncurrent_days
  log_days        = var.log_days
  tags            = local.tags
}

module "database" {
  source = "./modules/database"

  name                     = var.name
  vpc_id                   = module.network.vpc_id
  subnet_ids               = module.network.private_subnet_ids
  client_security_group_id = module.hosts.security_group_id
  kms_key_arn              = module.key.arn
  engine_version           = var.database_version
  instance_class           = var.database_class
  multi_az                 = var.database_multi_az
  storage_gb               = var.database_storage_gb
  max_connections          = var.database_max_connections
  backup_days              = var.backup_days
  log_days                 = var.log_days
  protected                = local.protected
  keep                     = local.keep
  tags                     = local.tags
}

module "identity" {
  source = "./modules/identity"

  name                = var.name
  role_name           = local.role_name
  kms_key_arn         = module.key.arn
  bucket_arn          = module.storage.bucket_arn
  object_prefix       = module.storage.object_prefix
  host_prefix         = local.host_prefix
  database_secret_arn = module.database.secret_arn
  log_group_arns      = module.observability.log_group_arns
  metric_namespace    = local.metric_namespace
  recovery_days       = local.keep ? 30 : 0
  tags                = local.tags
}

module "hosts" {
  source = "./modules/hosts"

  name             = var.name
  vpc_id           = module.network.vpc_id
  subnet_ids       = module.network.public_subnet_ids
  instance_profile = module.identity.instance_profile
  kms_key_arn      = module.key.arn
  instance_type    = local.instance_type
  ami_id           = var.ami_id
  disk_gb          = var.disk_gb
  web_cidrs        = var.web_cidrs
  dicom_cidrs      = var.dicom_cidrs
  send_cidrs       = var.send_cidrs
  pubkey_data      = var.pubkey_data
  pubkey_path      = var.pubkey_path
  user_data        = local.user_data
  tags             = local.tags
}

module "observability" {
  source = "./modules/observability"

  name                = var.name
  kms_key_arn         = module.key.arn
  log_days            = var.log_days
  alarm_email         = var.alarm_email
  bucket_arns         = module.storage.bucket_arns
  instance_ids        = { for role, host in module.hosts.instances : role => host.id }
  database_identifier = module.database.identifier
  max_connections     = var.database_max_connections
  metric_namespace    = local.metric_namespace
  tags                = local.tags
}
