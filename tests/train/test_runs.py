"""Both stages end to end on a tiny corpus: run folders, resume, selection, caches that change nothing."""

import dataclasses
import json
import shutil
from unittest import mock

import numpy as np
import pytest
import torch

from autocompose.core.errors import AutocomposeError, ConfigError, CorpusError
from autocompose.core.records import Split
from autocompose.corpus.format import Corpus
from autocompose.evaluate.questions import evaluate_model
from autocompose.model.checkpoint import load_model
from autocompose.model.combiner import Combiner
from autocompose.model.encoder import Encoder
from autocompose.model.features import text_features
from autocompose.model.small import SmallSizes, small_config
from autocompose.train.loop import LoopSettings, history
from autocompose.train.run_data import Data
from autocompose.train.runs import CombinerSettings, Encoded, FinetuneSettings, finetune, train_combiner
from autocompose.train.sampling import TextMode
from tests.fixtures.corpora import make_corpus

TINY = SmallSizes(image_size=32, width=8, layers=(1, 1, 1, 1), dim=16, text_width=32, text_layers=1, text_heads=4)
ALL = TextMode(mirror=True, reverse=True, texts=2, cycle=True)


def loop(**changes):
    values = {"epochs": 3, "batch_size": 8, "learning_rate": 1e-3, "select": "recall_at5", "save_seconds": 0.0}
    return LoopSettings(**values | changes)


def four_fields(corpus: Corpus) -> Corpus:
    """Give each pair rule texts for all four edits."""

    def texts(pair):
        told = {"auto": "raise", "auto-reverse": "lower", "auto-mirror": "lift", "auto-mirror-reverse": "drop"}
        sides = {key: tuple(f"{verb} the arm of {pair.target[-6:]} {k}" for k in (1, 2)) for key, verb in told.items()}
        return dataclasses.replace(pair, texts={**pair.texts, **sides})

    return dataclasses.replace(corpus, pairs={s: tuple(map(texts, pairs)) for s, pairs in corpus.pairs.items()})


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    corpus = four_fields(make_corpus(tmp_path_factory.mktemp("corpus"), train=4))
    corpus.save()
    return corpus


@pytest.fixture
def data(corpus, tmp_path):
    return Data(corpus, val=Split.TEST, cache=tmp_path / "cache")


def encoder():
    return Encoder(small_config(TINY), seed=3)


@pytest.mark.parametrize("part", ["text", "image", "both"])
def test_only_the_chosen_part_learns(data, tmp_path, part):
    before = {k: v.clone() for k, v in encoder().clip.state_dict().items()}
    model = finetune(data, encoder(), FinetuneSettings(text=ALL, part=part, loop=loop()), tmp_path / "run")
    after = model.encoder.clip.state_dict()
    image = not torch.equal(before["visual.conv1.weight"], after["visual.conv1.weight"])
    text = not torch.equal(before["positional_embedding"], after["positional_embedding"])
    assert (image, text) == (part != "text", part != "image")
    assert torch.equal(before["visual.bn1.running_mean"], after["visual.bn1.running_mean"])  # no batch-norm updates


def test_a_run_folder_is_a_model_with_its_history(data, tmp_path):
    model = finetune(data, encoder(), FinetuneSettings(text=ALL, loop=loop()), tmp_path / "one")
    assert [line["epoch"] for line in history(tmp_path / "one")] == [1, 2, 3]
    again = load_model(tmp_path / "one")
    assert again.card["validation"] == model.card["validation"]
    assert again.card["train"]["kept"] == 48
    assert evaluate_model(again, data.corpus).ranks.metrics() == model.card["validation"]
    combined = train_combiner(
        data, again.encoder, CombinerSettings(text=ALL, projection_dim=8, hidden_dim=12, loop=loop()), tmp_path / "two"
    )
    assert evaluate_model(load_model(tmp_path / "two"), data.corpus).ranks.metrics() == combined.card["validation"]


