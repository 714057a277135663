"""autocompose: search human poses by "like this picture, but with this change".

Every stage of the data flow is one function: ``write_texts`` (by rules), ``annotate_corpus`` (by a multimodal LLM),
``audit_corpus``, ``finetune``, ``train_combiner``, ``evaluate_model``, ``Gallery.build``, ``Gallery.search``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # what editors and type checkers see; ``_PUBLIC`` says the same to the interpreter
    from autocompose.core.errors import AutocomposeError as AutocomposeError
    from autocompose.core.records import Pair as Pair
    from autocompose.core.records import Question as Question
    from autocompose.core.records import Split as Split
    from autocompose.core.text_fields import Edit as Edit
    from autocompose.core.text_fields import Source as Source
    from autocompose.corpus.format import Corpus as Corpus
    from autocompose.corpus.format import load_corpus as load_corpus
    from autocompose.describe.audit.corpus import audit_corpus as audit_corpus
    from autocompose.describe.mllm.annotate import annotate_corpus as annotate_corpus
    from autocompose.describe.mllm.export import export_texts as export_texts
    from autocompose.describe.pictures.change import PoseChange as PoseChange
    from autocompose.describe.pictures.pictures import describe_change as describe_change
    from autocompose.describe.rules.corpus_texts import write_texts as write_texts
    from autocompose.describe.rules.options import RuleOptions as RuleOptions
    from autocompose.estimate.estimator import Estimator as Estimator
    from autocompose.estimate.estimator import Person as Person
    from autocompose.evaluate.questions import Evaluation as Evaluation
    from autocompose.evaluate.questions import evaluate_model as evaluate_model
    from autocompose.gallery.answer import Answer as Answer
    from autocompose.gallery.answer import Hit as Hit
    from autocompose.gallery.search import Gallery as Gallery
    from autocompose.model.embedders.embedder import Embedder as Embedder
    from autocompose.model.embedders.naming import open_embedder as open_embedder
    from autocompose.model.embedders.options import EmbedderOptions as EmbedderOptions
    from autocompose.model.hub import load as load
    from autocompose.model.hub import push_to_hub as push_to_hub
    from autocompose.model.model import Model as Model
    from autocompose.train.training import finetune as finetune
    from autocompose.train.training import train_combiner as train_combiner

__version__ = "0.1.0"

# Public name -> module; imported on first use, so that `import autocompose` stays fast.
_PUBLIC = {
    "Answer": "gallery.answer",
    "AutocomposeError": "core.errors",
    "Corpus": "corpus.format",
    "Edit": "core.text_fields",
    "Embedder": "model.embedders.embedder",
    "EmbedderOptions": "model.embedders.options",
    "Estimator": "estimate.estimator",
    "Evaluation": "evaluate.questions",
    "Gallery": "gallery.search",
    "Hit": "gallery.answer",
    "Model": "model.model",
    "Pair": "core.records",
    "Person": "estimate.estimator",
    "PoseChange": "describe.pictures.change",
    "Question": "core.records",
    "RuleOptions": "describe.rules.options",
    "Source": "core.text_fields",
    "Split": "core.records",
    "annotate_corpus": "describe.mllm.annotate",
    "audit_corpus": "describe.audit.corpus",
    "describe_change": "describe.pictures.pictures",
    "evaluate_model": "evaluate.questions",
    "export_texts": "describe.mllm.export",
    "finetune": "train.training",
    "load": "model.hub",
    "load_corpus": "corpus.format",
    "open_embedder": "model.embedders.naming",
    "push_to_hub": "model.hub",
    "train_combiner": "train.training",
    "write_texts": "describe.rules.corpus_texts",
}

__all__ = ["__version__", *sorted(_PUBLIC)]  # pyright: ignore[reportUnsupportedDunderAll]


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})


if not TYPE_CHECKING:  # otherwise every misspelt name would have a type

    def __getattr__(name: str) -> object:
        if name not in _PUBLIC:
            raise AttributeError(f"module 'autocompose' has no attribute {name!r}")
        value = getattr(import_module(f"autocompose.{_PUBLIC[name]}"), name)
        globals()[name] = value
        return value
