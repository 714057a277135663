"""The paper's four commands, its table of experiments, and its file formats."""
