"""Looks at the running servers of a site and acts on them, whichever engine started them."""
