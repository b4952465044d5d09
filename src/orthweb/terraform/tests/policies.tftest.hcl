# Policies as the provider writes them: who may do what, and with what.

provider "aws" {
  region                      = "ca-central-1"
  access_key                  = "testing"
  secret_key                  = "testing"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_region_validation      = true
  skip_requesting_account_id  = true
}

override_data {
  target = data.aws_caller_identity.current
  values = { account_id = "123456789012" }
}

variables {
  name                = "clinic"
  kms_key_arn         = "arn:aws:kms:ca-central-1:123456789012:key/00000000-0000-0000-0000-000000000000"
  role_name           = "clinic-host"
  bucket_arn          = "arn:aws:s3:::clinic-objects"
  object_prefix       = "objects"
  host_prefix         = "host"
  database_secret_arn = "arn:aws:secretsmanager:ca-central-1:123456789012:secret:rds!db-0"
  log_group_arns      = ["arn:aws:logs:ca-central-1:123456789012:log-group:/orthweb/clinic/boot"]
  metric_namespace    = "Orthweb/clinic"
  bucket_arns         = ["arn:aws:s3:::clinic-objects"]
  flow_log_bucket_arn = "arn:aws:s3:::clinic-logs"
  role_arn            = "arn:aws:iam::123456789012:role/clinic-host"
  alarm_topic_arn     = "arn:aws:sns:ca-central-1:123456789012:clinic-alarms"
  zones               = ["ca-central-1a", "ca-central-1b"]
  interface_endpoints = ["kms", "monitoring", "ecr.api"]
}

run "the_key_is_managed_by_administrators_and_used_through_services" {
  command = plan

  module {
    source = "./modules/key"
  }

  assert {
    condition = alltrue([
      for statement in jsondecode(data.aws_iam_policy_document.key.json).Statement :
      can(statement.Condition) || statement.Effect == "Deny" || !can(regex("kms:(\\*|Decrypt|Encrypt|GenerateDataKey|CreateGrant)", jsonencode(statement.Action)))
    ])
    error_message = "Whatever reads with the key does so under a condition."
  }

  assert {
    condition = [for statement in jsondecode(data.aws_iam_policy_document.key.json).Statement : statement.Sid] == [
      "AdministratorsOfTheAccount", "ServicesForThisAccount", "GrantsToServices", "KeptWithTheData", "LogGroupsOfTheSite",
      "AlarmsOfThisAccount", "EventsOfBuckets",
    ]
    error_message = "Each service is named, and in production the key is kept."
  }
}

run "without_keep_the_key_may_be_deleted" {
  command = plan

  module {
    source = "./modules/key"
  }

  variables {
    keep = false
  }

  assert {
    condition     = !strcontains(data.aws_iam_policy_document.key.json, "KeptWithTheData")
    error_message = "A development site leaves no key behind."
  }
}

run "the_hosts_may_do_little" {
  command = plan

  module {
    source = "./modules/identity"
  }

  assert {
    condition     = jsondecode(data.aws_iam_policy_document.database.json).Statement[0].Resource == "arn:aws:secretsmanager:ca-central-1:123456789012:secret:rds!db-0"
    error_message = "The database's secret and no other."
  }

  assert {
    condition     = toset(jsondecode(data.aws_iam_policy_document.logs.json).Statement[0].Action) == toset(["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"])
    error_message = "What Docker's log driver and the host's own log need, and no new log groups."
  }

  assert {
    condition     = jsondecode(data.aws_iam_policy_document.logs.json).Statement[0].Resource == "arn:aws:logs:ca-central-1:123456789012:log-group:/orthweb/clinic/boot:*"
    error_message = "The site's log groups and no other."
  }

  assert {
    condition     = jsondecode(data.aws_iam_policy_document.logs.json).Statement[1].Condition.StringEquals["cloudwatch:namespace"] == "Orthweb/clinic"
    error_message = "The site's metrics and no other."
  }

  assert {
    condition = sort(flatten([jsondecode(data.aws_iam_policy_document.sessions.json).Statement[0].Action])) == tolist([
      "ssm:UpdateInstanceInformation", "ssmmessages:CreateControlChannel", "ssmmessages:CreateDataChannel",
      "ssmmessages:OpenControlChannel", "ssmmessages:OpenDataChannel",
    ])
    error_message = "Session Manager, and none of the account's parameters."
  }
}

