"""``autocompose doctor``: everything in one screen, and what is lacking."""

import pytest

from autocompose.cli import doctor, load_verbs
from autocompose.cli.app import run
from autocompose.core import extras, machine

load_verbs()
THINGS = ("autocompose", "processor", "GPU", "memory", "free disk", "precision", "extra demo", "weights small", "demo")


def test_it_prints_what_was_found(capsys):
    assert run(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for thing in THINGS:
        assert any(line.startswith(f"{thing} ") and line[len(thing) :].strip() for line in lines), thing
    assert all(len(line) < 200 for line in lines)


@pytest.mark.parametrize(
    ("name", "found", "words"),
    [
        ("memory", (8 * doctor.GIB, doctor.GIB), "memory: it takes 4.2 GiB, 1.0 are free"),
        ("free_disk", doctor.GIB, "room: it takes about 2.0 GiB, 1.0 are free"),
        ("memory", (0, 0), "runs here"),
    ],
)
def test_what_the_demo_lacks_is_said(tmp_path, monkeypatch, name, found, words):
    monkeypatch.setattr(extras, "missing_packages", lambda: {"demo": []})
    monkeypatch.setattr(machine, "memory", lambda: (8 * doctor.GIB, 8 * doctor.GIB))
    monkeypatch.setattr(machine, "free_disk", lambda _: 8 * doctor.GIB)
    monkeypatch.setattr(machine, name, lambda *_: found)
    assert words in dict(doctor.findings(tmp_path))["demo"]


def test_missing_packages_come_with_the_command(tmp_path, monkeypatch):
    monkeypatch.setattr(extras, "missing_packages", lambda: {"demo": ["anny<0.7"]})
    found = dict(doctor.findings(tmp_path))
    assert found["extra demo"] == "pip install 'autocompose[demo]' (lacks anny<0.7)"
    assert "cannot run yet; it lacks its packages: pip install 'autocompose[demo]'" in found["demo"]


def test_weights_that_are_there_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert f"none in {tmp_path}/.cache/clip" in dict(doctor.findings(tmp_path))["weights OpenAI"]
    file = tmp_path / ".cache/clip/ViT-L-14-336px.pt"
    file.parent.mkdir(parents=True)
    file.touch()
    assert f"ViT-L/14@336px ({file})" in dict(doctor.findings(tmp_path))["weights OpenAI"]
