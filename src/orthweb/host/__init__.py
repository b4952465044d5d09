"""A Docker host that runs a site: EC2's, one's own, or a person's machine."""
