"""Re-ranking: a multimodal LLM looks at the first answers to a query and puts them in order."""
