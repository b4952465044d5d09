output "address" {
  description = "Name of the database server."
  value       = aws_db_instance.this.address
}

output "port" {
  description = "Port of the database server."
  value       = aws_db_instance.this.port
}

output "endpoint" {
  description = "Name and port of the database server."
  value       = aws_db_instance.this.endpoint
}

output "database" {
  description = "Name of the database."
  value       = aws_db_instance.this.db_name
}

output "user" {
  description = "User of the database."
  value       = aws_db_instance.this.username
}

output "identifier" {
  description = "Identifier of the database instance."
  value       = aws_db_instance.this.identifier
}

output "secret_arn" {
  description = "Secret that holds the database's password; RDS rotates it."
  value       = aws_db_instance.this.master_user_secret[0].secret_arn
}

output "security_group_id" {
  description = "Security group of the database."
  value       = aws_security_group.this.id
}