run "an_endpoint_serves_its_service_and_this_account" {
  command = plan

  module {
    source = "./modules/network"
  }

  assert {
    condition     = { for name, document in data.aws_iam_policy_document.interface : name => jsondecode(document.json).Statement[0].Action } == { kms = "kms:*", monitoring = "cloudwatch:*", "ecr.api" = "ecr:*" }
    error_message = "Each endpoint lets its own service through."
  }

  assert {
    condition     = alltrue([for document in data.aws_iam_policy_document.interface : jsondecode(document.json).Statement[0].Condition.StringEquals["aws:PrincipalAccount"] == "123456789012"])
    error_message = "Nobody of another account comes through."
  }

  assert {
    condition     = jsondecode(data.aws_iam_policy_document.s3.json).Statement[0].Resource == ["arn:aws:s3:::clinic-objects/*", "arn:aws:s3:::clinic-objects"]
    error_message = "The site's bucket is reached, and no other of anybody's."
  }
}

# Known when the buckets are, so this one is applied; to nothing, as each resource is made up here.
run "both_buckets_refuse_what_is_not_tls_1_2" {
  command = apply

  module {
    source = "./modules/storage"
  }

  override_resource {
    target = aws_s3_bucket.this
    values = { arn = "arn:aws:s3:::clinic-objects" }
  }

  override_resource {
    target = aws_s3_bucket.logs
    values = { arn = "arn:aws:s3:::clinic-logs" }
  }

  override_resource {
    target = aws_s3_bucket_public_access_block.this
  }

  override_resource {
    target = aws_s3_bucket_public_access_block.logs
  }

  override_resource {
    target = aws_s3_bucket_ownership_controls.this
  }

  override_resource {
    target = aws_s3_bucket_ownership_controls.logs
  }

  override_resource {
    target = aws_s3_bucket_versioning.this
  }

  override_resource {
    target = aws_s3_bucket_versioning.logs
  }

  override_resource {
    target = aws_s3_bucket_server_side_encryption_configuration.this
  }

  override_resource {
    target = aws_s3_bucket_server_side_encryption_configuration.logs
  }

  override_resource {
    target = aws_s3_bucket_lifecycle_configuration.this
  }

  override_resource {
    target = aws_s3_bucket_lifecycle_configuration.logs
  }

  override_resource {
    target = aws_s3_bucket_policy.this
  }

  override_resource {
    target = aws_s3_bucket_policy.logs
  }

  override_resource {
    target = aws_s3_bucket_notification.this
  }

  override_resource {
    target = aws_s3_bucket_notification.logs
  }

  override_resource {
    target = aws_s3_bucket_logging.this
  }

  assert {
    condition = alltrue([
      for document in [data.aws_iam_policy_document.this, data.aws_iam_policy_document.logs] : length([
        for statement in jsondecode(document.json).Statement : statement
        if statement.Effect == "Deny" && statement.Action == "s3:*" && length(statement.Resource) == 2 && contains(["{\"Bool\":{\"aws:SecureTransport\":\"false\"}}", "{\"NumericLessThan\":{\"s3:TlsVersion\":\"1.2\"}}"], jsonencode(statement.Condition))
      ]) == 2
    ])
    error_message = "Nobody comes without TLS, or with an old one."
  }

  assert {
    condition = one([
      for statement in jsondecode(data.aws_iam_policy_document.this.json).Statement : statement.Condition.ArnNotEquals["aws:PrincipalArn"]
      if statement.Sid == "ObjectsAreForTheHostsAlone"
    ]) == "arn:aws:iam::123456789012:role/clinic-host"
    error_message = "Objects are for the hosts, and for no administrator."
  }
}
