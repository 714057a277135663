"""Sharing: checked before anything is made on the hub, with a card; the hub is a fake."""

import json

import huggingface_hub
import pytest

from autocompose.cli import load_verbs
from autocompose.cli.app import run
from autocompose.core.errors import CheckpointError, InputError
from autocompose.corpus.about import About
from autocompose.corpus.exchange.export_import import export_corpus
from autocompose.model.checkpoint import save_model
from autocompose.model.combiner import Combiner
from autocompose.model.hub import load, model_card, push_to_hub
from autocompose.model.model import Model
from tests.fixtures.corpora import make_corpus
from tests.model.weights.test_foreign_weights import resnet

load_verbs()


class Hub:
    """Remembers what it was asked, in order; ``fail`` names a call that is refused."""

    def __init__(self, exists=False, card=False, fail=None):
        self.exists, self.card, self.fail, self.calls, self.files = exists, card, fail, [], {}

    def __call__(self):
        return self

    def _called(self, name):
        self.calls.append(name)
        if name == self.fail:
            raise RuntimeError(f"{name} says no\nand more")

    def whoami(self):
        self._called("whoami")

    def repo_exists(self, name, repo_type):
        return self.exists

    def file_exists(self, name, file, repo_type):
        return self.card

    def create_repo(self, name, private, repo_type):
        self._called("create")
        self.made = (name, private, repo_type)

    def create_commit(self, name, operations, commit_message, repo_type):
        self._called("commit")
        for operation in operations:
            with operation.as_file() as file:
                self.files[operation.path_in_repo] = file.read()
        return type("Commit", (), {"repo_url": f"https://hub/{name}"})


@pytest.fixture
def hub(monkeypatch):
    def use(**options):
        found = Hub(**options)
        monkeypatch.setattr(huggingface_hub, "HfApi", found)
        return found

    return use


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    loop = {"epochs": 3, "batch_size": 8, "learning_rate": 0.001, "precision": "bf16", "seed": 7}
    text = {"source": "rules", "mirror": True, "reverse": True, "cycle": False}
    settings = {"text": text, "loop": loop, "encoder": "abc123", "data": "def456"}
    card = {"corpus": "mine", "train": {"kept": 1234}, "settings": settings, "validation": {"recall_at1": 12.345}}
    save_model(folder, Model(resnet(), Combiner(16, 8, 12), card))
    return folder


def test_a_model_goes_up_with_its_card_in_one_commit(trained, hub):
    asked = hub()
    assert push_to_hub(trained, "me/poses", private=True) == "https://hub/me/poses"
    assert asked.calls == ["whoami", "create", "commit"]
    assert asked.made == ("me/poses", True, "model")
    assert asked.files.keys() == {"model.json", "model.safetensors", "README.md"}
    card = asked.files["README.md"].decode()
    for words in (
        "hf://me/poses",
        "mine",
        "1,234",
        "rules with mirror, reverse",
        "bf16, 7",
        "abc123",
        "12.35",
        "combiner",
    ):
        assert words in card, words
    assert card.startswith("---\n")


def test_the_card_has_the_test_figures(trained, tmp_path):
    assert "Test, in percent" not in model_card(trained, "me/x")
    save_model(tmp_path, load(trained))
    (tmp_path / "test").mkdir()
    (tmp_path / "test/metrics.json").write_text(json.dumps({"recall_at10": 55.5, "n_queries": 9, "ci95": {}}))
    assert "| recall_at10 |\n|---|\n| 55.50 |" in model_card(tmp_path, "me/x")
    bare = json.loads((tmp_path / "model.json").read_text()) | {"card": {}}
    (tmp_path / "model.json").write_text(json.dumps(bare))
    (tmp_path / "test/metrics.json").unlink()
    assert "It was not evaluated." in model_card(tmp_path, "me/x")


def test_the_packages_own_model_can_be_pushed_by_name(hub, monkeypatch, tmp_path):
    """``small`` is no folder: the repository was made before that was found out."""
    monkeypatch.chdir(tmp_path)
    asked = hub()
    push_to_hub("small", "me/small")
    assert asked.files["model.safetensors"] and b"own sizes: 256" in asked.files["README.md"]


def test_a_card_of_ones_own_is_kept(trained, hub, tmp_path, capsys):
    save_model(tmp_path, load(trained))
    (tmp_path / "README.md").write_text("mine")
    asked = hub(exists=True, card=True)
    push_to_hub(tmp_path, "me/x")
    assert asked.files["README.md"] == b"mine"
    asked = hub(exists=True, card=True)
    push_to_hub(trained, "me/x")
    assert "README.md" not in asked.files and "create" not in asked.calls
    assert "keeps its existing card" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["a/b/c", "no spaces/x", "--x"])
def test_a_name_that_the_hub_does_not_take_makes_nothing(trained, hub, name):
    asked = hub()
    with pytest.raises(CheckpointError, match="not pushed"):
        push_to_hub(trained, name)
    assert asked.calls == []


def test_nothing_is_made_for_what_cannot_be_shared(hub, tmp_path):
    asked = hub()
    with pytest.raises(CheckpointError, match="model file not found"):
        push_to_hub(tmp_path, "me/x")
    assert asked.calls == []


@pytest.mark.parametrize(
    ("fail", "calls", "words"),
    [
        ("whoami", ["whoami"], r"me/x: not pushed \(whoami says no\)"),
        ("create", ["whoami", "create"], r"me/x: not pushed \(create says no\)"),
        ("commit", ["whoami", "create", "commit"], r"upload failed; the repository is made and empty; push again"),
    ],
)
def test_what_the_hub_refuses_is_one_line(trained, hub, fail, calls, words):
    asked = hub(fail=fail)
    with pytest.raises(CheckpointError, match=words) as caught:
        push_to_hub(trained, "me/x")
    assert asked.calls == calls
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["parquet", "webdataset"])
def test_an_exported_corpus_goes_up_with_its_dataset_card(hub, tmp_path, kind):
    from autocompose.corpus.exchange.export_import import Format

    make_corpus(tmp_path / "corpus", train=1, test=1)
    export_corpus(tmp_path / "corpus", tmp_path / "out", Format(kind))
    asked = hub()
    with pytest.raises(InputError, match=r"about\.json: does not state that the data may be redistributed"):
        push_to_hub(tmp_path / "out", "me/data")
    assert asked.calls == []
    push_to_hub(tmp_path / "out", "me/data", private=True)
    assert asked.made == ("me/data", True, "dataset")
    assert {"README.md", "about.json", "poses.npz"} <= asked.files.keys()
    assert any(name.startswith("pairs") for name in asked.files)
    About.of(tmp_path / "out").model_copy(update={"redistribution": "yes, CC0"}).save(tmp_path / "out")
    push_to_hub(tmp_path / "out", "me/data")
    (tmp_path / "out/README.md").unlink()
    with pytest.raises(CheckpointError, match="an unfinished export"):
        push_to_hub(tmp_path / "out", "me/data")


def test_a_download_that_fails_is_one_line(monkeypatch):
    def refused(*_, **__):
        raise ConnectionError("no network\ntraceback follows")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refused)
    with pytest.raises(CheckpointError, match=r"hf://me/x: cannot be downloaded \(no network\)$"):
        load("hf://me/x")


def test_the_verb(trained, hub, capsys):
    hub()
    assert run(["push", str(trained), "me/poses"]) == 0
    assert capsys.readouterr().out.strip() == "https://hub/me/poses"
