variable "name" {
  description = "Name of the site."
  type        = string
}

variable "deletion_window_days" {
  description = "Days between the deletion of the key and its end, 7 to 30: until then it can be brought back."
  type        = number
  default     = 30

  validation {
    condition     = var.deletion_window_days >= 7 && var.deletion_window_days <= 30
    error_message = "deletion_window_days has to be 7 to 30."
  }
}

variable "keep" {
  description = "Whether the key refuses to be deleted, as long as this isn't taken back: true for production."
  type        = bool
  default     = true
}

variable "tags" {
  description = "Tags for every resource."
  type        = map(string)
  default     = {}
}
