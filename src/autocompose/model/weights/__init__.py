"""Weight files: ours, the authors', OpenAI's, Hugging Face's."""
