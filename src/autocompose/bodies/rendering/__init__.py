"""The body model and pictures of it, rendered on the CPU."""
