# Two hosts in different zones, and the address that belongs to one of them at a time.

locals {
  roles = ["primary", "secondary"]
  hosts = { for number, role in local.roles : role => var.subnet_ids[number] }

  # Graviton's types have a g after the generation: t4g, m7gd, c7gn, im4gn. The first of them had not.
  architecture = can(regex("^(a1|[a-z]+[0-9]+g[a-z]*)[.]", var.instance_type)) ? "arm64" : "amd64"
  ami_id       = var.ami_id != null ? var.ami_id : one(data.aws_ssm_parameter.debian[*].insecure_value)
  # Debian's images start from this device; with another name the first disk would stay as the image has it.
  root_device = var.ami_id != null ? one(data.aws_ami.own[*].root_device_name) : "/dev/xvda"

  ebs_optimized = startswith(var.instance_type, "t2.") ? null : true # t2 has no such thing

  default_key = pathexpand("~/.ssh/id_rsa.pub")
  key_path    = var.pubkey_path != "" ? pathexpand(var.pubkey_path) : (fileexists(local.default_key) ? local.default_key : "")
  public_key  = var.pubkey_data != "" ? var.pubkey_data : (local.key_path != "" ? file(local.key_path) : "")
}

# Debian publishes the image of the day by this name: https://wiki.debian.org/Cloud/AmazonEC2Image
data "aws_ssm_parameter" "debian" {
  count = var.ami_id == null ? 1 : 0

  name = "/aws/service/debian/release/13/latest/${local.architecture}"
}

data "aws_ami" "own" {
  count = var.ami_id != null ? 1 : 0

  filter {
    name   = "image-id"
    values = [var.ami_id]
  }

  lifecycle {
    postcondition {
      condition     = self.architecture == { amd64 = "x86_64", arm64 = "arm64" }[local.architecture]
      error_message = "The image ${var.ami_id} is for ${self.architecture}, which instances of type ${var.instance_type} are not."
    }
  }
}

resource "aws_key_pair" "this" {
  count = local.public_key != "" ? 1 : 0

  key_name_prefix = "${var.name}-"
  public_key      = trimspace(local.public_key)
  tags            = var.tags

  lifecycle {
    precondition {
      condition     = can(regex("^ssh-(rsa|ed25519) [A-Za-z0-9+/=]+", trimspace(local.public_key)))
      error_message = "The public key has to begin with ssh-rsa or ssh-ed25519: EC2 takes no other, and never a private key."
    }
  }
}

resource "aws_launch_template" "this" {
  name_prefix            = "${var.name}-"
  description            = "Host of the Orthweb site ${var.name}"
  image_id               = local.ami_id
  instance_type          = var.instance_type
  key_name               = one(aws_key_pair.this[*].key_name)
  user_data              = base64encode(var.user_data)
  update_default_version = true
  ebs_optimized          = local.ebs_optimized
  tags                   = merge(var.tags, { Name = var.name })

  iam_instance_profile {
    name = var.instance_profile
  }

  # Containers are one network hop further from the metadata than the host itself.
  metadata_options {
    # checkov:skip=CKV_AWS_341:The Orthanc containers get their credentials from the instance's role: that is a second hop.
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 2
    instance_metadata_tags      = "disabled"
  }

  monitoring {
    enabled = true
  }

  block_device_mappings {
    device_name = local.root_device

    ebs {
      volume_size           = var.disk_gb
      volume_type           = "gp3"
      encrypted             = true
      kms_key_id            = var.kms_key_arn
      delete_on_termination = true
    }
  }

  dynamic "tag_specifications" {
    for_each = toset(["instance", "volume", "network-interface"])

    content {
      resource_type = tag_specifications.value
      tags          = merge(var.tags, { Name = var.name })
    }
  }
}

resource "aws_instance" "this" {
  # checkov:skip=CKV_AWS_88:The site is reached over the Internet where its security group says so; see web_cidrs and dicom_cidrs.
  for_each = local.hosts

  subnet_id                   = each.value
  vpc_security_group_ids      = [aws_security_group.this.id]
  associate_public_ip_address = true
  iam_instance_profile        = var.instance_profile
  monitoring                  = true
  ebs_optimized               = local.ebs_optimized
  tags                        = merge(var.tags, { Name = "${var.name}-${each.key}", Role = each.key })

  launch_template {
    id      = aws_launch_template.this.id
    version = "$Latest"
  }

  # Here too, so that a host has it whatever becomes of the template, and so that a plan notices who lets go of it.
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 2
  }

  root_block_device {
    volume_size           = var.disk_gb
    volume_type           = "gp3"
    encrypted             = true
    kms_key_id            = var.kms_key_arn
    delete_on_termination = true
  }

  lifecycle {
    # Another image, type, disk or bundle would replace both hosts at once. Hosts hold nothing that lasts: replace one,
    # then the other, with terraform apply -replace. A stopped host has no public address, and that is no difference.
    ignore_changes = [
      ami, user_data, associate_public_ip_address, launch_template, root_block_device, ebs_optimized,
    ]
  }
}

resource "aws_eip" "this" {
  domain   = "vpc"
  instance = aws_instance.this["primary"].id
  tags     = merge(var.tags, { Name = var.name })

  lifecycle {
    # A failover moves it, and an apply afterwards must not move it back. An aws_eip_association would: a move ends it.
    ignore_changes = [instance, network_interface]
  }
}
