"""Photographs -> corpus."""
