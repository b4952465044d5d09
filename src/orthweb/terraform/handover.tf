# What a host gets, and from where: docs/aws-hosts.md names every value.

locals {
  values_key = "${local.host_prefix}/values.json"

  # Known before anything is made, but for the bucket: so hosts don't wait for the database.
  user_data = "#cloud-config\n${yamlencode({
    write_files = [{
      path        = "/etc/orthweb/host.json"
      permissions = "0644"
      content = jsonencode({
        site       = var.name
        region     = local.region
        bucket     = module.storage.bucket
        values_key = local.values_key
        bundle     = var.bundle
        images     = local.images
      })
    }]
  })}"
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
