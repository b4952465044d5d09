variable "name" {
  description = "Name of the site."
  type        = string
}

variable "kms_key_arn" {
  description = "Key that encrypts the objects."
  type        = string
}

variable "role_arn" {
  description = "Role of the hosts: nobody else reads or writes the site's DICOM objects."
  type        = string
}

variable "object_prefix" {
  description = "Folder of the DICOM objects in the bucket; the bundle of the hosts lies beside it."
  type        = string
  default     = "objects"

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{0,62}$", var.object_prefix))
    error_message = "object_prefix has to be a folder's name of small letters, digits and hyphens, without a slash."
  }
}

variable "alarm_topic_arn" {
  description = "Topic that hears of every version of an object or a log that somebody deletes for good."
  type        = string
}

variable "keep" {
  description = "Whether the buckets refuse to be deleted as long as objects are in them: true for production."
  type        = bool
  default     = true
}

variable "noncurrent_days" {
  description = "Days until an object that was deleted or replaced is gone for good."
  type        = number
  default     = 30

  validation {
    condition     = var.noncurrent_days >= 1
    error_message = "noncurrent_days has to be 1 or more."
  }
}

variable "log_days" {
  description = "Days that flow logs and access logs are kept."
  type        = number
  default     = 365

  validation {
    condition     = var.log_days >= 1
    error_message = "log_days has to be 1 or more."
  }
}

variable "tags" {
  description = "Tags for every resource."
  type        = map(string)
  default     = {}
}
