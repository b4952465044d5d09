output "log_groups" {
  description = "Names of the log groups, by what they hold: boot, containers, envoy."
  value       = { for name, group in aws_cloudwatch_log_group.this : name => group.name }
}

output "log_group_arns" {
  description = "ARNs of the log groups."
  value       = [for group in aws_cloudwatch_log_group.this : group.arn]
}

output "topic_arn" {
  description = "Topic that alarms are published to."
  value       = aws_sns_topic.this.arn

  # A bucket that is told to publish there tries it at once.
  depends_on = [aws_sns_topic_policy.this]
}
