"""Orthweb: a secure, highly available mini-PACS built on Orthanc."""

__version__ = "0.1.0"
