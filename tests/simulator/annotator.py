"""The simulated annotator: reads pictures and prompts, answers in free English with adjustable errors.

It imports nothing from the engine: what it knows of a question it reads from the request.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import random
import re
import sys
from collections import Counter
from collections.abc import Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from autocompose.bodies.skeleton import SMPL22, mirror_joints
from autocompose.corpus.poses import PoseTable
from tests.simulator.figures import read_number
from tests.simulator.truth import Movement, changes, movements

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

WORDS = tomllib.loads((Path(__file__).parent / "wording.toml").read_text("utf-8"))
HOLDS = 0.25  # a change of a quarter of what is worth saying still makes a statement true
OPPOSITE = {"forward": "back", "back": "forward"}
OTHER = {"left": "right", "right": "left", "": ""}


@dataclass(frozen=True)
class Errors:
    """Rates 0..1. ``swap`` exchanges left and right in all that is said of a part (hands, say); ``depth`` takes forward
    for back, where neither a side view nor a hint tells it.

    ``refuse`` holds for a pair for ever; the others are drawn anew each time a request is repeated, whatever the
    order in which requests arrive.
    """

    swap: float = 0.0
    depth: float = 0.0
    miss: float = 0.0
    invent: float = 0.0
    bad_json: float = 0.0
    refuse: float = 0.0


class Annotator:
    """:param anew: draw anew when a request is repeated; else the same request always has the same answer."""

    def __init__(self, poses: PoseTable, errors: Errors, seed: int = 0, anew: bool = True) -> None:
        self.poses, self.errors, self.seed, self.anew = poses, errors, seed, anew
        self.counts: Counter[str] = Counter()
        self._asked: Counter[str] = Counter()

    def answer(self, body: dict[str, Any]) -> dict[str, Any]:
        """The message and finish reason for a request body."""
        request = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
        self._asked[request] += self.anew
        rng = random.Random(f"{self.seed}/{request}/{self._asked[request]}")
        system, user = body["messages"][0]["content"], body["messages"][1]["content"]
        schema = body.get("response_format", {}).get("json_schema", {}).get("schema", {})
        if "word" in schema.get("properties", {}):
            return {"content": json.dumps({"word": schema["properties"]["word"]["enum"][0]})}
        if isinstance(user, list):
            return self._parts(user, system, rng)
        return self._texts(user, rng)

    def _parts(self, user: list[dict[str, Any]], system: str, rng: random.Random) -> dict[str, Any]:
        images = [_open(part["image_url"]["url"]) for part in user if part["type"] == "image_url"]
        numbered = images[:: len(images) // 2] if len(images) > 1 else _halves(images[0])  # side views have no number
        (first, mirrored), (second, _) = map(read_number, numbered)
        if self.refuses(first, second, mirrored):
            self.counts["refused"] += 1
            return {"content": rng.choice(WORDS["refuse"]["words"])}
        joints = self.poses.joints[[first, second]]
        yaw = self.poses.yaw[first] * (-1 if mirrored else 1)
        joints = mirror_joints(joints) if mirrored else joints
        names = self._names(system, float(yaw))
        hints = re.findall(r"^- (.+): (?:much )?farther (?:forward|back)$", user[-1]["text"], re.M)
        clear = {(s, p) for s in ("left", "right") for p in ("hand", "foot")
                 if len(images) > 2 or names(s, p).replace("_", " ") in hints}  # fmt: skip
        said = self._with_errors(*joints, rng, clear)
        parts = [{"part": names(m.side, m.part), "change": rng.choice(WORDS["change"][m.key])} for m in said]
        value: dict[str, Any] = {"movements": parts}
        if "facing_reference" in system:
            facing = "towards" if abs(yaw) < 90 else "away"
            value = {"facing_reference": facing, "facing_target": facing} | value
        if "left_hand_is" in user[-1]["text"]:
            wrist = joints[0][SMPL22.index("left_wrist"), 0] - joints[0][SMPL22.index("pelvis"), 0]
            value |= {"left_hand_is": "image_right" if wrist > 0 else "image_left"}
        self.counts["parts answers"] += 1
        return {"content": self._spoilt(json.dumps(value), rng)}

    def refuses(self, first: int, second: int, mirrored: bool) -> bool:
        """The same for ever."""
        digest = hashlib.sha256(f"{self.seed}/{first}/{second}/{mirrored}".encode()).digest()
        return int.from_bytes(digest[:4], "big") / 2**32 < self.errors.refuse

    def _with_errors(
        self, a: np.ndarray, b: np.ndarray, rng: random.Random, clear: Set[tuple[str, str]] = frozenset()
    ) -> list[Movement]:
        """What is said; every statement is counted, and whether it is false by the simulator's own measure.

        :param clear: side and part whose depth the question tells.
        """
        sizes = changes(a, b)
        said = [m for m in movements(a, b) if rng.random() >= self.errors.miss] or movements(a, b)[:1]
        if rng.random() < self.errors.invent:
            side, part, way = rng.choice(sorted(key for key, size in sizes.items() if size < -0.5))
            if (side, part) not in {(m.side, m.part) for m in said}:
                said.append(Movement(side, part, way, 0.0))
        confused = {part: rng.random() < self.errors.swap for part in sorted({m.part for m in said if m.side})}
        said = [Movement(OTHER[m.side], m.part, m.way, m.size) if confused.get(m.part) else m for m in said]
        said = [
            replace(m, way=OPPOSITE[m.way]) if self._misjudges(m, clear) and rng.random() < self.errors.depth else m
            for m in said
        ]
        for m in said:
            self.counts["statements"] += 1
            self.counts["sided statements"] += bool(m.side)
            self.counts["exchanged statements"] += confused.get(m.part, False)
            self.counts["false statements"] += bool(sizes[m.side, m.part, m.way] < HOLDS)
        return said

    @staticmethod
    def _misjudges(m: Movement, clear: Set[tuple[str, str]]) -> bool:
        """Whether a statement is about a depth that nothing but the pictures shows."""
        return bool(m.side) and m.way in OPPOSITE and (m.side, m.part) not in clear

    def _names(self, system: str, yaw: float) -> Any:
        if "blue_" in system:
            return lambda side, part: f"{ {'left': 'blue_', 'right': 'orange_'}.get(side, '') }{part}"
        if "image_left" in system:
            towards = abs(yaw) < 90
            return lambda side, part: f"image_{OTHER[side] if towards else side}_{part}" if side else part
        return lambda side, part: f"{side}_{part}" if side else part

    def _texts(self, user: str, rng: random.Random) -> dict[str, Any]:
        listed = user.split("differ from")[0]
        found = re.findall(r"^- ([a-z ]+): (.+)$", listed, re.M)
        count = int(re.search(r"Write (\d+)", user)[1])  # type: ignore[index]
        texts = [self._merge(found, i, rng) for i in range(count)]
        self.counts["texts answers"] += 1
        return {"content": self._spoilt(json.dumps({"texts": texts}), rng)}

    def _merge(self, found: list[tuple[str, str]], turn: int, rng: random.Random) -> str:
        merge = WORDS["merge"]
        order = found[turn % len(found) :] + found[: turn % len(found)]
        clauses = []
        for part, phrase in order:
            key = next(
                (k for k, options in WORDS["change"].items() if phrase in options and k.split()[0] in part), None
            )
            said = rng.choice(WORDS["change"][key]) if key else phrase
            clauses.append(re.sub(r"\bit\b", f"your {part}", said, count=1))
        text = clauses[0]
        for clause in clauses[1:]:
            text += rng.choice(merge["joint"]) + clause
        start = merge["start"][(turn + rng.randrange(5)) % len(merge["start"])]
        text = f"{start}{text}{merge['end'][turn % len(merge['end'])]}"
        return text[0].upper() + text[1:]

    def _spoilt(self, raw: str, rng: random.Random) -> str:
        if rng.random() >= self.errors.bad_json:
            return raw
        self.counts["bad answers"] += 1
        return rng.choice([raw[: len(raw) // 2], "Sure! Here you are:", '{"answer": 42}', "[]"])


def _open(url: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))


def _halves(image: Image.Image) -> list[Image.Image]:
    """Two equal pictures that stand side by side with a gap of 16 pixels."""
    width = (image.width - 16) // 2
    return [image.crop((left, 0, left + width, image.height)) for left in (0, image.width - width)]
