"""Verbs: learn."""
