"""Skeletons, pose normalisation, pose sampling, the body model and the renderer."""
