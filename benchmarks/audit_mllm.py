"""What the reader and the judge make of a real multimodal LLM's texts about BodyCPR-v1.

    python benchmarks/audit_mllm.py DATA              even-numbered cubes, for tuning
    python benchmarks/audit_mllm.py DATA --part odd   odd-numbered cubes: the final run only

DATA holds ``texts.jsonl`` and ``adjudicated_claims.jsonl``. True joints come from the shipped benchmark; nothing is
rendered. ``--flagged FILE`` writes every claim called contradicted or swapped, ready to be judged by eye.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from autocompose.bodies.rendering.body import shared_body
from autocompose.corpus.poses import PoseTable
from autocompose.describe.audit import Judgement, Poses, Verdict, judge_pair
from autocompose.describe.audit.changes import UNITS, large_changes, mentioned
from autocompose.describe.audit.corpus import face_direction
from autocompose.describe.reading import parse
from autocompose.evaluate.metrics import bootstrap_means
from autocompose.evaluate.symbolic import rank_all
from autocompose.prepare.bodycpr import frozen

CAUSES = {"P-attr": "misread", "P-other": "misread", "J": "unsuitable rule", "M-other": "genuine error"}


class Pictures:
    """Poses of BodyCPR-v1's test pictures by name."""

    def __init__(self) -> None:
        self.table: PoseTable = frozen.load().table(shared_body())
        self.row = self.table.index()
        self.face = face_direction(self.table.columns["coco"].astype(float))
        self.cube = np.array([int(name[:5]) for name in self.table.names])

    def poses(self, names: list[str]) -> Poses:
        """The poses of some pictures, with faces."""
        rows = [self.row[name] for name in names]
        return Poses(self.table.joints[rows].astype(float), None, self.face[rows])


def records(path: Path) -> list[dict[str, Any]]:
    """The lines of a JSONL file."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def cube_of(record: dict[str, Any]) -> int:
    """The number of the cube that a record's pictures belong to."""
    return int(record["reference"][:5])


def is_flagged(judged: Judgement) -> bool:
    """Contradicted, or true with left and right exchanged."""
    return judged.verdict is Verdict.CONTRADICTED or judged.swap


def regression(pictures: Pictures, claims: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Judged claims that are still flagged, by what was wrong with them."""
    left: dict[str, list[dict[str, Any]]] = {}
    for record in claims:
        a, b = pictures.poses([record["reference"]]), pictures.poses([record["target"]])
        keys = {(j.claim.part, j.claim.side, j.claim.action) for j in judge_pair(parse(record["text"]), a, b)
                if is_flagged(j)}  # fmt: skip
        claim = record["claim"]
        if (claim["part"], claim["side"], claim["action"]) in keys:
            left.setdefault(CAUSES[record["cause"]], []).append(record)
    return left


def audit(pictures: Pictures, pairs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One line per text: judgements, large changes and those mentioned."""
    lines = []
    for pair in pairs:
        a, b = pictures.poses([pair["reference"]]), pictures.poses([pair["target"]])
        large = {unit for unit, big in zip(UNITS, large_changes(a, b)[0], strict=True) if big}
        for number, text in enumerate(pair["texts"]):
            judged = judge_pair(parse(text), a, b)
            lines.append({"pair": pair, "number": number, "text": text, "judged": judged, "large": large,
                          "mentioned": large & mentioned(judged)})  # fmt: skip
    return lines


def search(pictures: Pictures, lines: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    """Hits of the symbolic search with true joints, by metric."""
    texts = [line["text"] for line in lines]
    reference, target = (
        np.array([pictures.row[line["pair"][end]] for line in lines]) for end in ("reference", "target")
    )
    scores = rank_all(texts, reference.tolist(), Poses(pictures.table.joints.astype(float)))
    scores[np.arange(len(lines)), reference] = -np.inf
    own = scores[np.arange(len(lines)), target][:, None]
    earlier = np.arange(scores.shape[1])[None] < target[:, None]
    before = (scores > own) | ((scores == own) & earlier)  # equal scores stand in gallery order
    siblings = pictures.cube[None] == pictures.cube[reference][:, None]
    return {"group_recall_at1": ~(before & siblings).any(1), "recall_at10": before.sum(1) < 10}


def interval(values: np.ndarray, cubes: np.ndarray) -> str:
    """A mean in percent with its 95 % interval over cubes."""
    low, high = np.percentile(bootstrap_means(values.astype(float)[:, None], cubes, 0)[:, 0], [2.5, 97.5])
    return f"{100 * values.mean():.1f} % ({100 * low:.1f} to {100 * high:.1f})"


def speed(texts: list[str]) -> float:
    """Texts read per CPU second."""
    for text in texts[:20]:
        parse(text)
    start, rounds = time.process_time(), 3
    for text in texts * rounds:
        parse(text)
    return rounds * len(texts) / (time.process_time() - start)


def flagged_claims(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Claims to be judged by eye."""
    return [
        {"reference": line["pair"]["reference"], "target": line["pair"]["target"], "text": line["text"],
         "claim": j.to_json()}
        for line in lines for j in line["judged"] if is_flagged(j)
    ]  # fmt: skip


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--part", choices=("even", "odd"), default="even")
    parser.add_argument("--flagged", type=Path, help="write the flagged claims as JSONL")
    parser.add_argument("--without-search", action="store_true")
    args = parser.parse_args()
    wanted = int(args.part == "odd")
    pictures = Pictures()
    judged = records(args.data / "adjudicated_claims.jsonl")
    for name, some in (("even cubes", [c for c in judged if not cube_of(c) % 2]), ("all cubes", judged)):
        totals = Counter(CAUSES[c["cause"]] for c in some)
        left = regression(pictures, some)
        print(f"judged claims, {name}, still flagged:",
              ", ".join(f"{cause} {len(left.get(cause, []))} of {n}" for cause, n in totals.items()))  # fmt: skip
    lines = audit(pictures, [p for p in records(args.data / "texts.jsonl") if p["cube"] % 2 == wanted])
    cubes = np.array([line["pair"]["cube"] for line in lines])
    against = np.array([any(j.verdict is Verdict.CONTRADICTED for j in line["judged"]) for line in lines])
    flagged = np.array([any(is_flagged(j) for j in line["judged"]) for line in lines])
    verdicts = Counter(str(j.verdict) for line in lines for j in line["judged"])
    large = sum(len(line["large"]) for line in lines)
    print(f"{args.part} cubes: {len(lines)} texts, {verdicts.total() / len(lines):.1f} claims each, {dict(verdicts)}")
    print("texts with a contradicted claim:", interval(against, cubes))
    print("texts with a contradicted or swapped claim:", interval(flagged, cubes))
    print(f"large changes mentioned: {100 * sum(len(line['mentioned']) for line in lines) / large:.1f} % of {large}")
    if not args.without_search:
        hits = search(pictures, lines)
        for metric in ("group_recall_at1", "recall_at10"):
            print(f"symbolic search, true joints, {metric}:", interval(hits[metric], cubes))
    print(f"texts read per CPU second: {speed([line['text'] for line in lines]):.0f}")
    if args.flagged:
        claims = flagged_claims(lines)
        args.flagged.write_text("".join(json.dumps(claim) + "\n" for claim in claims), "utf-8")
        print(f"{args.flagged}: {len(claims)} claims")


if __name__ == "__main__":
    main()
