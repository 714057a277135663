"""Encoders, Combiner, losses, checkpoints."""
