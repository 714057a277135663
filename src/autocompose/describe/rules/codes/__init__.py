"""Measurements of poses and of pairs of poses, binned into codes."""
