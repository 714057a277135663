"""The annotation engine: a multimodal LLM writes the transition descriptions of a corpus.

Data flow: ``asking`` turns a pair into questions (``asks``), each with a content key; ``sending`` gets the answers
within limits of rate and cost; ``recording`` writes both to the journal; ``judging`` checks every answer; ``annotate``
does so for all pairs of a corpus; ``export`` writes the accepted texts into its fields.
"""
