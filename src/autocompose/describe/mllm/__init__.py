"""The annotation engine: a multimodal LLM writes the transition descriptions of a corpus.

Data flow: ``pictures`` and ``prompts`` -> ``asks`` (questions with a content key) -> ``flow`` (bounded sending over
``client``, every answer in ``journal``) -> ``answers`` and ``wording`` (nothing is trusted) -> ``stages`` (one pair) ->
``run`` (all pairs) -> ``export`` (the corpus fields).
"""
