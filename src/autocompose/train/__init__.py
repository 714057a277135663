"""Feature cache, sampling and the training loop."""
