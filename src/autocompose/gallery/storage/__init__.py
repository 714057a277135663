"""Where a gallery lives: SQLite and FAISS on this machine, or a Qdrant server."""
