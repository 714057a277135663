"""The common corpus format: load, save, validate; opening and preprocessing pictures."""
