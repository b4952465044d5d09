variable "name" {
  description = "Name of the site: what it makes is called so."
  type        = string

  validation {
    condition     = can(regex("^[a-z](-?[a-z0-9])+$", var.name)) && length(var.name) <= 32
    error_message = "name has to be 2 to 32 characters: small letters, digits and single hyphens, a letter first. S3 and RDS take no other."
  }

  validation {
    condition     = !can(regex("^(amzn|aws|sg|sthree)(-|$)", var.name))
    error_message = "name may not begin with amzn, aws, sg or sthree: AWS keeps these for itself."
  }
}

variable "environment" {
  description = "What the site is for: dev, test, staging or production. In production, data are protected and kept."
  type        = string
  default     = "dev"

  validation {
    condition     = contains(["dev", "test", "staging", "production"], var.environment)
    error_message = "environment has to be dev, test, staging or production."
  }
}

variable "owner" {
  description = "Who answers for the site: a person, a team or a mail address."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^[\\p{L}\\p{N} _.:/=+@-]{0,256}$", var.owner))
    error_message = "owner may hold letters, digits, spaces and _.:/=+@-, as it becomes a tag: AWS takes no other there."
  }
}

variable "protected" {
  description = "Whether the database refuses to be deleted and its changes wait for the maintenance window; in production when null. To destroy such a site, set it to false and apply first."
  type        = bool
  default     = null
}

variable "keep_data" {
  description = "Whether key, buckets, backups and a final snapshot outlive a destroy, which then stops at the buckets that hold something and at the key; in production when null."
  type        = bool
  default     = null
}

variable "tags" {
  description = "Further tags for every resource."
  type        = map(string)
  default     = {}
}

# Network

variable "zones" {
  description = "How many availability zones the subnets are in: 2 or 3."
  type        = number
  default     = 2

  validation {
    condition     = contains([2, 3], var.zones)
    error_message = "zones has to be 2 or 3."
  }
}

variable "zone_names" {
  description = "These availability zones, instead of the first ones of the region: for a type of instance that only some have."
  type        = list(string)
  default     = []
}

variable "vpc_cidr" {
  description = "Range of the VPC that is made, /16 to /24."
  type        = string
  default     = "172.27.0.0/16"
}

variable "existing_network" {
  description = "A VPC of your own to build in, with public and private subnets in two zones at least; one is made when null. With route_table_ids, those of the subnets, it gets the endpoints as well; without, endpoints stay yours."
  type = object({
    vpc_id             = string
    public_subnet_ids  = list(string)
    private_subnet_ids = list(string)
    route_table_ids    = optional(list(string), [])
  })
  default = null
}

variable "interface_endpoints" {
  description = "AWS services that are reached through an interface endpoint in each private subnet."
  type        = set(string)
  default     = ["secretsmanager", "kms"]
}

variable "web_cidrs" {
  description = "Who may reach the web page, as IPv4 and IPv6 ranges; nobody when empty."
  type        = list(string)
  default     = []
}

variable "dicom_cidrs" {
  description = "Who may reach the DICOM port, as IPv4 and IPv6 ranges; nobody when empty."
  type        = list(string)
  default     = []
}

variable "send_cidrs" {
  description = "Further networks that the site sends DICOM to; those of dicom_cidrs it reaches anyway."
  type        = list(string)
  default     = []
}

# Hosts

variable "instance_type" {
  description = "Type of the two instances; t3.medium when null."
  type        = string
  default     = null
}

variable "images" {
  description = "Container images of the hosts; those of the bundle where null."
  type = object({
    orthanc = optional(string)
    envoy   = optional(string)
  })
  default  = {}
  nullable = false
}

variable "DeploymentOptions" {
  description = "The same as the guide has it, for TF_VAR_DeploymentOptions: instance_type and images go before."
  type = object({
    InstanceType = optional(string)
    OrthancImg   = optional(string)
    EnvoyImg     = optional(string)
  })
  default  = {}
  nullable = false
}

variable "ami_id" {
  description = "Image of the hosts; Debian 13 of the region when null."
  type        = string
  default     = null
}

variable "disk_gb" {
  description = "Size of each host's disk in GB."
  type        = number
  default     = 40
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
}

variable "bundle" {
  description = "What the hosts run: the file that 'orthweb bundle' made, and its SHA-256. None yet when null."
  type = object({
    path   = string
    sha256 = string
  })
  default = null

  validation {
    condition     = var.bundle == null ? true : fileexists(var.bundle.path)
    error_message = "bundle.path has to name a file on this machine: 'orthweb bundle' makes it."
  }

  validation {
    condition     = var.bundle == null ? true : can(regex("^[0-9a-f]{64}$", var.bundle.sha256))
    error_message = "bundle.sha256 has to be a SHA-256 of 64 small hexadecimal digits, which 'orthweb bundle' prints."
  }

  validation {
    condition     = var.bundle == null ? true : try(filesha256(var.bundle.path) == var.bundle.sha256, true)
    error_message = "bundle.sha256 is not the SHA-256 of the file bundle.path: no host would take it."
  }
}

variable "site_json" {
  description = "What the site is to be, for its hosts: orthweb.yaml as JSON, without its section for AWS; nothing is said when null."
  type        = string
  default     = null

  validation {
    condition     = var.site_json == null ? true : can(keys(jsondecode(var.site_json)))
    error_message = "site_json has to be an object in JSON, such as {\"name\": \"clinic\"}."
  }
}

# Database

variable "database_version" {
  description = "PostgreSQL's version: 16 or 17. RDS chooses the minor version and raises it."
  type        = string
  default     = "17"
}

variable "database_class" {
  description = "Class of the database instance."
  type        = string
  default     = "db.t4g.small"
}

variable "database_multi_az" {
  description = "Whether a standby in another zone takes over when the database's zone fails."
  type        = bool
  default     = true
}

variable "database_storage_gb" {
  description = "Size of the database's disk in GB; the images are not in it."
  type        = number
  default     = 20
}

variable "database_max_connections" {
  description = "Connections that the database takes."
  type        = number
  default     = 200
}

variable "backup_days" {
  description = "Days that the database's automated backups are kept, 1 to 35."
  type        = number
  default     = 7
}

# Storage and logs

variable "noncurrent_days" {
  description = "Days until an object that was deleted is gone for good."
  type        = number
  default     = 30
}

variable "log_days" {
  description = "Days that logs are kept."
  type        = number
  default     = 365
}

variable "alarm_email" {
  description = "Who is mailed when an alarm goes off; nobody when empty."
  type        = string
  default     = ""
}
