"""Making corpora: the benchmark, published datasets, photographs, motion."""
