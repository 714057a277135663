"""Which poses make good pairs and groups."""
