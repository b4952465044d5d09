"""The site on AWS: drives Terraform, and does what is not Terraform's, such as secrets' values and failover."""