def test_stage_1_continues_a_combiner_and_stage_2_keeps_what_it_inherits(data, tmp_path):
    start = Combiner(encoder().dim, 8, 12, 0.1)
    before = start.output_layer.weight.clone()
    model = finetune(data, encoder(), FinetuneSettings(text=ALL, loop=loop()), tmp_path / "one", start=start)
    again = load_model(tmp_path / "one").composer
    assert isinstance(again, Combiner) and not torch.equal(again.output_layer.weight, before)
    settings = CombinerSettings(text=ALL, loop=loop(epochs=1))
    card = {"fusion": {"cosine": 3.0, "symbolic": 1.0}}
    train_combiner(data, model.encoder, settings, tmp_path / "two", again, inherited=card)
    assert load_model(tmp_path / "two").card["fusion"] == card["fusion"]
    with pytest.raises(ConfigError, match="start"):
        finetune(data, encoder(), FinetuneSettings(text=ALL, loop=loop()), tmp_path / "one")


def test_the_best_epoch_is_kept(data, tmp_path):
    settings = FinetuneSettings(text=ALL, loop=loop(epochs=5, learning_rate=0.02, select="-median_rank"))
    model = finetune(data, encoder(), settings, tmp_path)
    assert model.card["validation"]["median_rank"] == min(line["median_rank"] for line in history(tmp_path))


def test_a_finished_run_is_only_read(data, tmp_path):
    settings = FinetuneSettings(text=ALL, loop=loop())
    first = finetune(data, encoder(), settings, tmp_path / "run")
    with mock.patch("autocompose.train.runs.run", side_effect=AssertionError):
        assert finetune(data, encoder(), settings, tmp_path / "run").card == first.card


class Killed(BaseException):
    """Stands for the end of the process."""


def kill_in_epoch(n):
    """Make validation die the n-th time, as late as a process can die without having saved the epoch."""
    from autocompose.train import runs as experiment

    calls = []
    real = experiment.run

    def run(stage, settings, folder, validate, name):
        def dying():
            calls.append(1)
            if len(calls) == n:
                raise Killed
            return validate()

        return real(stage, settings, folder, dying, name)

    return mock.patch("autocompose.train.runs.run", run)


def test_a_killed_run_continues_bit_identically(data, tmp_path):
    settings = CombinerSettings(text=ALL, projection_dim=8, hidden_dim=12, loop=loop(epochs=4))
    whole = train_combiner(data, encoder(), settings, tmp_path / "whole")
    with kill_in_epoch(3), pytest.raises(Killed):
        train_combiner(data, encoder(), settings, tmp_path / "killed")
    assert not (tmp_path / "killed" / "model.json").exists()
    continued = train_combiner(data, encoder(), settings, tmp_path / "killed")
    for (name, one), two in zip(
        whole.composer.state_dict().items(), continued.composer.state_dict().values(), strict=True
    ):
        assert torch.equal(one, two), name
    losses = [[line["loss"] for line in history(tmp_path / d)] for d in ("whole", "killed")]
    assert losses[0] == losses[1]


def test_other_settings_in_the_same_folder_are_named(data, tmp_path):
    finetune(data, encoder(), FinetuneSettings(text=ALL, loop=loop()), tmp_path / "run")
    with pytest.raises(ConfigError, match=r"loop\.learning_rate = 0\.001 instead of 0\.002"):
        finetune(data, encoder(), FinetuneSettings(text=ALL, loop=loop(learning_rate=0.002)), tmp_path / "run")


def without_a_gallery_picture(data):
    names = data.corpus.galleries[Split.TEST][1:]
    return dataclasses.replace(data.corpus, galleries={**data.corpus.galleries, Split.TEST: names})


