"""Skeletons, pose geometry, pose sampling, motion files, the body model and the renderer."""
