variable "name" {
  description = "Name of the site."
  type        = string
}

variable "cidr" {
  description = "Range of the VPC that is made, /16 to /24; each subnet gets an eighth of it."
  type        = string
  default     = "172.27.0.0/16"

  validation {
    condition     = can(cidrnetmask(var.cidr)) && try(cidrhost(var.cidr, 0) == split("/", var.cidr)[0], false)
    error_message = "cidr has to be an IPv4 range without host bits, such as 172.27.0.0/16."
  }

  validation {
    condition     = try(tonumber(split("/", var.cidr)[1]) >= 16 && tonumber(split("/", var.cidr)[1]) <= 24, false)
    error_message = "cidr has to be /16 to /24: AWS takes no larger VPC, and the subnets of a smaller one would be too small."
  }
}

variable "zones" {
  description = "Availability zones, two or three; none are needed in a VPC of your own."
  type        = list(string)
  default     = []

  validation {
    condition     = var.existing != null || (length(var.zones) >= 2 && length(var.zones) <= 3 && length(distinct(var.zones)) == length(var.zones))
    error_message = "zones has to name two or three different availability zones, such as [\"ca-central-1a\", \"ca-central-1b\"]."
  }
}

variable "existing" {
  description = "A VPC of your own to build in, with subnets in different zones; one is made when null. Its routes and flow logs stay yours, and so do its endpoints unless route_table_ids names the subnets' route tables: then S3 is reached through them by the site's bucket alone."
  type = object({
    vpc_id             = string
    public_subnet_ids  = list(string)
    private_subnet_ids = list(string)
    route_table_ids    = optional(list(string), [])
  })
  default = null

  validation {
    condition     = var.existing == null || can(regex("^vpc-[0-9a-f]{8,17}$", var.existing.vpc_id))
    error_message = "existing.vpc_id has to be the id of a VPC, such as vpc-0123456789abcdef0."
  }

  validation {
    condition     = try(length(var.existing.public_subnet_ids) >= 2 && length(var.existing.private_subnet_ids) >= 2, var.existing == null)
    error_message = "existing has to name at least two public and two private subnets, in different zones."
  }
}

variable "interface_endpoints" {
  description = "AWS services that are reached through an interface endpoint in each private subnet; each costs by the hour. Beside these: ssm, ssmmessages, ec2messages, logs, monitoring, ecr.api, ecr.dkr."
  type        = set(string)
  default     = ["secretsmanager", "kms"]

  validation {
    condition = length(setsubtract(var.interface_endpoints, [
      "secretsmanager", "kms", "ssm", "ssmmessages", "ec2messages", "logs", "monitoring", "ecr.api", "ecr.dkr",
    ])) == 0
    error_message = "interface_endpoints may hold secretsmanager, kms, ssm, ssmmessages, ec2messages, logs, monitoring, ecr.api and ecr.dkr."
  }
}

variable "bucket_arns" {
  description = "Buckets that are reached through the gateway endpoint."
  type        = list(string)
}

variable "flow_log_bucket_arn" {
  description = "Bucket that takes the flow logs of the VPC that is made."
  type        = string
}

variable "tags" {
  description = "Tags for every resource."
  type        = map(string)
  default     = {}
}