@pytest.mark.parametrize(
    ("corpus_of", "size", "words"),
    [
        (lambda data: data.corpus, 49, "batch_size 49: only 48 training pairs"),
        (
            without_a_gallery_picture,
            8,
            r"corpus\d*, test: query 0 \(pair 0\): reference c004/0.png is not in the gallery",
        ),
    ],
)
def test_what_cannot_train_leaves_no_folder(data, tmp_path, corpus_of, size, words):
    """Found before the first picture is encoded; the folder is free for a right attempt."""
    data = dataclasses.replace(data, corpus=corpus_of(data))
    settings = {"text": ALL, "loop": loop(batch_size=size)}
    with pytest.raises(AutocomposeError, match=words):
        finetune(data, encoder(), FinetuneSettings(**settings), tmp_path / "one")
    with pytest.raises(AutocomposeError, match=words):
        train_combiner(data, encoder(), CombinerSettings(**settings), tmp_path / "two")
    assert not list(tmp_path.iterdir())


def test_a_batch_that_processes_cannot_share_leaves_no_folder(data, tmp_path, monkeypatch):
    monkeypatch.setattr("autocompose.core.distributed.world", lambda: 3)
    with pytest.raises(ConfigError, match="not a multiple of the 3 processes"):
        finetune(data, encoder(), FinetuneSettings(text=ALL, loop=loop()), tmp_path / "run")
    assert not list(tmp_path.iterdir())


def uncached_losses(data, text, epochs, batch_size):
    """Stage 2 the slow way: every picture and padded text is encoded anew in every step."""
    from autocompose.model.losses import cycle, cyclic_loss
    from autocompose.train.runs import new_combiner
    from autocompose.train.sampling import TripletTable

    network = encoder().eval()
    composer = new_combiner(16, CombinerSettings(projection_dim=8, hidden_dim=12, dropout=0))
    optimizer = torch.optim.Adam(composer.parameters(), lr=1e-3)
    table = TripletTable(data.corpus.split(Split.TRAIN), text)

    def pictures(rows, flips):
        from autocompose.corpus.pictures.transforms import open_image

        pixels = [network.preprocess(open_image(data.corpus.image_path(table.images[r]))) for r in rows]
        return network.encode_image(torch.stack([p.flip(-1) if f else p for p, f in zip(pixels, flips, strict=True)]))

    def texts(rows):
        tokens = network.tokenize([table.texts[r] for r in rows])
        return network.clip.encode_text(torch.nn.functional.pad(tokens, (0, 77 - tokens.shape[1])))

    means = []
    for epoch in range(epochs):
        losses = []
        for batch in table.epoch(0, epoch, batch_size):
            with torch.no_grad():
                reference, target = pictures(batch.reference, batch.flip), pictures(batch.target, batch.flip)
                hops = cycle([texts(batch.text), texts(batch.back)], reference, target)
            loss = cyclic_loss(composer, reference, hops)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        means.append(np.mean(losses))
    return means


def test_cached_training_has_the_losses_of_uncached_training(data, tmp_path):
    plain = loop(warmup=0, schedule="constant", weight_decay=0, clip_gradients=False, select=None)
    settings = CombinerSettings(text=ALL, projection_dim=8, hidden_dim=12, dropout=0, loop=plain)
    settings = settings.model_copy(update={"compose": settings.compose.model_copy(update={"mask_duplicates": False})})
    train_combiner(data, encoder(), settings, tmp_path / "run")
    cached = [line["loss"] for line in history(tmp_path / "run")]
    np.testing.assert_allclose(cached, uncached_losses(data, ALL, 3, 8), atol=1e-5)


@pytest.mark.parametrize("part", ["text", "both"])
def test_encoding_in_chunks_gives_the_same_training(data, tmp_path, part):
    runs = []
    for chunk in (0, 3):
        settings = FinetuneSettings(text=ALL, part=part, gradient_checkpointing=chunk > 0, loop=loop(select=None))
        settings = settings.model_copy(update={"compose": settings.compose.model_copy(update={"chunk": chunk})})
        model = finetune(data, encoder(), settings, tmp_path / str(chunk))
        runs.append((model.encoder.clip.text_projection.detach(), history(tmp_path / str(chunk))[-1]["loss"]))
    torch.testing.assert_close(runs[0][0], runs[1][0], atol=1e-5, rtol=1e-4)
    assert runs[0][1] == pytest.approx(runs[1][1], abs=1e-5)


