"""Embeddings from any OpenAI-compatible server that takes pictures."""
