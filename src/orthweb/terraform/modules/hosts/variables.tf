variable "name" {
  description = "Name of the site."
  type        = string
}

variable "vpc_id" {
  description = "VPC of the hosts."
  type        = string
}

variable "subnet_ids" {
  description = "Public subnets: the primary host is in the first, the secondary in the second."
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) >= 2
    error_message = "subnet_ids has to name two public subnets in different zones."
  }
}

variable "instance_profile" {
  description = "Instance profile of the hosts."
  type        = string
}

variable "kms_key_arn" {
  description = "Key that encrypts the hosts' disks."
  type        = string
}

variable "instance_type" {
  description = "Type of the instances."
  type        = string
  default     = "t3.medium"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]*[.][a-z0-9-]+$", var.instance_type))
    error_message = "instance_type has to be a type of EC2, such as t3.medium or m7g.large."
  }
}

variable "ami_id" {
  description = "Image of the hosts; Debian 13 of the region when null."
  type        = string
  default     = null

  validation {
    condition     = var.ami_id == null || can(regex("^ami-[0-9a-f]{8,17}$", var.ami_id))
    error_message = "ami_id has to be the id of an image, such as ami-0123456789abcdef0."
  }
}

variable "disk_gb" {
  description = "Size of each host's disk in GB."
  type        = number
  default     = 40

  validation {
    condition     = var.disk_gb >= 20 && var.disk_gb <= 16384
    error_message = "disk_gb has to be 20 to 16384."
  }
}

variable "web_cidrs" {
  description = "Who may reach the web port 443, as IPv4 and IPv6 ranges; nobody when empty."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for cidr in var.web_cidrs : try(cidrhost(cidr, 0) == split("/", cidr)[0], false)])
    error_message = "web_cidrs has to hold IPv4 and IPv6 ranges without host bits, such as 203.0.113.0/24 or 2001:db8::/32."
  }
}

variable "dicom_cidrs" {
  description = "Who may reach the DICOM port 11112, as IPv4 and IPv6 ranges; nobody when empty."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for cidr in var.dicom_cidrs : try(cidrhost(cidr, 0) == split("/", cidr)[0], false)])
    error_message = "dicom_cidrs has to hold IPv4 and IPv6 ranges without host bits, such as 203.0.113.0/24 or 2001:db8::/32."
  }
}

variable "send_cidrs" {
  description = "Further networks that the site sends DICOM to; those of dicom_cidrs it reaches anyway."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for cidr in var.send_cidrs : try(cidrhost(cidr, 0) == split("/", cidr)[0], false)])
    error_message = "send_cidrs has to hold IPv4 and IPv6 ranges without host bits, such as 203.0.113.0/24 or 2001:db8::/32."
  }
}

variable "pubkey_data" {
  description = "Public key that may log in through Session Manager's SSH, as text."
  type        = string
  default     = ""
}

variable "pubkey_path" {
  description = "File of that public key; ~/.ssh/id_rsa.pub when empty, and none when there is no such file."
  type        = string
  default     = ""

  validation {
    condition     = var.pubkey_path == "" ? true : try(fileexists(pathexpand(var.pubkey_path)), false)
    error_message = "pubkey_path has to name a file on this machine, such as ~/.ssh/id_ed25519.pub."
  }
}

variable "user_data" {
  description = "What cloud-init does at the first boot; it may hold no secret."
  type        = string

  validation {
    condition     = length(var.user_data) < 8192
    error_message = "user_data has to be shorter than 8 KB."
  }
}

variable "tags" {
  description = "Tags for every resource."
  type        = map(string)
  default     = {}
}
