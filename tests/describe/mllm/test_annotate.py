"""Whole runs with the simulated annotator as the client, in this process."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from autocompose.cli import annotate_mllm as _verbs  # noqa: F401
from autocompose.cli.app import run
from autocompose.core.errors import AnnotationError, ConfigError, StorageError
from autocompose.core.records import Split
from autocompose.core.text_fields import Edit
from autocompose.corpus.format import Corpus, load_corpus
from autocompose.describe.mllm.annotate import annotate
from autocompose.describe.mllm.asks import Answer, Ask, Dialect, Fault, FaultKind
from autocompose.describe.mllm.export import Rules, export_texts
from autocompose.describe.mllm.recipe import Endpoint
from autocompose.describe.mllm.recording.journal import Journal
from autocompose.describe.mllm.review.verdicts import Reviews
from autocompose.describe.side_words import swap_sides
from tests.describe.mllm.fakes import QUICK, Fake, job, journal_of
from tests.simulator.annotator import Errors
from tests.simulator.figures import figure_corpus

FIELDS = ("mllm", "reverse", "mirror", "mirror-reverse")


def rows(corpus: Corpus, query: str) -> list[Any]:
    db = sqlite3.connect(journal_of(corpus))
    try:
        return db.execute(query).fetchall()
    finally:
        db.close()


@pytest.mark.parametrize("pictures", ["separate", "side-by-side"])
@pytest.mark.parametrize("frame", ["colour", "picture", "words"])
def test_every_pair_gets_four_fields_of_true_texts(corpus: Corpus, frame: str, pictures: str) -> None:
    summary = annotate(job(corpus, frame=frame, pictures=pictures), Fake(corpus))
    assert (summary.stopped, summary.done, dict(summary.failed)) == ("done", 16, {})
    export_texts(corpus.root)
    for pair in load_corpus(corpus.root).pairs[Split.TRAIN]:
        assert all(len(set(pair.texts[field])) == 3 for field in FIELDS)
    audits = [t["audit"] for (r,) in rows(corpus, "SELECT texts FROM items") for t in json.loads(r)]
    assert sum(a[0] for a in audits) > 50 and sum(a[4] for a in audits) == 0


def test_the_model_sees_no_side_word_in_the_colour_frame(corpus: Corpus) -> None:
    fake = Fake(corpus)
    annotate(job(corpus), fake)
    asked = fake.of_stage("parts")[0]
    parts = asked.schema["properties"]["movements"]["items"]["properties"]["part"]["enum"]
    assert not any("left" in part or "right" in part for part in parts)


def test_stage_two_sees_no_picture(corpus: Corpus) -> None:
    fake = Fake(corpus)
    annotate(job(corpus), fake)
    assert fake.of_stage("texts") and not any(ask.pictures for ask in fake.of_stage("texts"))


def test_a_second_run_asks_nothing(corpus: Corpus) -> None:
    annotate(job(corpus), Fake(corpus))
    again = Fake(corpus)
    summary = annotate(job(corpus), again)
    assert again.asks == [] and (summary.skipped, summary.done) == (16, 0)


def test_a_changed_picture_is_asked_again(corpus: Corpus) -> None:
    annotate(job(corpus), Fake(corpus))
    path = corpus.image_path(corpus.pairs[Split.TRAIN][0].reference)
    image = Image.open(path)
    image.putpixel((5, 200), (1, 2, 3))
    image.save(path)
    fake = Fake(corpus)
    assert annotate(job(corpus), fake).done == 4
    assert len(fake.of_stage("parts")) == 4


def test_derived_mirrors_cost_nothing(corpus: Corpus) -> None:
    fake = Fake(corpus)
    annotate(job(corpus, mirror="derive"), fake)
    assert {ask.edit for ask in fake.asks if ask.edit} == {"plain", "reverse"}
    export_texts(corpus.root)
    pair = load_corpus(corpus.root).pairs[Split.TRAIN][0]
    sides = [text.replace("left", "*").replace("right", "left").replace("*", "right") for text in pair.texts["mllm"]]
    assert list(pair.texts["mirror"]) == sides


def test_wrong_answers_are_asked_again_a_bounded_number_of_times(corpus: Corpus) -> None:
    fake = Fake(corpus, before=lambda ask, n: Answer("nonsense") if ask.stage == "parts" else None)
    summary = annotate(job(corpus), fake)
    assert dict(summary.failed) == {"schema": 16}
    assert len(fake.asks) == 1 + 16 * 3
    last = fake.of_stage("parts")[-1]
    assert "could not be used" in last.text and last.sample > 0
    assert [r[0] for r in rows(corpus, "SELECT raw FROM attempts WHERE raw = 'nonsense'")]


def test_refusals_are_recorded_and_can_be_retried(corpus: Corpus) -> None:
    summary = annotate(job(corpus), Fake(corpus, Errors(refuse=1.0)))
    assert dict(summary.failed) == {"refused": 16}
    journal = Journal(journal_of(corpus))
    with journal.transaction():
        assert journal.retry_failed() == 16
    journal.close()
    assert annotate(job(corpus), Fake(corpus)).done == 16


def test_a_cut_answer_is_asked_again_with_twice_the_room(corpus: Corpus) -> None:
    def cut_first(ask: Ask, n: int) -> Answer | None:
        return Answer('{"movements": [{"part"', "length") if ask.sample == 0 and ask.stage == "parts" else None

    fake = Fake(corpus, before=cut_first)
    assert annotate(job(corpus), fake).done == 16
    assert {(a.sample, a.max_tokens) for a in fake.of_stage("parts")} == {(0, 800), (1, 1600)}


def test_an_unreadable_picture_fails_its_pair_only(corpus: Corpus) -> None:
    corpus.image_path(corpus.pairs[Split.TRAIN][1].target).write_bytes(b"no picture")
    summary = annotate(job(corpus), Fake(corpus))
    assert (summary.done, dict(summary.failed)) == (12, {"picture": 4})
    details = {r[0] for r in rows(corpus, "SELECT detail FROM items WHERE kind = 'picture'")}
    assert all(corpus.pairs[Split.TRAIN][1].target in detail for detail in details)


def test_a_refused_key_stops_at_once_and_marks_nothing_failed(corpus: Corpus) -> None:
    def refuse(ask: Ask, n: int) -> Answer:
        raise Fault(FaultKind.RUN_FAILED, "key", "host refuses the key in OPENAI_API_KEY")

    with pytest.raises(AnnotationError, match="refuses the key"):
        annotate(job(corpus), fake := Fake(corpus, before=refuse))
    assert len(fake.asks) <= 1 + QUICK.slots
    assert rows(corpus, "SELECT COUNT(*) FROM items WHERE state = 'failed'") == [(0,)]
    assert annotate(job(corpus), Fake(corpus)).done == 16


def test_the_budget_is_never_crossed_and_the_rest_can_be_done_later(corpus: Corpus) -> None:
    limits = QUICK.model_copy(update={"max_tokens": 12_000})
    summary = annotate(job(corpus, limits), Fake(corpus))
    assert summary.stopped == "budget" and 0 < summary.done < 16
    assert summary.spent[1] <= 12_000
    assert summary.left == 16 - summary.done and f"finish the other {summary.left}" in summary.advice()
    summary = annotate(job(corpus), Fake(corpus))
    assert summary.stopped == "done" and summary.done > 0
    assert rows(corpus, "SELECT COUNT(*) FROM items WHERE state = 'done'") == [(16,)]


def test_a_host_elsewhere_needs_consent_once(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-x")
    away = Endpoint(base_url="https://models.example.org/v1")
    fake = Fake(corpus)
    with pytest.raises(ConfigError, match=r"8 pictures would be sent to models\.example\.org \(sim.*--yes"):
        annotate(job(corpus, endpoint=away), fake)
    assert fake.asks == []
    assert annotate(job(corpus, endpoint=away), fake, yes=True).done == 16
    annotate(job(corpus, endpoint=away), fake)


def test_changed_settings_are_confirmed_and_keep_the_old_answers(corpus: Corpus) -> None:
    annotate(job(corpus), Fake(corpus))
    with pytest.raises(ConfigError, match="16 variants were described with other settings"):
        annotate(job(corpus, temperature=0.1), Fake(corpus))
    annotate(job(corpus, temperature=0.1), Fake(corpus), yes=True)
    assert rows(corpus, "SELECT COUNT(*), COUNT(DISTINCT version) FROM items") == [(32, 2)]


def test_ctrl_c_lets_requests_in_flight_finish(corpus: Corpus) -> None:
    async def slowly(ask: Ask, n: int) -> None:
        if n == 6:
            os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(0.05)

    summary = annotate(job(corpus), fake := Fake(corpus, before=slowly))
    assert summary.stopped == "interrupted" and summary.done < 16
    assert rows(corpus, "SELECT COUNT(*) FROM attempts WHERE kind = 'ok'") == [(len(fake.asks),)]
    assert rows(corpus, "SELECT COUNT(*) FROM asks WHERE state = 'leased'") == [(0,)]
    assert annotate(job(corpus), Fake(corpus)).done == 16 - summary.done


def test_ctrl_c_during_the_probe_is_remembered_as_such(corpus: Corpus) -> None:
    async def hang(ask: Ask, dialect: Dialect) -> Answer:
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(5)
        raise AssertionError("not interrupted")

    with pytest.raises(KeyboardInterrupt):
        annotate(job(corpus), hang)
    assert rows(corpus, "SELECT stopped FROM runs") == [("interrupted",)]


def test_a_full_disk_stops_the_run_and_the_journal_stays_whole(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    record = Journal.record

    def full(self: Journal, *arguments: Any, **named: Any) -> Any:
        if self.db.execute("SELECT COUNT(*) FROM attempts").fetchone()[0] >= 9:
            pages = self.db.execute("PRAGMA page_count").fetchone()[0]
            self.db.execute(f"PRAGMA max_page_count = {pages}")
            self.db.execute("INSERT INTO prompts VALUES ('big', ?)", ("x" * 10_000_000,))
        return record(self, *arguments, **named)

    monkeypatch.setattr(Journal, "record", full)
    with pytest.raises(StorageError, match="disk is full"):
        annotate(job(corpus), Fake(corpus))
    monkeypatch.undo()
    assert rows(corpus, "PRAGMA integrity_check") == [("ok",)]
    assert rows(corpus, "SELECT COUNT(*) FROM attempts") == [(9,)]
    annotate(job(corpus), Fake(corpus))
    assert rows(corpus, "SELECT COUNT(*) FROM items WHERE state = 'done'") == [(16,)]


def test_two_runs_share_one_journal_without_doubling(corpus: Corpus) -> None:
    from autocompose.describe.mllm.annotate import _Run

    async def slowly(ask: Ask, n: int) -> None:
        await asyncio.sleep(0.05)

    fakes = [Fake(corpus, before=slowly), Fake(corpus, before=slowly)]

    async def both() -> list[Any]:
        return await asyncio.gather(*(_Run(job(corpus), fake, False).run() for fake in fakes))

    summaries = asyncio.run(both())
    assert sum(s.done for s in summaries) == 16 and all(s.done for s in summaries)
    assert rows(corpus, "SELECT MAX(n) FROM (SELECT COUNT(*) AS n FROM attempts WHERE kind = 'ok' GROUP BY key)") == [
        (1,)
    ]


def test_a_living_run_with_other_settings_is_named(corpus: Corpus) -> None:
    journal = Journal(journal_of(corpus))
    other = job(corpus, temperature=0.1)
    with journal.transaction():
        journal.start(
            other.version, {**other.recipe.model_dump(mode="json"), "prompts": other.prompts.hash(other.recipe.frame)}
        )
    with pytest.raises(AnnotationError, match=rf"process {os.getpid()} on .* other settings \(temperature\)"):
        annotate(job(corpus), Fake(corpus))
    journal.close()


@pytest.mark.parametrize("aids", [{"joints": True}, {"grounded": True}, {"self_check": True}, {"blur_faces": True}])
def test_every_aid_can_be_switched_on(corpus: Corpus, aids: dict[str, bool]) -> None:
    def right_hand(ask: Ask, n: int) -> None:
        if "grounded" in aids and ask.stage == "parts":
            hints = ask.text.split("Measured")[1]
            assert ("blue" in hints or "orange" in hints) and "left" not in hints

    fake = Fake(corpus, before=right_hand)
    plain = job(corpus)
    summary = annotate(job(corpus, **aids), fake)
    assert summary.done == 16
    assert job(corpus, **aids).version != plain.version


def test_grounding_needs_a_frame_with_sides(corpus: Corpus) -> None:
    with pytest.raises(ConfigError, match="grounded"):
        job(corpus, grounded=True, frame="picture")


def test_every_picture_is_followed_by_its_side_view(corpus: Corpus) -> None:
    fake = Fake(corpus)
    assert annotate(job(corpus, pictures="with-side-view"), fake).done == 16
    ask = fake.of_stage("parts")[0]
    assert len(ask.pictures) == 4 and ask.text.count("seen exactly from the side") == 2
    assert job(corpus, pictures="with-side-view").version != job(corpus).version
    with pytest.raises(ConfigError, match="with-side-view mentions the person's sides"):
        job(corpus, pictures="with-side-view", frame="picture")


def test_auto_asks_in_colour_where_keypoints_are_known(corpus: Corpus) -> None:
    assert corpus.poses is not None
    points = corpus.poses.columns["coco2d"].copy()
    pair = corpus.pairs[Split.TRAIN][0]
    points[corpus.poses.index()[pair.target]] = np.nan
    partly = replace(corpus, poses=replace(corpus.poses, columns={"coco2d": points}))
    work = job(partly, frame="auto", edits=(Edit.PLAIN,))
    assert [str(work.frame_of(item)) for item in work.items()] == ["picture", "colour", "colour", "colour"]
    assert str(job(partly, frame="auto", grounded="depth").frame_of(next(iter(work.items())))) == "words"


def test_auto_asks_people_in_profile_in_words(corpus: Corpus) -> None:
    bare = replace(corpus, poses=replace(corpus.poses, columns={}))  # type: ignore[type-var]

    def profile(ask: Ask, n: int) -> Answer | None:
        if "facing_reference" not in ask.system:
            return None
        moves = [{"part": "image_left_arm", "change": "raise it"}]
        said = {"facing_reference": "left_profile", "facing_target": "left_profile", "movements": moves}
        return Answer(json.dumps(said))

    fake = Fake(bare, before=profile)
    assert annotate(job(bare, frame="auto", edits=(Edit.PLAIN,)), fake).done == 4
    assert len(fake.of_stage("parts")) == 8  # one in the frame picture, one in words
    work = job(bare, frame="picture", edits=(Edit.PLAIN,), temperature=0.1)
    summary = annotate(work, Fake(bare, before=profile), yes=True)
    assert summary.failed == {"profile": 4} and "--frame auto" in str(summary.nothing(bare.root, work.recipe))


def test_aids_against_wrong_depth(tmp_path: Path) -> None:
    """The simulator takes forward for back unless a hint or a side view tells it."""
    made, false = figure_corpus(tmp_path, 24, seed=3), {}
    for name, aid in {"none": {}, "hints": {"grounded": "depth"}, "side view": {"pictures": "with-side-view"}}.items():
        fake = Fake(made, Errors(depth=1.0))
        annotate(job(made, edits=(Edit.PLAIN,), **aid), fake, yes=True)
        false[name] = fake.annotator.counts["false statements"]
    assert false["none"] >= 10 and false["hints"] <= false["none"] / 3 and false["side view"] == 0, false


def test_unknown_prices_refuse_a_cost_limit(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-x")
    away = Endpoint(base_url="https://models.example.org/v1")
    with pytest.raises(ConfigError, match="the price of sim"):
        job(corpus, QUICK.model_copy(update={"max_cost": 1.0}), away)


def test_filters_decide_what_is_exported(corpus: Corpus) -> None:
    annotate(job(corpus, frame="words"), Fake(corpus, Errors(swap=0.6)))
    strict, loose = export_texts(corpus.root)["mllm"], export_texts(corpus.root, Rules(min_agreement=0))["mllm"]
    assert loose.kept == 4 and strict.kept < 4
    assert strict.dropped["contradicted by the poses"] == 4 - strict.kept


def test_an_export_that_keeps_nothing_names_every_reason(corpus: Corpus, capsys: pytest.CaptureFixture[str]) -> None:
    annotate(job(corpus, frame="words", edits=(Edit.PLAIN,)), Fake(corpus, Errors(swap=1)))
    path = corpus.image_path(corpus.pairs[Split.TRAIN][0].reference)
    Image.open(path).rotate(1).save(path)
    assert run(["describe", "export", str(corpus.root)]) == 1
    said = capsys.readouterr().err
    assert "mllm: 4 in, 0 kept; dropped 3: contradicted by the poses; " in said
    assert "dropped 1: picture or pose changed since and contradicted by the poses" in said
    assert said.rstrip().endswith("; try --allow-stale")
    assert not any("mllm" in pair.texts for pair in load_corpus(corpus.root).pairs[Split.TRAIN])
    enough = re.search(r"--min-agreement (\S+) instead of 0.5 keeps the first", said)
    assert enough and export_texts(corpus.root, Rules(min_agreement=float(enough[1])))["mllm"].kept >= 1


def test_a_run_that_describes_nothing_says_what_helps(corpus: Corpus) -> None:
    cut = Fake(corpus, before=lambda ask, n: Answer("{", "length"))
    work = job(corpus)
    nothing = annotate(work, cut).nothing(corpus.root, work.recipe)
    assert "0 kept; dropped 16: length)" in str(nothing)
    assert str(nothing).endswith("answers were cut; let them be longer: --answer-tokens 3200")
    empty = replace(work, first=0)
    assert "no pair was chosen" in str(annotate(empty, Fake(corpus)).nothing(corpus.root, empty.recipe))


def test_a_run_says_how_many_texts_are_not_perfect(corpus: Corpus) -> None:
    fake = Fake(corpus)

    def only_one(ask: Ask, n: int) -> Answer | None:
        if ask.stage != "texts":
            return None
        said = json.loads(fake.annotator.answer(ask.body(Dialect()))["content"])["texts"]
        return Answer(json.dumps({"texts": said[:1] if ask.sample == 0 else []}))

    fake.before = only_one
    summary = annotate(job(corpus), fake)
    assert dict(summary.imperfect) == {"short": 16}
    assert summary.line().startswith("16 described (16 with fewer wordings than asked for), 0 known before")


def test_a_filtered_field_is_filled_from_its_mirror(corpus: Corpus) -> None:
    annotate(job(corpus, frame="words"), Fake(corpus, Errors(swap=0.5)))
    alone, filled = export_texts(corpus.root), export_texts(corpus.root, Rules(fill_mirrors=True))
    pairs = load_corpus(corpus.root).pairs[Split.TRAIN]
    assert sum(t.kept for t in filled.values()) > sum(t.kept for t in alone.values())
    assert all(("mllm" in p.texts) == ("mirror" in p.texts) for p in pairs)
    assert all(t.kept + t.dropped.total() == 4 for t in filled.values())
    told = [p.texts for p in pairs if "mirror" in p.texts]
    exchanged = [t for t in told if t["mirror"] == tuple(map(swap_sides, t["mllm"]))]
    assert exchanged


def test_what_a_reviewer_rejects_is_not_filled(corpus: Corpus) -> None:
    annotate(job(corpus), Fake(corpus))
    with Reviews(corpus.root, "anna") as reviews:
        shown = next(i for i, row in enumerate(reviews.rows) if row.item.edit is Edit.PLAIN)
        reviews.judge(shown, 0, "reject")
    assert export_texts(corpus.root, Rules(fill_mirrors=True))["mllm"].dropped == {"rejected in review": 1}


def test_export_refuses_stale_texts_unless_told(corpus: Corpus) -> None:
    annotate(job(corpus), Fake(corpus))
    path = corpus.image_path(corpus.pairs[Split.TRAIN][0].reference)
    Image.open(path).rotate(1).save(path)
    assert export_texts(corpus.root)["mllm"].dropped == {"picture or pose changed since": 1}
    assert "mllm" not in load_corpus(corpus.root).pairs[Split.TRAIN][0].texts
    assert export_texts(corpus.root, Rules(allow_stale=True))["mllm"].kept == 4


def test_export_leaves_other_fields_alone(corpus: Corpus) -> None:
    annotate(job(corpus, edits=(Edit.PLAIN,)), Fake(corpus))
    path = corpus.root / "captions/train.json"
    entries = json.loads(path.read_text("utf-8"))
    entries[0] |= {"reverse": ["kept"], "sents": ["human"], "mllm": ["old"]}
    path.write_text(json.dumps(entries), "utf-8")
    export_texts(corpus.root)
    entry = json.loads(path.read_text("utf-8"))[0]
    assert (entry["reverse"], entry["sents"], len(entry["mllm"])) == (["kept"], ["human"], 3)
    card = json.loads((corpus.root / "annotation.json").read_text("utf-8"))
    assert card["model"] == "sim" and card["fields"]["mllm"]["kept"] == 4
