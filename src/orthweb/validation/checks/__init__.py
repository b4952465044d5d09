"""The checks, one file a subject; a large subject hands on those of several files."""
