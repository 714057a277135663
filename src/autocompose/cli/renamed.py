"""Renamed options: the old name still works, with a hint."""

from __future__ import annotations

from autocompose.core.log import say

_WORDINGS = {"--texts": "--wordings"}
RENAMED = {
    "audit": {"--field": "--texts"},
    "evaluate": {"--key": "--texts"},
    "describe mllm": {
        **_WORDINGS,
        "--engine": "--on",
        "--format": "--image-format",
        "--mirror": "--mirrored",
    },
    "describe rules": {**_WORDINGS, "--max-tokens": "--max-clip-tokens"},
    "prepare aist": _WORDINGS,
    "prepare bodycpr": {"--workers": "--processes"},
    "prepare bvh": _WORDINGS,
    "prepare clips": _WORDINGS,
    "prepare fixmypose": {"--pictures": "--picture-folder"},
    "prepare folder": {**_WORDINGS, "--side": "--size"},
    "prepare keypoints": {"--workers": "--processes"},
    "prepare npz": _WORDINGS,
    "prepare posefix": {"--where": "--sequence"},
    "prepare smpl": _WORDINGS,
}


def current_names(argv: list[str]) -> list[str]:
    """A command line with current option names.

    >>> current_names(["evaluate", "run", "corpus", "--key=auto"])
    ['evaluate', 'run', 'corpus', '--texts=auto']
    """
    names = RENAMED.get(" ".join(argv[:2])) or RENAMED.get(" ".join(argv[:1]), {})
    return [_current(word, names) for word in argv]


def _current(word: str, names: dict[str, str]) -> str:
    name, equals, value = word.partition("=")
    if name not in names:
        return word
    say(f"{name} is now called {names[name]}")
    return f"{names[name]}{equals}{value}"
