"""The verbs, against a raw loopback server and the journal of a fake run."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from autocompose.cli import load_verbs
from autocompose.cli.app import run
from autocompose.core.errors import AnnotationError
from autocompose.core.records import Split
from autocompose.core.text_fields import Edit
from autocompose.corpus.format import Corpus, load_corpus
from autocompose.describe.mllm.annotate import annotate
from autocompose.describe.mllm.annotation_report import report, status
from autocompose.describe.mllm.asking.prompts import BUILT_IN, load_prompts
from autocompose.describe.mllm.frames import Frame
from autocompose.describe.mllm.recipe import Endpoint, Recipe
from autocompose.describe.mllm.recording.journal import Journal
from autocompose.describe.mllm.sending.costs import load_costs
from tests.describe.mllm.fakes import LOCAL, Fake, job
from tests.describe.mllm.raw_server import RawServer, error
from tests.simulator.annotator import Errors

KEY = "sk-secret-0123456789"
load_verbs()


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    yield


def test_a_dry_run_shows_prompts_and_cost_and_sends_nothing(corpus: Corpus, capsys: pytest.CaptureFixture) -> None:
    assert run(["describe", "mllm", str(corpus.root), "--model", "gpt-4o-mini", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert shown.count("--- Stage I,") == 3 and "You compare two pictures" in shown and "--- Stage II" in shown
    assert "16 variants of 8 pictures: 32 requests" in shown and "about $" in shown and "nothing was sent" in shown
    assert not (corpus.root / "annotation.sqlite").exists()


@pytest.mark.parametrize("level", ["", "debug"])
def test_the_key_appears_in_no_output_and_no_file(
    corpus: Corpus, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch, level: str
) -> None:
    monkeypatch.setenv("OPENAI_LOG", level)
    with RawServer(error(401, f"Incorrect API key provided: {KEY}")) as server:
        code = run(["describe", "mllm", str(corpus.root), "--model", "m", "--base-url", server.url])
        assert KEY.encode() in server.raw[0]
    shown = capsys.readouterr()
    assert code == 2 and "refuses the key in OPENAI_API_KEY" in shown.err
    assert KEY not in shown.out + shown.err
    for path in corpus.root.rglob("*"):
        assert path.is_dir() or KEY.encode() not in path.read_bytes()


def test_nothing_listening_is_one_line(corpus: Corpus, capsys: pytest.CaptureFixture) -> None:
    with RawServer(b"") as server:
        url = server.url
    assert run(["describe", "mllm", str(corpus.root), "--model", "m", "--base-url", url]) == 2
    assert f"nothing listens at {url}" in capsys.readouterr().err


def test_an_unwell_server_is_one_line_that_names_it(corpus: Corpus) -> None:
    with RawServer(error(500, "out of memory")) as server, pytest.raises(AnnotationError) as caught:
        annotate(job(corpus, endpoint=Endpoint(base_url=server.url)))
    host = server.url.split("/")[2]
    assert str(caught.value) == f"{host} does not answer, tried 5 times; last: 500: out of memory"


def test_a_host_elsewhere_is_refused_without_yes(corpus: Corpus, capsys: pytest.CaptureFixture) -> None:
    assert run(["describe", "mllm", str(corpus.root), "--model", "gpt-4o", "--base-url", "https://x.example/v1"]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert "8 pictures would be sent to x.example (gpt-4o" in line and "--yes" in line
    assert re.search(r"about \$\d+\.\d\d at prices of 2025-08", line)


def test_pictures_without_keypoints_use_the_picture_frame(corpus: Corpus, capsys: pytest.CaptureFixture) -> None:
    (corpus.root / "poses.npz").unlink()
    assert run(["describe", "mllm", str(corpus.root), "--model", "m", "--dry-run"]) == 0
    shown = capsys.readouterr()
    assert "--frame picture" in shown.err and "facing_reference" in shown.out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--frame", "sideways"], "frame = 'sideways'"),
        (["--base-url", "localhost:8000"], "expected an address such as"),
        (["--prompts", "nowhere"], "built-in prompt sets: v1"),
        (["--prices", "none.toml"], "not a price table"),
        (["--edit", "upside-down"], "allowed: plain, reverse"),
        (["--on", "steam"], "allowed: server, ray"),
    ],
)
def test_bad_options_are_named(corpus: Corpus, capsys: pytest.CaptureFixture, options: list[str], words: str) -> None:
    assert (
        run(["describe", "mllm", str(corpus.root), "--model", "m", "--base-url", "http://127.0.0.1:9", *options]) == 2
    )
    assert words in " ".join(capsys.readouterr().err.replace("│", " ").split())


def test_status_retry_export_and_report_of_a_run(corpus: Corpus, capsys: pytest.CaptureFixture) -> None:
    annotate(job(corpus), Fake(corpus, Errors(refuse=0.4)))
    root = str(corpus.root)
    assert run(["describe", "status", root, "--json"]) == 0
    status = json.loads(capsys.readouterr().out)
    failed = status["failed"]["refused"]
    assert 0 < failed < 16 and status["done"] == 16 - failed and status["requests"]["ok"] > 16
    assert run(["describe", "retry", root]) == 2
    assert run(["describe", "retry", root, "--failed"]) == 0
    assert f"{failed} failed variants" in capsys.readouterr().err
    annotate(job(corpus), Fake(corpus))
    assert run(["describe", "export", root]) == 0
    assert "mllm: 4 in, 4 kept" in capsys.readouterr().err
    assert all(len(pair.texts["mirror-reverse"]) == 3 for pair in load_corpus(corpus.root).pairs[Split.TRAIN])
    assert run(["describe", "report", root]) == 0
    shown = capsys.readouterr().out
    assert "claims wrong (either): 0" in shown and "self-BLEU" in shown and "moved limbs mentioned: 1" in shown


def test_the_report_compares_with_the_rule_texts_of_the_same_variants(corpus: Corpus) -> None:
    texts = {"auto": ("a", "b"), "auto-reverse": ("c",)}
    pairs = tuple(replace(p, texts=texts) for p in corpus.pairs[Split.TRAIN])
    corpus = replace(corpus, pairs={Split.TRAIN: pairs})
    corpus.save()
    annotate(replace(job(corpus, edits=(Edit.PLAIN,)), first=3), Fake(corpus))
    found = report(corpus.root)
    assert (found["texts"]["mllm"]["texts"], found["texts"]["rules"]["texts"]) == (9, 6)
    assert found["per pair"] == found["per variant"]


def test_verbs_without_a_journal_say_what_to_run(corpus: Corpus, capsys: pytest.CaptureFixture) -> None:
    for verb in (["status"], ["export"], ["report"], ["retry", "--failed"]):
        assert run(["describe", verb[0], str(corpus.root), *verb[1:]]) == 2
        assert "describe mllm" in capsys.readouterr().err


def test_own_prompts_change_the_version(tmp_path: Path) -> None:
    own = tmp_path / "own"
    shutil.copytree(BUILT_IN / "v1", own)

    def versions() -> list[str]:
        prompts = load_prompts(str(own))
        return [Recipe(model="m", frame=frame).version(prompts.hash(frame)) for frame in Frame]

    before, built_in = versions(), load_prompts("v1")
    assert before == [Recipe(model="m", frame=frame).version(built_in.hash(frame)) for frame in Frame]
    (own / "parts.words.md").write_text("List the movements. $language $parts", "utf-8")
    changed = [one != other for one, other in zip(versions(), before, strict=True)]
    assert changed == [frame in (Frame.WORDS, Frame.AUTO) for frame in Frame]  # the texts of other frames stay fresh
    (own / "texts.md").write_text("Merge the movements. $language", "utf-8")
    assert all(one != other for one, other in zip(versions(), before, strict=True))


def test_prices_are_found_by_the_longest_name(tmp_path: Path) -> None:
    assert load_costs("gpt-4o-mini-2024-07-18", False).price.input == 0.15  # type: ignore[union-attr]
    assert load_costs("openai/gpt-4o", False).price.input == 2.5  # type: ignore[union-attr]
    assert load_costs("nobody-knows", False).price is None
    assert load_costs("nobody-knows", True).of(1000, 1000) == 0
    own = tmp_path / "p.toml"
    own.write_text('as_of = "today"\n[mine]\ninput = 1.0\noutput = 2.0\n', "utf-8")
    assert load_costs("mine-7b", False, own).of(1_000_000, 1_000_000) == 3.0
    assert load_costs("gpt-4o", False, own).price is None  # it replaces the built-in table


def test_own_prices_decide_the_cost_and_every_cost_says_how_old_they_are(
    corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, away = tmp_path / "p.toml", "https://x.example/v1"
    own.write_text('as_of = "2031-05"\n["gpt-4o"]\ninput = 250.0\noutput = 1000.0\npicture = 255\n', "utf-8")
    command = ["describe", "mllm", str(corpus.root), "--model", "gpt-4o", "--base-url", away, "--dry-run"]
    shown = []
    for options in ([], ["--prices", str(own)]):
        assert run([*command, *options]) == 0
        shown.append(re.search(r"about \$(\d+\.\d\d) at prices of (\S+),", capsys.readouterr().out))
    assert [m[2] for m in shown if m] == ["2025-08", "2031-05"]
    assert float(shown[1][1]) == pytest.approx(100 * float(shown[0][1]), rel=0.05)  # type: ignore[index]

    monkeypatch.setenv("OPENAI_API_KEY", "sk-x")
    paid = replace(job(corpus, endpoint=Endpoint(base_url=away), model="gpt-4o"), prices=own)
    summary = annotate(paid, Fake(corpus), yes=True)
    assert "at prices of 2031-05" in summary.line() and summary.spent[0] > 1
    assert "at prices of 2031-05" in replace(summary, stopped="budget", left=1).advice()
    assert "at prices" not in annotate(replace(paid, endpoint=LOCAL), Fake(corpus)).line()
    for verb in ("status", "report"):
        assert run(["describe", verb, str(corpus.root)]) == 0
        assert "prices of: 2031-05" in capsys.readouterr().out.splitlines()


def test_no_cost_is_stated_for_a_model_without_a_price(
    corpus: Corpus, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    away = Endpoint(base_url="https://x.example/v1")
    line = annotate(job(corpus, endpoint=away, model="nobody-knows"), Fake(corpus), yes=True).line()
    assert "; price unknown, " in line and "$" not in line
    assert run(["describe", "status", str(corpus.root)]) == 0
    assert "prices of: unknown" in capsys.readouterr().out.splitlines()


def test_status_tells_how_the_last_run_ended(corpus: Corpus) -> None:
    def ended() -> str:
        return status(corpus.root)["last run"]

    with RawServer(error(401, "no")) as server, pytest.raises(AnnotationError):
        annotate(job(corpus, endpoint=Endpoint(base_url=server.url)))
    assert ended() == "key"
    journal = Journal(corpus.root / "annotation.sqlite")
    with journal.transaction():
        journal.start("v", {"model": "m"})
    assert ended() == "at work"
    journal.db.execute("UPDATE runs SET beat = 0 WHERE ended IS NULL")
    journal.close()
    assert ended() == "killed"
    annotate(job(corpus), Fake(corpus))
    assert ended() == "done"


def test_an_export_without_a_described_pair_is_an_error(corpus: Corpus, capsys: pytest.CaptureFixture) -> None:
    with RawServer(error(401, "no")) as server, pytest.raises(AnnotationError):
        annotate(job(corpus, endpoint=Endpoint(base_url=server.url)))
    assert run(["describe", "export", str(corpus.root)]) == 2
    assert "nothing has been described" in capsys.readouterr().err
    assert not (corpus.root / "annotation.json").exists()


def test_a_table_without_a_date_is_called_undated(tmp_path: Path) -> None:
    own = tmp_path / "p.toml"
    own.write_text("[mine]\ninput = 1.0\noutput = 2.0\n", "utf-8")
    assert load_costs("mine", False, own).state == "at prices of an undated table"
    assert load_costs("mine", True).state == ""
