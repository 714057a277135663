"""Verbs: data."""
