"""Choosing pairs of poses and candidate groups."""
