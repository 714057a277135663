"""Grammar of the rule texts, by an offline checker that is calibrated first.

    python benchmarks/grammar.py [coach human independent]

Needs ``pip install harper-py`` (Harper in Rust, no server, no download). 200 texts get one planted error each; the
share that the checker notices says what its silence on the 2,000 untouched texts is worth.
"""

import json
import re
import sys
from collections import Counter
from collections.abc import Callable
from random import Random

import numpy as np
from harper import Linter

from autocompose.bodies.kinematics import forward
from autocompose.bodies.sampling.limits import to_rotations
from autocompose.bodies.sampling.sampler import FAMILIES, sample
from autocompose.describe.rules import RuleOptions, describe_pairs
from autocompose.describe.rules.bank import BANKS

TEXTS, PLANTED = 2000, 200
# complaints that are matters of style, or wrong here ("the left hand" needs no hyphen, "leg ends" is no legend, "to
# their right" is no place)
STYLE = re.compile(
    r"hyphen in `left-hand`|Oxford comma|words long|closed compound noun|joined with the rest"
    r"|spell `Afterwards`|Did you mean `there`"
)
# name -> (pattern of a place, replacement); the first match that a text has is used
_SINGULAR = {"need": "needs", "are": "is"}
_PLURAL = {"needs": "need", "is": "are"}
ERRORS: dict[str, tuple[str, str | Callable[[re.Match[str]], str]]] = {
    "doubled word": (r"\b(the|your|their|to|and) ", r"\1 \1 "),
    "verb after plural": (r"\b(hands|feet|knees|elbows) (need|are) ", lambda m: f"{m[1]} {_SINGULAR[m[2]]} "),
    "verb after singular": (r"\b(hand|foot|knee|elbow|forearm) (needs|is) ", lambda m: f"{m[1]} {_PLURAL[m[2]]} "),
    "they for them": (r"\b(bring|move|take|shift|ease|nudge|and \w+) (them|it)\b", r"\1 they"),
    "both + singular": (r"\bboth (hand|knee|elbow|leg|arm)s", r"both \1"),
    "article": (r"\ba (little|bit|fraction)\b", r"an \1"),
    "infinitive after while": (r"\bwhile (\w+)ing\b", r"while \1"),
    "small capital": (r"\. ([A-Z])", lambda m: ". " + m[1].lower()),
    "spelling": (r"\b(straighten|forward|slightly|elbow|shoulder)", lambda m: m[1][:2] + m[1][3:]),
    "wrong article": (r"\bto the (front|back|left|right)\b", r"to a the \1"),
}


def texts(bank: str, count: int) -> list[str]:
    """Texts of random pairs of sampled poses, all variants."""
    rng = np.random.default_rng(5)
    joints = forward(to_rotations(np.concatenate([sample(family, 20, rng) for family in FAMILIES])))[0]
    a, b = (joints[rng.integers(0, len(joints), count)] for _ in range(2))
    mixed = np.where(rng.random((count, 1, 1)) < 0.5, b, a)  # half of the pairs hardly change
    goal = np.where(rng.random((count, 22, 1)) < 0.4, b, mixed)
    options = RuleOptions(bank=bank, trunk=True, absolute="filtered")
    found = [t for texts in describe_pairs(a, goal, 0, 3, options) for t in texts]
    return found[:count]


def plant(clean: list[str], rng: Random) -> list[tuple[str, str]]:
    """(kind, text) with one error each, kinds in turn."""
    planted: list[tuple[str, str]] = []
    for kind in list(ERRORS) * (PLANTED // len(ERRORS)):
        pattern, wrong = ERRORS[kind]
        text = next((t for t in rng.sample(clean, len(clean)) if re.search(pattern, t)), None)
        if text:
            planted.append((kind, re.sub(pattern, wrong, text, count=1)))
    return planted


def faults(linter: Linter, text: str) -> list:
    """The complaints that count."""
    return [lint for lint in linter.lint(text) if not STYLE.search(lint.message)]


def main() -> None:
    """Calibrate on planted errors, then report the share of texts without a complaint."""
    linter = Linter()
    for bank in sys.argv[1:] or BANKS:
        told = texts(bank, TEXTS)
        lints = [faults(linter, t) for t in told]
        reasons = Counter(lint.message for found in lints for lint in found)
        clean = [t for t, found in zip(told, lints, strict=True) if not found]
        planted = plant(clean, Random(0))
        caught = Counter(kind for kind, text in planted if faults(linter, text))
        kinds = Counter(kind for kind, _ in planted)
        result = {
            "bank": bank,
            "texts": len(told),
            "pass": round(len(clean) / len(told), 4),
            "complaints": reasons.most_common(8),
            "planted": len(planted),
            "caught": round(sum(caught.values()) / len(planted), 3),
            "caught by kind": {kind: f"{caught[kind]}/{n}" for kind, n in kinds.items()},
        }
        print(json.dumps(result, indent=1), flush=True)


if __name__ == "__main__":
    main()
