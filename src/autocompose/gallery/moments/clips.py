"""The results of a search in videos as a list of clips: CSV for tables, EDL (CMX3600) for editing programs."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from autocompose.core.errors import InputError
from autocompose.gallery.answer import Hit

AROUND = 2.0  # seconds before and after a moment
MAX_EVENTS = 999  # of an EDL
COLUMNS = ("rank", "video", "start", "end", "seconds", "frame", "shot", "person", "score", "id")
TITLE = "TITLE: autocompose"
MARKS = (TITLE.encode(), ",".join(COLUMNS).encode())
"""One of them begins every file that is written here."""


@dataclass(frozen=True)
class Clip:
    """The seconds around one moment or several.

    :param hit: the best of its moments. :param rate: of the video, frames a second.
    """

    hit: Hit
    start: float
    end: float
    rate: float


Length = Callable[[Hit], tuple[float, float]]  # frames a second, and seconds, of a result's video


def clips(hits: Iterable[Hit], length: Length, around: float = AROUND) -> list[Clip]:
    """The clips of an answer, best first; those of one video that overlap are joined. Pictures are left out."""
    made: list[Clip] = []
    for hit in hits:
        if hit.item.moment is None:
            continue
        rate, whole = length(hit)
        seconds = hit.item.moment.seconds
        clip = Clip(hit, max(0.0, seconds - around), max(min(seconds + around, whole), seconds + 1 / rate), rate)
        same = [one for one in made if one.hit.item.path == hit.item.path and _overlap(one, clip)]
        if not same:
            made.append(clip)
            continue
        joined = Clip(same[0].hit, min(c.start for c in (*same, clip)), max(c.end for c in (*same, clip)), rate)
        made[made.index(same[0])] = joined
        made = [one for one in made if one is joined or one not in same[1:]]
    return made


def _overlap(one: Clip, other: Clip) -> bool:
    return one.start <= other.end and other.start <= one.end


def as_csv(clips: Sequence[Clip]) -> str:
    """One row for each clip; times in seconds."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for clip in clips:
        item, moment = clip.hit.item, clip.hit.item.moment
        assert moment is not None
        times = (f"{value:.3f}" for value in (clip.start, clip.end, moment.seconds))
        score = round(clip.hit.score, 5)
        writer.writerow([clip.hit.rank, item.path, *times, moment.frame, moment.shot, moment.person, score, item.key])
    return text.getvalue()


def as_edl(clips: Sequence[Clip], title: str = "") -> str:
    """The clips one after the other on one video track, as CMX3600 with non-drop time code.

    The time code of a source begins at zero. Its base is the most frequent rate, to which an editing program sets the
    sequence; a video of another rate says so in a comment.
    """
    clips = clips[:MAX_EVENTS]
    rates = Counter(round(clip.rate) or 25 for clip in clips)
    base = rates.most_common(1)[0][0] if rates else 25
    lines = [" ".join(f"{TITLE} {_plain(title)}".split())[:70], "FCM: NON-DROP FRAME", ""]
    begin = 0
    for number, clip in enumerate(clips, 1):
        start, end = round(clip.start * base), max(round(clip.end * base), round(clip.start * base) + 1)
        codes = (start, end, begin, begin + end - start)
        lines.append(f"{number:03d}  AX       V     C        {' '.join(_time_code(code, base) for code in codes)}")
        lines.append(f"* FROM CLIP NAME: {_plain(Path(clip.hit.item.path).name)}")
        lines.append(f"* SOURCE FILE: {_plain(clip.hit.item.path)}")
        if abs(clip.rate - base) > 1e-3:
            lines.append(f"* SOURCE RATE: {clip.rate:.3f}, COUNTED HERE IN {base}")
        lines.append("")
        begin += end - start
    return "\n".join(lines)


def _time_code(frames: int, base: int) -> str:
    seconds, rest = divmod(frames, base)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}:{rest:02d}"


def _plain(text: str) -> str:
    return re.sub(r"[\x00-\x1f\x7f\u2028\u2029]", " ", text)


def written(clips: Sequence[Clip], kind: str, title: str = "") -> str:
    """The list in a format.

    :param kind: csv or edl.
    :raises InputError: another.
    """
    if kind not in ("csv", "edl"):
        raise InputError(f"clip list {kind!r}: expected csv or edl")
    return as_csv(clips) if kind == "csv" else as_edl(clips, title)
