"""The main job, end to end: from nothing to a trained, measured, searchable model."""
