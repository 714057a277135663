"""Opening videos: which files are videos, and their frames."""
