"""Parsing the text of a BVH file, in the spellings in use: hierarchy, seconds per frame, numbers of the frames.

Accepted: a byte order mark, UTF-16, names in any encoding, names with spaces, every kind of line end, keywords in any
case, ``EndSite``, named end sites, ``Frames:20``, everything on one line. Refused: anything that would need a guess.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, field

import numpy as np

AXES = {"x": 0, "y": 1, "z": 2}
MAX_JOINTS = 4096
MAX_HIERARCHY = 4 << 20  # characters
FRAME_TIMES = (1e-4, 1.0)  # seconds; a longer frame is a number of milliseconds, or of frames a second
_CHUNK = 1 << 22  # characters that are turned into numbers at a time
_SPACE = re.compile(r"\s")
_WORD = re.compile(r"\s*([^\s{}]+)")
_STEP = re.compile(
    r"\s*(?:(?P<brace>[{}])[;,]?|(?:ROOT|JOINT)\b\s+(?P<name>[^\r\n{]*)|(?P<end>END(?:\b|SITE))[^\r\n{]*"
    r"|(?P<offset>OFFSET)\b|(?P<channels>CHANNELS)\b|(?P<rest>\S{1,40}))",
    re.IGNORECASE,
)
_MOTION = re.compile(r"\bMOTION\b\s*(?=FRAMES?\b)", re.IGNORECASE)
_COUNTS = re.compile(r"FRAMES?\s*:?\s*(\S+)\s+FRAME\s*TIME\s*:?\s*(\S+)", re.IGNORECASE)


@dataclass
class Hierarchy:
    """The joints and end sites of a file in its order, J rows.

    :param names: end sites are called ``NAME_end``.
    :param parents: number of the parent; -1 for a root.
    :param offsets: J times three numbers in the unit of the file.
    :param channels: J lists of (axis 0..2, is a rotation).
    :param ends: which rows are end sites.
    """

    names: list[str] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    offsets: list[list[float]] = field(default_factory=list)
    channels: list[list[tuple[int, bool]]] = field(default_factory=list)
    ends: list[bool] = field(default_factory=list)

    def add(self, name: str, parent: int, end: bool) -> None:
        """One more joint, without offset and channels.

        :raises ValueError: there are too many, or it has no name.
        """
        if not name:
            raise ValueError("a joint has no name")
        if len(self.names) == MAX_JOINTS:
            raise ValueError(f"more than {MAX_JOINTS:,} joints")
        self.names.append(name)
        self.parents.append(parent)
        self.offsets.append([0.0, 0.0, 0.0])
        self.channels.append([])
        self.ends.append(end)


def decoded(data: bytes) -> str:
    """The text of a file; bytes that are not UTF-8 (in names only) are shown as ``\\xe9``."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", "replace")
    return data.decode("utf-8-sig", "backslashreplace")


def parse(text: str) -> tuple[Hierarchy, float, np.ndarray]:
    """Hierarchy, seconds per frame, and the numbers ``(T, W)`` of T frames with W channels.

    :raises ValueError: not BVH, or damaged; says what was expected.
    """
    start = re.search(r"\bHIERARCHY\b", text[:MAX_HIERARCHY], re.IGNORECASE)
    if not start:
        raise ValueError("not a BVH file: expected HIERARCHY and MOTION")
    motion = _MOTION.search(text, start.end())
    if not motion:
        raise ValueError("the file ends before its motion: expected MOTION and 'Frames: N' after the hierarchy")
    if motion.start() - start.end() > MAX_HIERARCHY:
        raise ValueError(f"a hierarchy of more than {MAX_HIERARCHY:,} characters")
    hierarchy = _hierarchy(text[start.end() : motion.start()])
    counts = _COUNTS.match(text, motion.end())
    if not counts:
        raise ValueError("expected 'Frames: N' and 'Frame Time: S' after MOTION")
    if not counts[1].isdecimal():
        raise ValueError(f"Frames: {counts[1]:.20}, expected an integer")
    frames, width = int(counts[1][:18]), sum(map(len, hierarchy.channels))
    if not width:
        raise ValueError("no joint has channels, so nothing moves")
    values = _numbers(text, counts.end())
    whole, over = divmod(len(values), width)
    if over or whole != frames:
        left = f" and {over} numbers of another" if over else ""
        raise ValueError(f"declares {frames:,} frames of {width} numbers, but holds {whole:,}{left}; export it again")
    return hierarchy, _seconds(counts[2], frames), values.reshape(frames, width)