def test_training_both_sees_the_pictures_that_the_cache_would_have(data):
    """The decoded-picture path and the cached-feature path agree before anything is trained."""
    from autocompose.corpus.pictures.decoding import decoded
    from autocompose.model.combiner import ElementwiseSum
    from autocompose.model.features import image_features
    from autocompose.train.compose_stages import ComposeSettings
    from autocompose.train.picture_stage import PictureStage
    from autocompose.train.sampling import TripletTable

    network, table = encoder().eval(), TripletTable(data.corpus.split(Split.TRAIN), ALL)
    paths = [data.corpus.image_path(n) for n in table.images]
    pixels = decoded(paths, network.config.transform, 32, 1.25, data.cache)
    stage = PictureStage(table, pixels, None, network, ElementwiseSum(), ComposeSettings(), 8).eval()
    rows, flip = torch.tensor([0, 3, 3, 1]), torch.tensor([False, True, False, True])
    cached = image_features(network, paths, flips=True).rows(rows, flip)
    torch.testing.assert_close(stage.encode_images(stage.load_images(rows, flip)), cached, atol=1e-5, rtol=1e-4)


def test_a_finished_run_comes_back_where_the_encoder_is(data, tmp_path):
    settings = FinetuneSettings(text=ALL, loop=loop(epochs=1))
    stage2 = CombinerSettings(text=ALL, projection_dim=8, hidden_dim=12, loop=loop(epochs=1))
    finetune(data, encoder(), settings, tmp_path / "one")
    train_combiner(data, encoder(), stage2, tmp_path / "two")
    with mock.patch.object(Encoder, "device", property(lambda _: torch.device("meta"))):
        models = [
            finetune(data, encoder(), settings, tmp_path / "one"),
            train_combiner(data, encoder(), stage2, tmp_path / "two"),
        ]
    for model in models:
        weights = [*model.encoder.parameters(), *model.composer.parameters()]
        assert {weight.device.type for weight in weights} == {"meta"}


@pytest.mark.parametrize("part", ["text", "both"])
def test_validation_does_not_hash_the_weights(data, tmp_path, part):
    """They change every epoch, and nothing is kept of them: the hash of a large encoder takes a second."""
    hashed = []
    for epochs in (1, 3):
        with mock.patch.object(Encoder, "fingerprint", autospec=True, side_effect=Encoder.fingerprint) as counted:
            settings = FinetuneSettings(text=ALL, part=part, loop=loop(epochs=epochs))
            finetune(data, encoder(), settings, tmp_path / str(epochs))
        hashed.append(counted.call_count)
    assert hashed[0] == hashed[1]


@pytest.fixture
def together(corpus):
    """A corpus whose pairs all hang together: one group."""
    first = corpus.split(Split.TRAIN)[0]
    pairs = tuple(p for p in corpus.split(Split.TRAIN) if p.img_set == first.img_set)
    return dataclasses.replace(corpus, pairs={**corpus.pairs, Split.TRAIN: pairs})


