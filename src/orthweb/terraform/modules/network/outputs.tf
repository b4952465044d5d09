output "vpc_id" {
  description = "Id of the VPC."
  value       = local.vpc_id
}

output "public_subnet_ids" {
  description = "Ids of the public subnets, a zone each."
  value       = local.public_subnet_ids

  # A public address is refused where there is no gateway, and a gateway doesn't go before the last address has gone.
  depends_on = [aws_route.internet, aws_route_table_association.public]

  precondition {
    condition     = length(distinct(slice(data.aws_subnet.existing[*].availability_zone, 0, local.made ? 0 : 2))) == (local.made ? 0 : 2)
    error_message = "The first two public subnets of existing have to be in different zones: a host is in each."
  }
}

output "private_subnet_ids" {
  description = "Ids of the private subnets, a zone each."
  value       = local.private_subnet_ids
}

output "route_table_ids" {
  description = "Ids of the route tables that lead to S3 through the gateway endpoint."
  value       = local.route_tables
}
