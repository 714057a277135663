"""The nouns, atomic files, settings, errors and console output."""