def test_pairs_that_all_hang_together_train_without_validation(together, tmp_path, capsys):
    with pytest.raises(CorpusError, match=r"12 train pairs cannot be divided.*--no-val"):
        Data.of(together, ALL)
    data = Data.of(together, ALL, validate=False)
    assert data.val is None
    settings = FinetuneSettings(text=ALL, loop=loop(batch_size=12, select="recall_at5"))
    model = finetune(data, encoder(), settings, tmp_path / "one")
    told = " ".join(capsys.readouterr().err.split())
    assert "training on all 12 pairs of train" in told and "keeping the last of 3 epochs" in told
    assert model.card["validation"] == {} and model.card["validated_on"] is None
    assert model.card["settings"]["loop"]["select"] is None
    assert [set(line) for line in history(tmp_path / "one")] == [{"epoch", "loss", "seconds"}] * 3
    stage2 = CombinerSettings(text=ALL, projection_dim=8, hidden_dim=12, loop=loop(batch_size=12))
    last = train_combiner(data, model.encoder, stage2, tmp_path / "two")
    assert torch.equal(load_model(tmp_path / "two").composer.output_layer.weight, last.composer.output_layer.weight)
    assert finetune(data, encoder(), settings, tmp_path / "one").card == model.card


def test_val_is_carved_where_there_is_none(corpus):
    used = Data.of(corpus, ALL)
    assert used.val is Split.VAL
    assert 0 < len(used.corpus.split(Split.VAL)) < len(corpus.split(Split.TRAIN))
    assert not set(used.corpus.galleries[Split.VAL]) & set(used.corpus.galleries[Split.TRAIN])
    assert used.key == "sents"


def test_without_human_texts_val_asks_with_the_training_source(corpus):
    bare = tuple(
        dataclasses.replace(p, texts={"auto": p.texts["auto"]}, img_set=(p.reference,))
        for p in corpus.split(Split.TRAIN)
    )
    used = Data.of(dataclasses.replace(corpus, pairs={**corpus.pairs, Split.TRAIN: bare}), TextMode())
    assert used.key == "auto"
    assert all(p.img_set == () for p in used.corpus.split(Split.VAL))


def test_history_is_json_lines(data, tmp_path):
    finetune(data, encoder(), FinetuneSettings(text=ALL, loop=loop(validate_every=2)), tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [("recall_at1" in line) for line in lines] == [False, True, True]


def test_the_head_of_the_small_backbone_trains_on_cached_trunks(data, tmp_path):
    from autocompose.model.visual import JointPool

    pool = JointPool(width=8, blocks=(1, 1, 1), tokens=16, layers=1, joints=4, values=2, hidden=16)
    network = Encoder(small_config(TINY.model_copy(update={"pool": pool})), seed=3)
    before = {k: v.clone() for k, v in network.clip.state_dict().items()}
    model = finetune(data, network, FinetuneSettings(text=ALL, part="head", loop=loop()), tmp_path / "run")
    changed = {k for k, v in model.encoder.clip.state_dict().items() if not torch.equal(v, before[k])}
    assert any(k.startswith("visual.head.") for k in changed)
    assert not any(k.startswith("visual.") and not k.startswith("visual.head.") for k in changed)
    assert evaluate_model(load_model(tmp_path / "run"), data.corpus).ranks.metrics() == model.card["validation"]


def test_a_composer_is_trained_on_what_its_epochs_draw_and_nothing_else_is_encoded(data):
    mode = TextMode(mirror=True, reverse=True, texts=2)
    settings = CombinerSettings(text=mode, loop=loop(epochs=1, batch_size=25))
    table = data.table(mode, 25)
    few = Encoded.of(data, table, encoder(), settings)
    drawn = table.drawn(settings.compose.seed, 1, 25)
    whole = text_features(encoder(), table.texts)
    assert 0 < len(drawn) < len(table.texts)
    assert torch.isnan(few.texts).all(1).sum() == len(table.texts) - len(drawn)
    torch.testing.assert_close(few.texts[drawn], whole[drawn])
    many = Encoded.of(data, table, encoder(), settings.model_copy(update={"loop": loop(epochs=40, batch_size=25)}))
    torch.testing.assert_close(many.texts, whole)


COMBINER = CombinerSettings(text=ALL, projection_dim=8, hidden_dim=12, loop=loop())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"key": "auto"}, r"questions\.key = 'sents' instead of 'auto'"),
        ({"flatten": True}, r"questions\.flatten = False instead of True"),
    ],
)
def test_other_questions_are_another_run(data, tmp_path, change, words):
    train_combiner(data, encoder(), COMBINER, tmp_path / "run")
    with pytest.raises(ConfigError, match=words):
        train_combiner(dataclasses.replace(data, **change), encoder(), COMBINER, tmp_path / "run")


