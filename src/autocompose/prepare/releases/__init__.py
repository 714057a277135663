"""The paper's three datasets, from their published files."""
