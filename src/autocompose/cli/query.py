"""Verbs: query."""
