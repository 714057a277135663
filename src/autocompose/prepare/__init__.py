"""Anything -> corpus."""
