"""Motion capture -> corpus."""
