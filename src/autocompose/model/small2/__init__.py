"""The two sides of small-v2: poses instead of pictures, claims instead of words."""
