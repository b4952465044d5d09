variable "name" {
  description = "Name of the site."
  type        = string
}

variable "kms_key_arn" {
  description = "Key that encrypts logs and alarms."
  type        = string
}

variable "log_days" {
  description = "Days that logs are kept; one of the periods that CloudWatch knows."
  type        = number
  default     = 365

  validation {
    condition = contains([
      1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
    ], var.log_days)
    error_message = "log_days has to be a period that CloudWatch knows: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827 or more."
  }
}

variable "alarm_email" {
  description = "Who is mailed when an alarm goes off; AWS asks that address to confirm. Nobody when empty."
  type        = string
  default     = ""

  validation {
    condition     = var.alarm_email == "" || can(regex("^[^@\\s]+@[^@\\s]+[.][^@\\s]+$", var.alarm_email))
    error_message = "alarm_email has to be an address for mail, or empty."
  }
}

variable "bucket_arns" {
  description = "Buckets that may publish to the topic of the alarms."
  type        = list(string)
}

variable "instance_ids" {
  description = "Ids of the hosts by role."
  type        = map(string)
}

variable "database_identifier" {
  description = "Identifier of the database instance."
  type        = string
}

variable "max_connections" {
  description = "Connections that the database takes."
  type        = number
}

variable "metric_namespace" {
  description = "Namespace of the metrics that the hosts report: DiskUsedPercent and CertificateDaysLeft by Host."
  type        = string
}

variable "tags" {
  description = "Tags for every resource."
  type        = map(string)
  default     = {}
}
