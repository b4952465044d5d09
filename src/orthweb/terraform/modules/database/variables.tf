variable "name" {
  description = "Name of the site; the database instance has it too."
  type        = string

  validation {
    condition     = can(regex("^[a-z](-?[a-z0-9])*$", var.name)) && length(var.name) <= 63
    error_message = "name has to begin with a small letter and hold small letters, digits and single hyphens: RDS takes no other."
  }
}

variable "vpc_id" {
  description = "VPC of the database."
  type        = string
}

variable "subnet_ids" {
  description = "Private subnets, in two zones at least."
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) >= 2
    error_message = "subnet_ids has to name at least two private subnets in different zones."
  }
}

variable "client_security_group_id" {
  description = "Security group of the hosts: nobody else reaches the database."
  type        = string
}

variable "kms_key_arn" {
  description = "Key that encrypts the database, its logs and its password."
  type        = string
}

variable "engine_version" {
  description = "PostgreSQL's version: 16 or 17. RDS chooses the minor version and raises it, so none is fixed here: a plan would want to go back."
  type        = string
  default     = "17"

  validation {
    condition     = contains(["16", "17"], var.engine_version)
    error_message = "engine_version has to be 16 or 17, without a minor version: RDS raises that by itself."
  }
}

variable "instance_class" {
  description = "Class of the database instance."
  type        = string
  default     = "db.t4g.small"

  validation {
    condition     = startswith(var.instance_class, "db.")
    error_message = "instance_class has to be a class of RDS, such as db.t4g.small."
  }
}

variable "multi_az" {
  description = "Whether a standby in another zone takes over when the database's zone fails."
  type        = bool
  default     = true
}

variable "storage_gb" {
  description = "Size of the database's disk in GB; the images are not in it."
  type        = number
  default     = 20

  validation {
    condition     = var.storage_gb >= 20 && var.storage_gb <= 65536
    error_message = "storage_gb has to be 20 to 65536."
  }
}

variable "max_storage_gb" {
  description = "Size to which RDS lets the disk grow by itself, in GB."
  type        = number
  default     = 200

  validation {
    condition     = var.max_storage_gb >= 20 && var.max_storage_gb <= 65536
    error_message = "max_storage_gb has to be 20 to 65536."
  }
}

variable "max_connections" {
  description = "Connections that the database takes: each Orthanc server opens up to 10, an upgrade doubles the servers, and administration needs some."
  type        = number
  default     = 200

  validation {
    condition     = var.max_connections >= 50 && var.max_connections <= 5000
    error_message = "max_connections has to be 50 to 5000."
  }
}

variable "backup_days" {
  description = "Days that automated backups are kept, 1 to 35."
  type        = number
  default     = 7

  validation {
    condition     = var.backup_days >= 1 && var.backup_days <= 35
    error_message = "backup_days has to be 1 to 35."
  }
}

variable "log_days" {
  description = "Days that the database's logs are kept in CloudWatch."
  type        = number
  default     = 365
}

variable "protected" {
  description = "Whether deletion is refused, and changes wait for the maintenance window: true for production."
  type        = bool
  default     = true
}

variable "keep" {
  description = "Whether a final snapshot and the backups outlive the database: true for production."
  type        = bool
  default     = true
}

variable "ca_cert_identifier" {
  description = "Authority that signs the database's certificate; RDS's own choice when null."
  type        = string
  default     = null
}

variable "tags" {
  description = "Tags for every resource."
  type        = map(string)
  default     = {}
}
