"""The review page and its store."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from autocompose.core.errors import InputError
from autocompose.core.records import Split
from autocompose.corpus.format import load_corpus
from autocompose.describe.mllm.annotate import annotate
from autocompose.describe.mllm.export import export_texts
from autocompose.describe.mllm.review.verdicts import Reviews, cohens_kappa, drawn
from tests.describe.mllm.fakes import Fake, job
from tests.simulator.figures import figure_corpus


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Path:
    corpus = figure_corpus(tmp_path_factory.mktemp("review"), 2)
    annotate(job(corpus), Fake(corpus))
    return corpus.root


@pytest.fixture
def root(described: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(described, tmp_path / "corpus"))


@pytest.fixture
def reviews(root: Path) -> Iterator[Reviews]:
    with Reviews(root, "anna") as made:
        yield made


def number_of(reviews: Reviews, edit: str) -> int:
    return next(i for i, row in enumerate(reviews.rows) if row.item.edit.value == edit)


def test_a_variant_shows_its_pictures_in_the_order_of_its_edit(reviews: Reviews) -> None:
    plain, back = (reviews.variant(number_of(reviews, edit)) for edit in ("plain", "mirror-reverse"))
    assert (plain["reference"], plain["target"]) == (back["target"], back["reference"])
    assert not plain["mirrored"] and back["mirrored"]
    assert len(plain["texts"]) == 3
    assert {c["verdict"] for t in plain["texts"] for c in t["claims"]} == {"supported"}


def test_verdicts_decide_what_is_exported_and_by_whom(reviews: Reviews, root: Path) -> None:
    plain, reverse = number_of(reviews, "plain"), number_of(reviews, "reverse")
    machine = [t["text"] for t in reviews.variant(plain)["texts"]]
    reviews.judge(plain, 1, "edit", "Raise  your left arm,\nplease.")
    reviews.judge(plain, 2, "accept")
    reviews.judge(reverse, 0, "reject")
    export_texts(root)
    row = reviews.rows[plain]
    pair = next(p for p in load_corpus(root).pairs[Split.TRAIN] if p.reference == row.item.reference)
    assert pair.texts["mllm"] == (machine[0], "Raise your left arm, please.", machine[2])
    assert "reverse" not in pair.texts  # two wordings are left, three are wanted
    assert pair.extra["reviewed"]["mllm"] == [
        {"number": 1, "verdict": "edit", "by": "anna"},
        {"number": 2, "verdict": "accept", "by": "anna"},
    ]
    assert [t["text"] for t in reviews.variant(plain)["texts"]] == machine  # the machine's words stay as they were


def test_a_later_verdict_replaces_the_earlier_one(reviews: Reviews) -> None:
    reviews.judge(0, 0, "reject")
    reviews.judge(0, 0, "accept")
    assert reviews.variant(0)["texts"][0]["verdict"] == "accept"
    assert reviews.agreement()["verdicts"] == {"anna": {"accept": 1}}


def test_the_first_open_variant_moves_on(reviews: Reviews) -> None:
    assert reviews.first_open() == 0
    for text in range(3):
        reviews.judge(0, text, "accept")
    assert reviews.first_open() == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((99, 0, "accept"), "no variant 99"),
        ((0, 7, "accept"), "no text 7"),
        ((0, 0, "maybe"), "expected one of"),
        ((0, 0, "edit", "   "), "needs 1 to"),
        ((0, 0, "edit", "x" * 1001), "needs 1 to"),
        ((0, 0, "edit", "Raise your left \ud800 arm."), "invalid characters"),
        ((0, 0, "edit", "Raise your left \x00 arm."), "invalid characters"),
    ],
)
def test_bad_verdicts_are_refused(reviews: Reviews, arguments: tuple, words: str) -> None:
    with pytest.raises(InputError, match=words):
        reviews.judge(*arguments)


def test_kappa_by_hand() -> None:
    one = ["accept"] * 20 + ["reject"] * 30
    other = ["accept"] * 15 + ["reject"] * 5 + ["accept"] * 10 + ["reject"] * 20
    # observed 35/50; chance 0.4 * 0.5 + 0.6 * 0.5 = 0.5
    assert cohens_kappa(one, other) == pytest.approx(0.4)
    assert cohens_kappa(one, one) == 1
    assert cohens_kappa(["accept"], ["accept"]) == 1
    assert cohens_kappa([], []) is None


def test_two_reviewers_agree_or_not(reviews: Reviews, root: Path) -> None:
    with Reviews(root, "ben") as other:
        for text, (a, b) in enumerate([("accept", "accept"), ("reject", "reject"), ("accept", "reject")]):
            reviews.judge(0, text, a)
            other.judge(0, text, b)
        found = other.agreement()["pairs"]["anna, ben"]
    assert found["texts"] == 3 and found["kappa"] == pytest.approx(0.4)


def test_a_share_is_the_same_for_everyone() -> None:
    chosen = [i for i in range(2000) if drawn(f"{i}.png", "b.png", 0.25)]
    assert 430 < len(chosen) < 570
    assert all(drawn(f"{i}.png", "b.png", 0.5) for i in chosen)


def test_the_page_over_http(reviews: Reviews) -> None:
    from fastapi.testclient import TestClient

    from autocompose.describe.mllm.review.page import make_app

    client = TestClient(make_app(reviews), base_url="http://127.0.0.1")
    page = client.get("/")
    shown = reviews.variant(0)
    assert (
        page.status_code == 200 and shown["texts"][0]["text"] in page.text and "default-src 'self'" in str(page.headers)
    )
    assert client.get(f"/picture/{shown['reference']}").headers["content-type"] == "image/jpeg"
    assert client.post("/variant/0/text/0", json={"verdict": "accept"}).json() == {"stored": True}
    assert reviews.variant(0)["texts"][0]["verdict"] == "accept"
    assert client.post("/variant/0/text/0", json={"verdict": "edit", "edited": ""}).status_code == 422
    half = r"\ud800"
    for body in (f'{{"verdict": "edit", "edited": "{half}"}}', f'{{"verdict": ["{half}"]}}', '{"verdict": NaN}', "["):
        answer = client.post("/variant/0/text/0", content=body, headers={"content-type": "application/json"})
        assert answer.status_code == 422, body
    assert client.get("/variant/99").status_code == 404
    assert client.get("/agreement").json()["verdicts"] == {"anna": {"accept": 1}}


def test_only_pictures_of_the_pairs_are_served_and_only_to_this_machine(reviews: Reviews) -> None:
    from fastapi.testclient import TestClient

    from autocompose.describe.mllm.review.page import make_app

    client = TestClient(make_app(reviews), base_url="http://127.0.0.1")
    for name in ("../poses.npz", "%2e%2e/annotation.sqlite", "/etc/passwd", "none.png", "%00", "%ff", "a" * 5000):
        assert client.get(f"/picture/{name}").status_code in (403, 404)
    assert client.get("/", headers={"host": "evil.example"}).status_code == 421
    verdict = {"json": {"verdict": "reject"}}
    for origin in ("http://evil.example", "http://evil-127.0.0.1", "https://127.0.0.1", "http://127.0.0.1:81", "null"):
        assert client.post("/variant/0/text/0", headers={"origin": origin}, **verdict).status_code == 403, origin
    assert not reviews.judged()
    assert client.post("/variant/0/text/0", headers={"origin": "http://127.0.0.1"}, **verdict).status_code == 200


def test_a_crafted_journal_names_no_other_files(reviews: Reviews, root: Path, tmp_path: Path) -> None:
    from fastapi.testclient import TestClient

    from autocompose.describe.mllm.review.page import make_app

    secret = tmp_path / "secret.png"
    name = reviews.variant(0)["reference"]
    secret.write_bytes((root / "images" / name).read_bytes())
    (root / "images" / "link.png").symlink_to(secret)
    (root / "images" / "page.html").write_text("<script>alert(1)</script>")
    crafted = {str(secret), "../../secret.png", "/etc/passwd", "link.png", "page.html"}
    reviews.names |= crafted
    client = TestClient(make_app(reviews), base_url="http://127.0.0.1")
    for path in crafted:
        assert client.get(f"/picture/{path}").status_code == 404, path
    assert client.get(f"/picture/{name}").status_code == 200


def test_a_journal_that_cannot_be_used_is_one_line(reviews: Reviews) -> None:
    from fastapi.testclient import TestClient

    from autocompose.describe.mllm.review.page import make_app

    client = TestClient(make_app(reviews), base_url="http://127.0.0.1")
    reviews.journal.db.execute("PRAGMA query_only = ON")
    refused = client.post("/variant/0/text/0", json={"verdict": "accept"})
    assert refused.status_code == 503 and "the journal cannot be written" in refused.json()["detail"]
    reviews.journal.db.execute("PRAGMA query_only = OFF")
    assert client.post("/variant/0/text/0", json={"verdict": "accept"}).status_code == 200
    reviews.journal.db.execute("DROP TABLE reviews")
    for path in ("/", "/variant/0", "/agreement"):
        assert client.get(path).status_code == 503


def test_the_page_asks_for_its_token(reviews: Reviews) -> None:
    from fastapi.testclient import TestClient

    from autocompose.describe.mllm.review.page import make_app

    client = TestClient(make_app(reviews, "a;b c"), base_url="http://127.0.0.1")
    for path in ("/", "/variant/0", "/picture/x", "/agreement"):
        assert client.get(path).status_code == 401
    assert client.get("/", params={"token": "a;b c"}).status_code == 200  # by the cookie, after a redirection
    assert client.post("/variant/0/text/0", json={"verdict": "accept"}).status_code == 200


def test_texts_are_escaped(reviews: Reviews) -> None:
    from fastapi.testclient import TestClient

    from autocompose.describe.mllm.review.page import make_app

    reviews.judge(0, 0, "edit", "<script>alert(1)</script>")
    page = TestClient(make_app(reviews), base_url="http://127.0.0.1").get("/variant/0").text
    assert "<script>alert" not in page and "&lt;script&gt;alert" in page
