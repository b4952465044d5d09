variable "name" {
  description = "Name of the site."
  type        = string
}

variable "role_name" {
  description = "Name of the hosts' role."
  type        = string
}

variable "kms_key_arn" {
  description = "Key that encrypts the site's data and secrets."
  type        = string
}

variable "bucket_arn" {
  description = "Bucket of the DICOM objects and the bundle."
  type        = string
}

variable "object_prefix" {
  description = "Folder of the DICOM objects in the bucket."
  type        = string
}

variable "host_prefix" {
  description = "Folder of the bundle and the hosts' values in the bucket, which hosts only read."
  type        = string
}

variable "database_secret_arn" {
  description = "Secret that holds the database's password."
  type        = string
}

variable "log_group_arns" {
  description = "Log groups that the hosts write to."
  type        = list(string)
}

variable "metric_namespace" {
  description = "Namespace of the metrics that the hosts report."
  type        = string
}

variable "recovery_days" {
  description = "Days in which a deleted secret can be brought back: 0, or 7 to 30."
  type        = number
  default     = 30

  validation {
    condition     = var.recovery_days == 0 || (var.recovery_days >= 7 && var.recovery_days <= 30)
    error_message = "recovery_days has to be 0, or 7 to 30."
  }
}

variable "tags" {
  description = "Tags for every resource."
  type        = map(string)
  default     = {}
}
