output "bucket" {
  description = "Name of the bucket."
  value       = aws_s3_bucket.this.id
}

output "bucket_arn" {
  description = "ARN of the bucket."
  value       = aws_s3_bucket.this.arn
}

output "bucket_arns" {
  description = "ARNs of both buckets."
  value       = [aws_s3_bucket.this.arn, aws_s3_bucket.logs.arn]
}

output "object_prefix" {
  description = "Folder of the DICOM objects in the bucket."
  value       = var.object_prefix
}

output "log_bucket" {
  description = "Name of the bucket of flow logs and access logs."
  value       = aws_s3_bucket.logs.id
}

output "log_bucket_arn" {
  description = "ARN of the bucket of flow logs and access logs."
  value       = aws_s3_bucket.logs.arn

  # Who sends logs there may be checked by AWS for the right to.
  depends_on = [aws_s3_bucket_policy.logs]
}
