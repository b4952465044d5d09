output "role_arn" {
  description = "ARN of the hosts' role."
  value       = aws_iam_role.this.arn
}

output "instance_profile" {
  description = "Name of the hosts' instance profile."
  value       = aws_iam_instance_profile.this.name
}

output "secret_arns" {
  description = "ARNs of the secrets that Orthweb fills, by what they hold: server-certificate, internal, users."
  value       = { for name, secret in aws_secretsmanager_secret.this : name => secret.arn }
}
