"""The AutoComPose annotation engine: a multimodal LLM writes the texts."""
