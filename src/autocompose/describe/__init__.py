"""Writing transition descriptions: by rules, by a multimodal LLM; edits and the audit."""
