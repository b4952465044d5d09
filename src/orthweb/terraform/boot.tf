# What a host does at its first boot, as cloud-init takes it: docs/aws-hosts.md tells it step by step.

locals {
  boot      = "${path.module}/boot"
  boot_text = file("${local.boot}/orthweb-boot")
  programs  = ["orthweb-boot", "orthweb-agent"]
  units     = ["orthweb-host.service", "orthweb-refresh.service", "orthweb-refresh.timer", "orthweb-agent.service"]
  bundle    = var.bundle == null ? null : { key = "${local.host_prefix}/bundle-${var.bundle.sha256}.tar.gz", sha256 = var.bundle.sha256 }

  # Known before anything is made, but for the bucket: so hosts don't wait for the database.
  host_json = jsonencode({
    site       = var.name
    region     = local.region
    bucket     = module.storage.bucket
    values_key = local.values_key
    bundle     = local.bundle
    images     = local.images
  })

  # Programs are compressed, or 8 KB would not hold them. The key is that of ssm-agent-signer@amazon.com, with the
  # fingerprint 1C5B395CBE5E74E2F1CA21592784DBF388D19D46. Amazon publishes it where it tells how to verify the signature
  # of the agent: https://docs.aws.amazon.com/systems-manager/latest/userguide/verify-agent-signature.html
  cloud_config = {
    package_update = true
    packages       = split(" ", regex("packages='([a-z0-9 .-]+)'", local.boot_text)[0])
    write_files = concat(
      [
        { path = "/etc/orthweb/host.json", permissions = "0644", content = local.host_json },
        { path = "/etc/orthweb/session-manager.gpg", permissions = "0644", encoding = "b64", content = filebase64("${local.boot}/session-manager.gpg") },
      ],
      [for name in local.programs : { path = "/usr/local/sbin/${name}", permissions = "0755", encoding = "gz+b64", content = base64gzip(file("${local.boot}/${name}")) }],
      [for name in local.units : { path = "/etc/systemd/system/${name}", permissions = "0644", content = file("${local.boot}/${name}") }],
    )
    runcmd = [
      ["systemctl", "daemon-reload"],
      ["systemctl", "enable", "--now", "--no-block", "orthweb-host.service", "orthweb-refresh.timer", "orthweb-agent.service"],
    ]
  }

  user_data = "#cloud-config\n${yamlencode(local.cloud_config)}"
}
