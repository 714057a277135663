"""Questions to the model: prompts, pictures, the two stages."""
