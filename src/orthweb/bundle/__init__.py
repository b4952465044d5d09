"""Builds the one file that a host is installed from: Orthweb, what its host part needs, and images where asked for."""