def _seconds(text: str, frames: int) -> float:
    seconds = _number(text, "Frame Time")
    shortest, longest = FRAME_TIMES
    if not shortest <= seconds <= longest and not (frames == 1 and 0 <= seconds < np.inf):
        raise ValueError(f"Frame Time: {text:.20}, expected seconds per frame from {shortest:g} to {longest:g}")
    return seconds


def _hierarchy(text: str) -> Hierarchy:
    hierarchy, stack, place = Hierarchy(), [-1], 0
    while step := _STEP.match(text, place):
        place = step.end()
        if step["brace"] == "{":
            stack.append(len(hierarchy.names) - 1)
        elif step["brace"]:
            stack.pop()
            if not stack:
                break
        elif step["name"] is not None:
            hierarchy.add(step["name"].strip(), stack[-1], end=False)
        elif step["end"]:
            if stack[-1] < 0:
                raise ValueError("an end site outside of a joint")
            hierarchy.add(hierarchy.names[stack[-1]] + "_end", stack[-1], end=True)
        elif step["rest"] or not hierarchy.names:
            raise ValueError(f"unexpected word {step[0].strip():.40} in the hierarchy")
        elif step["offset"]:
            words, place = _words(text, place, 3)
            hierarchy.offsets[-1] = [_number(word, "OFFSET") for word in words]
        else:
            hierarchy.channels[-1], place = _channels(text, place)
    if stack != [-1] or not hierarchy.names:
        raise ValueError("brackets of the hierarchy do not match")
    return hierarchy


def _channels(text: str, place: int) -> tuple[list[tuple[int, bool]], int]:
    (count,), place = _words(text, place, 1)
    if count not in tuple("0123456789"):
        raise ValueError(f"CHANNELS {count:.20}: expected their number")
    words, place = _words(text, place, int(count))
    for word in words:
        if word[:1].lower() not in AXES or word[1:].lower() not in ("position", "rotation"):
            raise ValueError(f"unknown channel {word:.40}")
    return [(AXES[word[0].lower()], word[1:].lower() == "rotation") for word in words], place


def _words(text: str, place: int, count: int) -> tuple[list[str], int]:
    words: list[str] = []
    for _ in range(count):
        word = _WORD.match(text, place)
        if not word:
            raise ValueError(f"expected {count} words, got {len(words)}, in the hierarchy")
        words.append(word[1])
        place = word.end()
    return words, place


def _number(word: str, what: str) -> float:
    try:
        value = float(word)
    except ValueError:
        value = np.nan
    if not np.isfinite(value):
        hint = "; numbers need a decimal point, not a comma" if re.fullmatch(r"-?\d+,\d*", word) else ""
        raise ValueError(f"{what}: {word[:40]!a} is not a finite number{hint}")
    return value


def _numbers(text: str, place: int) -> np.ndarray:
    """All numbers from ``place`` to the end; a few million characters at a time, which bounds the memory."""
    parts = [np.zeros(0)]
    while place < len(text):
        gap = _SPACE.search(text, place + _CHUNK)
        end = gap.start() if gap else len(text)
        words = text[place:end].split()
        try:
            parts.append(np.fromiter(map(float, words), float, len(words)))
        except ValueError:
            parts.append(np.array([_number(word, "a frame") for word in words]))
        if not np.isfinite(parts[-1]).all():
            raise ValueError("a frame contains a number that is not finite")
        place = end
    return np.concatenate(parts)
