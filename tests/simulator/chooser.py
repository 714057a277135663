"""The simulated re-ranker: finds the wanted figure among numbered candidates, with adjustable errors.

It imports nothing from the engine: what it knows of a question it reads from the request. Over HTTP:
``python -m tests.simulator.chooser WANTED.json OPTIONS.json`` prints its address.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import re
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from tests.simulator.annotator import _open
from tests.simulator.figures import read_number
from tests.simulator.server import Server

GAP = 8


@dataclass(frozen=True)
class Mistakes:
    """Rates 0..1. ``wrong``: a candidate drawn at random is named instead of the wanted one (of a single candidate: yes
    for no and no for yes). ``none``: nothing is named. ``refuse`` holds for a question for ever; ``bad_json`` is drawn
    anew each time."""

    wrong: float = 0.0
    none: float = 0.0
    refuse: float = 0.0
    bad_json: float = 0.0


class Chooser:
    """Knows which figure each text about a reference wants: ``"reference text"`` -> number."""

    def __init__(self, wanted: Mapping[str, int], mistakes: Mistakes, seed: int = 0) -> None:
        self.wanted, self.mistakes, self.seed = wanted, mistakes, seed
        self.counts: Counter[str] = Counter()
        self.places: Counter[int] = Counter()
        self._asked: Counter[str] = Counter()

    def answer(self, body: dict[str, Any]) -> dict[str, Any]:
        request = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
        self._asked[request] += 1
        rng = random.Random(f"{self.seed}/{request}/{self._asked[request]}")
        schema = body.get("response_format", {}).get("json_schema", {}).get("schema", {})
        if "word" in schema.get("properties", {}):
            return {"content": json.dumps({"word": schema["properties"]["word"]["enum"][0]})}
        user = body["messages"][1]["content"]
        pictures = [_open(part["image_url"]["url"]) for part in user if part["type"] == "image_url"]
        lines = [part["text"] for part in user if part["type"] == "text"]
        text = next(line for line in lines if line.startswith("Text: "))[6:]
        reference = read_number(pictures[0])[0]
        for_ever = random.Random(f"{self.seed}/{reference}/{text}")
        if for_ever.random() < self.mistakes.refuse:
            self.counts["refused"] += 1
            return {"content": "I'm sorry, but I can't help with that."}
        if rng.random() < self.mistakes.bad_json:
            self.counts["bad"] += 1
            return {"content": rng.choice(['{"best": [1, 2', "Sure!", '{"best": [99]}', "[]"])}
        wanted = self.wanted[f"{reference} {text}"]
        value = self._best(pictures[1], lines, wanted, rng) if "best" in schema["properties"] else (
            self._fulfils(pictures[1], wanted, rng)
        )  # fmt: skip
        return {"content": json.dumps(value)}

    def _best(self, picture: Image.Image, lines: list[str], wanted: int, rng: random.Random) -> dict[str, Any]:
        numbers = [read_number(cell)[0] for cell in cells(picture, lines)]
        self.counts["grids"] += 1
        if rng.random() < self.mistakes.none:
            return {"best": []}
        if wanted in numbers:
            self.places[numbers.index(wanted)] += 1
        if rng.random() < self.mistakes.wrong or wanted not in numbers:
            return {"best": [rng.randrange(len(numbers)) + 1]}
        return {"best": [numbers.index(wanted) + 1]}

    def _fulfils(self, picture: Image.Image, wanted: int, rng: random.Random) -> dict[str, Any]:
        self.counts["singles"] += 1
        fulfils = (read_number(picture)[0] == wanted) != (rng.random() < self.mistakes.wrong)
        return {"fulfils": "yes" if fulfils else "no", "sure": rng.randrange(50, 101)}


def cells(picture: Image.Image, lines: list[str]) -> list[Image.Image]:
    """The candidates of a grid of square cells, each below a band with its number."""
    found = next(m for line in lines if (m := re.match(r"Candidates 1 to (\d+), .* rows of (\d+):", line)))
    count, columns = int(found[1]), int(found[2])
    rows = -(-count // columns)
    size = (picture.width + GAP) // columns - GAP
    band = (picture.height + GAP) // rows - GAP - size
    corners = [(n % columns * (size + GAP), n // columns * (band + size + GAP) + band) for n in range(count)]
    return [picture.crop((left, top, left + size, top + size)) for left, top in corners]


async def main(wanted: Path, options: dict[str, Any]) -> None:
    chooser = Chooser(json.loads(wanted.read_text()), Mistakes(**options.pop("mistakes", {})), options.pop("seed", 0))
    server = await asyncio.start_server(Server(chooser, **options).serve, "127.0.0.1", 0, limit=1 << 24)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), json.loads(sys.argv[2])))
