"""Moves many instances: sends files without losing one, walks down an archive, brings what it has."""
