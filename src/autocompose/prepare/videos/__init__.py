"""Videos -> corpus."""
