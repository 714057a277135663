"""Start and stop the simulated annotator's process."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


@dataclass
class Simulator:
    url: str

    def stats(self) -> dict[str, Any]:
        with urllib.request.urlopen(self.url.replace("/v1", "/stats"), timeout=10) as answer:
            return json.load(answer)


@contextmanager
def simulator(knowledge: Path, module: str = "server", **options: Any) -> Iterator[Simulator]:
    """A simulator as a process of its own: the annotator, or the re-ranker (``chooser``)."""
    command = [sys.executable, "-m", f"tests.simulator.{module}", str(knowledge), json.dumps(options)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield Simulator(process.stdout.readline().strip())
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()
