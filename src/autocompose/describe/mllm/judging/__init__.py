"""What an answer is worth: form, sides, wording, poses, the mirrored pair."""
