output "site_address" {
  description = "Where browsers and modalities reach the site: HTTPS on port 443, DICOM over TLS on port 11112."
  value       = module.hosts.address
}

output "host_info" {
  description = "The two hosts, for Session Manager."
  value       = join(" ", [for role in ["primary", "secondary"] : "${title(role)}:${module.hosts.instances[role].id}"])
}

output "s3_bucket" {
  description = "Where the images are kept; only the hosts get at them."
  value       = "${module.storage.bucket}.s3.${local.region}.amazonaws.com"
}

output "db_endpoint" {
  description = "Where the index is kept; only the hosts get at it."
  value       = module.database.endpoint
}

output "site" {
  description = "What 'orthweb' needs to drive the site."
  value = {
    name                 = var.name
    region               = local.region
    account              = data.aws_caller_identity.current.account_id
    bucket               = module.storage.bucket
    log_bucket           = module.storage.log_bucket
    host_prefix          = local.host_prefix
    vpc_id               = module.network.vpc_id
    allocation_id        = module.hosts.allocation_id
    hosts                = module.hosts.instances
    database             = module.database.identifier
    database_secret      = module.database.secret_arn
    secrets              = module.identity.secret_arns
    log_groups           = module.observability.log_groups
    alarm_topic          = module.observability.topic_arn
    kms_key              = module.key.arn
    protected            = local.protected
    keep_data            = local.keep
    metric_namespace     = local.metric_namespace
    security_group_hosts = module.hosts.security_group_id
  }
}
