"""The journal of an annotation."""
