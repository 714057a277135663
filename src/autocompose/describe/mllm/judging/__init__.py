"""Checking answers: form, sides, wording, poses, the mirrored pair."""
