"""Building a gallery from a folder of pictures."""
