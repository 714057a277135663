"""Verbs: annotate."""