def test_other_first_weights_are_another_run(data, tmp_path):
    def start(seed):
        torch.manual_seed(seed)
        return Combiner(16, 8, 12, 0.5)

    train_combiner(data, encoder(), COMBINER, tmp_path / "run", start(1))
    assert train_combiner(data, encoder(), COMBINER, tmp_path / "run", start(1)).card["settings"]["start"]
    for other in (start(2), None):
        with pytest.raises(ConfigError, match="start = "):
            train_combiner(data, encoder(), COMBINER, tmp_path / "run", other)


def test_other_pictures_of_the_same_names_are_another_run(data, tmp_path):
    copied = dataclasses.replace(data.corpus, root=tmp_path / "corpus")
    shutil.copytree(data.corpus.root, copied.root)
    data = dataclasses.replace(data, corpus=copied)
    train_combiner(data, encoder(), COMBINER, tmp_path / "run")
    path = copied.image_path(copied.galleries[Split.TRAIN][0])
    path.write_bytes(copied.image_path(copied.galleries[Split.TRAIN][1]).read_bytes())
    with pytest.raises(ConfigError, match="pictures = "):
        train_combiner(data, encoder(), COMBINER, tmp_path / "run")


@pytest.mark.parametrize("part", ["text", "both"])
@pytest.mark.parametrize("split", [Split.TRAIN, Split.TEST])
def test_when_the_data_are_repaired_as_told_it_is_the_same_run(data, tmp_path, part, split):
    """A damaged picture stops the run before it claims its folder, so that entries can be removed."""
    copied = dataclasses.replace(data.corpus, root=tmp_path / "corpus")
    shutil.copytree(data.corpus.root, copied.root)
    bad = copied.pairs[split][0].target
    copied.image_path(bad).write_bytes(b"no picture")
    settings = FinetuneSettings(text=ALL, part=part, loop=loop(epochs=2, validate_every=2))
    with pytest.raises(AutocomposeError, match=bad):
        finetune(dataclasses.replace(data, corpus=copied), encoder(), settings, tmp_path / "run")
    pairs = {s: tuple(p for p in ps if bad not in (p.reference, p.target)) for s, ps in copied.pairs.items()}
    pairs = {s: tuple(dataclasses.replace(p, img_set=()) for p in ps) for s, ps in pairs.items()}
    galleries = {s: tuple(n for n in names if n != bad) for s, names in copied.galleries.items()}
    repaired = dataclasses.replace(copied, pairs=pairs, galleries=galleries)
    finetune(dataclasses.replace(data, corpus=repaired), encoder(), settings, tmp_path / "run")


def test_a_folder_of_the_user_is_no_run(data, tmp_path):
    out = tmp_path / "mine"
    out.mkdir()
    (out / "model.json").write_text("mine")
    with pytest.raises(AutocomposeError, match="not empty and not a run made by this program"):
        train_combiner(data, encoder(), COMBINER, out)
    assert [p.name for p in out.iterdir()] == ["model.json"]


def test_a_run_of_version_0_1_is_read(data, tmp_path):
    out = tmp_path / "run"
    first = train_combiner(data, encoder(), COMBINER, out)
    old = first.card["settings"]
    for path in out.glob("*.manifest.json"):
        path.unlink()
    (out / "settings.json").write_text(
        json.dumps({k: v for k, v in old.items() if k not in ("pictures", "questions", "start")})
    )
    with mock.patch("autocompose.train.runs.run", side_effect=AssertionError):
        assert train_combiner(data, encoder(), COMBINER, out).card == first.card
