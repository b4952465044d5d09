# In normal use nobody deletes a version for good: hosts leave delete markers, and what is old goes by the lifecycle rules,
# which are events of another kind. Whoever does is told of, as soon as it has happened.

resource "aws_s3_bucket_notification" "this" {
  bucket = aws_s3_bucket.this.id

  topic {
    id        = "version-deleted"
    topic_arn = var.alarm_topic_arn
    events    = ["s3:ObjectRemoved:Delete"]
  }
}

resource "aws_s3_bucket_notification" "logs" {
  bucket = aws_s3_bucket.logs.id

  topic {
    id        = "log-deleted"
    topic_arn = var.alarm_topic_arn
    events    = ["s3:ObjectRemoved:*"]
  }
}
