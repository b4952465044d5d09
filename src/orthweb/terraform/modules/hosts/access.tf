# Who reaches the hosts, and whom they reach. There is no port for SSH: Session Manager needs none.

locals {
  doors = merge([
    for door, given in { web = { port = 443, cidrs = var.web_cidrs }, dicom = { port = 11112, cidrs = var.dicom_cidrs } } : {
      for cidr in given.cidrs : "${door} ${cidr}" => { port = given.port, cidr = cidr, door = door }
    }
  ]...)
}

resource "aws_security_group" "this" {
  name_prefix = "${var.name}-hosts-"
  description = "HTTPS and DICOM over TLS to the hosts"
  vpc_id      = var.vpc_id
  tags        = merge(var.tags, { Name = "${var.name}-hosts" })

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_ingress_rule" "doors" {
  for_each = local.doors

  security_group_id = aws_security_group.this.id
  description       = each.value.door == "web" ? "HTTPS" : "DICOM over TLS"
  cidr_ipv4         = strcontains(each.value.cidr, ":") ? null : each.value.cidr
  cidr_ipv6         = strcontains(each.value.cidr, ":") ? each.value.cidr : null
  ip_protocol       = "tcp"
  from_port         = each.value.port
  to_port           = each.value.port
  tags              = var.tags
}

locals {
  # The database's port is opened by the database's module.
  ways_out = merge(
    {
      packages = { from = 80, to = 80, cidr = "0.0.0.0/0", reason = "Packages of Debian, which are signed" }
      https    = { from = 443, to = 443, cidr = "0.0.0.0/0", reason = "AWS, images of containers, packages" }
    },
    {
      for cidr in setunion(var.dicom_cidrs, var.send_cidrs) : "devices ${cidr}" => {
        from = 1, to = 65535, cidr = cidr, reason = "DICOM to devices, each on its own port"
      }
    },
  )
}

# Names, time and metadata come from the VPC itself, which no security group filters.
resource "aws_vpc_security_group_egress_rule" "ways_out" {
  for_each = local.ways_out

  security_group_id = aws_security_group.this.id
  description       = each.value.reason
  cidr_ipv4         = strcontains(each.value.cidr, ":") ? null : each.value.cidr
  cidr_ipv6         = strcontains(each.value.cidr, ":") ? each.value.cidr : null
  ip_protocol       = "tcp"
  from_port         = each.value.from
  to_port           = each.value.to
  tags              = var.tags
}
