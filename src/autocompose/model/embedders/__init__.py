"""Any multimodal embedder in the same seat: our models, open_clip's, sentence-transformers' and endpoints."""
