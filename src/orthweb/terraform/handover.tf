# What a host gets, and from where: docs/aws-hosts.md names every value.

locals {
  values_key = "${local.host_prefix}/values.json"
}

# What the hosts run. A bundle of other bytes is another object, so a host never gets half of one and half of the other.
resource "aws_s3_object" "bundle" {
  count = var.bundle == null ? 0 : 1

  bucket                 = module.storage.bucket
  key                    = local.bundle.key
  source                 = var.bundle.path
  content_type           = "application/gzip"
  server_side_encryption = "aws:kms"
  kms_key_id             = module.key.arn

  lifecycle {
    create_before_destroy = true
  }
}

# What is known only when everything is made. No secret: the names of secrets, which the hosts' role may read.
resource "aws_s3_object" "values" {
  bucket                 = module.storage.bucket
  key                    = local.values_key
  content_type           = "application/json"
  server_side_encryption = "aws:kms"
  kms_key_id             = module.key.arn

  content = jsonencode({
    site        = var.name
    environment = var.environment
    owner       = var.owner
    region      = local.region
    description = jsondecode(coalesce(var.site_json, "{}"))
    bundle      = local.bundle
    images      = local.images
    address     = module.hosts.address
    hosts       = module.hosts.instances
    storage = {
      bucket    = module.storage.bucket
      root_path = module.storage.object_prefix
    }
    database = {
      host        = module.database.address
      port        = module.database.port
      name        = module.database.database
      secret      = module.database.secret_arn
      connections = var.database_max_connections
    }
    secrets          = module.identity.secret_arns
    log_groups       = module.observability.log_groups
    metric_namespace = local.metric_namespace
  })
}
