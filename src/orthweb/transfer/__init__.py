"""Sends many DICOM files without losing one: what to send, over how many associations, and what became of it."""
