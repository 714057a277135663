"""A list of models in one table: measured once, resumed, and honest about what is missing."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from autocompose.core.errors import ConfigError, InputError
from autocompose.core.files import read_json
from autocompose.core.records import Split
from autocompose.corpus.format import load_corpus
from autocompose.evaluate.questions import evaluate_model
from autocompose.model.embedders.naming import open_embedder
from autocompose.paper.peers import Peers, main, measure_speed, run_peers
from tests.fixtures.corpora import make_corpus
from tests.fixtures.embeddings_server import embeddings_server
from tests.model.embedders.endpoint.test_endpoint_model import colour

pytest.importorskip("transformers")
pytestmark = pytest.mark.usefixtures("no_hub")

LIST = """
dollars_per_hour = 3.6
[[texts]]
key = "human"
[[texts]]
key = "human"
every_text = true
[[texts]]
key = "mllm"
[[model]]
title = "ours"
name = "{own}"
[[model]]
title = "SigLIP"
name = "{siglip}"
[[model]]
title = "a server"
name = "{url}#tiny"
dollars_per_million_tokens = 2.0
[model.options]
picture_format = "png"
[[model]]
title = "absent"
name = "st:somebody/absent"
get = "pip install it"
[[model]]
title = "lost"
name = "{lost}"
get = "copy the folder"
"""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = make_corpus(tmp_path_factory.mktemp("corpus"))
    pairs, galleries = dict(made.pairs), dict(made.galleries)
    pairs[Split.VAL], galleries[Split.VAL] = pairs[Split.TRAIN], galleries[Split.TRAIN]
    replace(made, pairs=pairs, galleries=galleries).save()
    return made.root


def table(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "peers.csv").open(encoding="utf-8")))


def test_one_table_of_all_that_can_be_measured(corpus: Path, run_folder: Path, siglip: Path, tmp_path: Path) -> None:
    with embeddings_server(colour) as fake:
        names = {"own": run_folder, "siglip": siglip, "url": fake.url, "lost": tmp_path / "lost"}
        (tmp_path / "list.toml").write_text(LIST.format(**names))
        main([str(corpus), str(tmp_path / "out"), "--list", str(tmp_path / "list.toml")])
        asked = len(fake.bodies)
        first = table(tmp_path / "out")
        main([str(corpus), str(tmp_path / "out"), "--list", str(tmp_path / "list.toml")])
        assert len(fake.bodies) == asked  # nothing is measured twice
    rows = {(row["model"], row["texts"]): row for row in first}
    assert table(tmp_path / "out") == first and len(first) == 3 * 3 + 2
    for name, title in ((run_folder, "ours"), (siglip, "SigLIP")):
        metrics = evaluate_model(open_embedder(name), corpus, cache=tmp_path / "cache").ranks.metrics()
        line = rows[title, "human"]
        assert float(line["R@1"]) == pytest.approx(metrics["recall_at1"], abs=1e-3)
        assert float(line["group R@1"]) == pytest.approx(metrics["group_recall_at1"], abs=1e-3)
        assert float(line["pictures/s"]) > 0 and float(line["$/1,000 queries"]) == pytest.approx(
            1 / float(line["queries/s"]), rel=1e-3
        )
    assert float(rows["a server", "human"]["$/1,000 queries"]) == pytest.approx(1000 * 50 * 2e-6)
    assert int(rows["SigLIP", "human"]["bytes/item"]) == 64 and "of the text" in rows["SigLIP", "human"]["composition"]
    assert rows["a server", "human"]["composition"] == "picture and text together"
    assert "no 'mllm'" in rows["ours", "mllm"]["note"]
    assert "allow it with --download; to get it: pip install it" in rows["absent", ""]["note"]
    assert "lost" in rows["lost", ""]["note"] and "copy the folder" in rows["lost", ""]["note"]
    shown = (tmp_path / "out/peers.md").read_text("utf-8")
    assert "group R@1, worst wording" in shown and "mAP@10" in shown and "- absent: not measured" in shown


def test_other_settings_are_measured_anew(corpus: Path, siglip: Path, tmp_path: Path) -> None:
    loaded, found = load_corpus(corpus), []
    for weight in (0.0, 1.0, 0.0):
        model = {"title": "x", "name": str(siglip), "options": {"text_weight": weight}}
        run_peers(Peers.parse({"model": [model]}), loaded, tmp_path / "out", tmp_path / "cache")
        folder = next(path for path in (tmp_path / "out").iterdir() if path.is_dir())
        found.append(read_json(folder / "human/metrics.json")["model"]["text_weight"])
    assert found == [0.0, 1.0, 0.0]


def test_wrong_lists_and_folders_are_one_line(corpus: Path, siglip: Path, tmp_path: Path) -> None:
    twice = [{"title": "x", "name": "a"}, {"title": "x", "name": "b"}]
    for wrong, why in (({}, "model"), ({"model": twice}, "two models have the title"), ({"model": [{}]}, "title")):
        with pytest.raises(ConfigError, match=why):
            Peers.parse(wrong)
    (tmp_path / "peers.csv").write_text("mine")
    with pytest.raises(InputError, match=r"peers\.csv"):
        run_peers(Peers.parse({"model": [{"title": "x", "name": str(siglip)}]}), load_corpus(corpus), tmp_path)


def test_the_list_that_is_shipped_can_be_read() -> None:
    peers = Peers.load(Path(__file__).parents[2] / "runs/peers.toml")
    assert peers.model[0].name == "small" and all(peer.get for peer in peers.model[1:])
    for peer in peers.model:
        assert open_embedder(peer.name, peer.options).name if not peer.name.startswith("st:") else True


def test_speed_needs_consent(corpus: Path) -> None:
    peers = Peers.parse({"model": [{"title": "x", "name": "https://api.example.org/v1#m"}]})
    with pytest.raises(ConfigError, match="--yes"):
        measure_speed(open_embedder(peers.model[0].name), load_corpus(corpus), peers, peers.model[0])
