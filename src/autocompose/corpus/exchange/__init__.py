"""Corpora in other tools' formats: parquet and WebDataset."""
