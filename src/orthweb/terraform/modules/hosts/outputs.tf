output "address" {
  description = "Public address of the site: the elastic IP."
  value       = aws_eip.this.public_ip
}

output "allocation_id" {
  description = "Allocation of the elastic IP, which a failover moves."
  value       = aws_eip.this.id
}

output "instances" {
  description = "The hosts by role: id, zone, private address."
  value = {
    for role, instance in aws_instance.this : role => {
      id                = instance.id
      availability_zone = instance.availability_zone
      private_ip        = instance.private_ip
    }
  }
}

output "security_group_id" {
  description = "Security group of the hosts."
  value       = aws_security_group.this.id
}
