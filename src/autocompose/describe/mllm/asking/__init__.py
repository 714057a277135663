"""What is asked of the model: prompts, pictures, the two stages."""
