# Places for what Orthweb puts in after the apply, by itself: no value of them ever passes through Terraform.

locals {
  secrets = {
    server-certificate = "Server certificate and key of the Orthweb site ${var.name}"
    internal           = "Certificates and keys between the parts of the Orthweb site ${var.name}"
    users              = "Passwords of the users of the Orthweb site ${var.name}"
  }
}

resource "aws_secretsmanager_secret" "this" {
  # checkov:skip=CKV2_AWS_57:'orthweb certs rotate' and 'orthweb password' replace them; the authority's key never leaves the administrator's machine.
  for_each = local.secrets

  # A deleted secret keeps its name until it can no longer be brought back.
  name_prefix             = "${var.name}/${each.key}-"
  description             = each.value
  kms_key_id              = var.kms_key_arn
  recovery_window_in_days = var.recovery_days
  tags                    = merge(var.tags, { Name = "${var.name}/${each.key}" })
}
