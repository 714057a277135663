"""Watching a video: its frames at a rate, thinned to those in which somebody's pose has changed."""

from __future__ import annotations

import base64
import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from autocompose.core.errors import VideoError
from autocompose.core.workers import ahead, kept_processes
from autocompose.corpus.videos.frame import Frame, Place
from autocompose.corpus.videos.gate import Video
from autocompose.estimate.estimator import Person
from autocompose.estimate.people_finder import Finder
from autocompose.estimate.videos.cuts import SIDE, glance, is_cut
from autocompose.estimate.videos.sampling import EMPTY_SECONDS, Sampling
from autocompose.estimate.videos.stretches import Shown, stretches
from autocompose.estimate.videos.tracking import Track, Tracker, moved_by

METHOD = 2  # raise it when the same video gives other frames or people
SEARCHED_SIDE = 1280  # pixels in which people are looked for, as in pictures

log = logging.getLogger("autocompose.video")


class Followed(NamedTuple):
    """Somebody in a frame. :param number: of the person, from 1 in the order of appearance in the video."""

    number: int
    person: Person


@dataclass(frozen=True)
class Moment:
    """A frame that was looked at.

    :param size: of the upright frame in pixels; ``picture`` may be smaller, and people are measured in it.
    :param shot: from 1. :param people: whom to keep; :param kept: whether the frame is, with or without people.
    :param failed: the networks failed on it.
    """

    place: Place
    size: tuple[int, int]
    picture: Image.Image
    shot: int
    people: tuple[Followed, ...]
    kept: bool
    failed: bool = False


@dataclass
class Memory:
    """What must be known of the past of a video in order to continue.

    :param place: the last frame that was looked at; None = none yet.
    :param begin: the frame before the stretch that ``place`` is in or after, from where to go on.
    :param empty: seconds of the last kept frame of this shot that shows nobody.
    """

    place: Place | None = None
    begin: Place | None = None
    shot: int = 0
    last: np.ndarray | None = None
    empty: float | None = None
    tracker: Tracker = field(default_factory=Tracker)

    def record(self) -> dict[str, Any]:
        """As a JSON-able value, exactly."""
        return {
            "place": self.place and list(self.place),
            "begin": self.begin and list(self.begin),
            "shot": self.shot,
            "last": None if self.last is None else base64.b64encode(self.last.tobytes()).decode(),
            "empty": self.empty,
            "people": self.tracker.known,
            "tracks": [track.record() for track in self.tracker.tracks],
        }

    @classmethod
    def of_record(cls, values: dict[str, Any]) -> Memory:
        """The inverse of ``record``."""
        last = values["last"] and np.frombuffer(base64.b64decode(values["last"]), np.uint8).reshape(SIDE, SIDE, 3)
        tracker = Tracker([Track.of_record(track) for track in values["tracks"]], values["people"])
        place, begin = (values[key] and Place(*values[key]) for key in ("place", "begin"))
        return cls(place, begin, values["shot"], last, values["empty"], tracker)

    def see(self, frame: Shown, people: list[Person] | str | None, sampling: Sampling) -> Moment:
        """Take notice of the next frame.

        :param people: who is in it, or why the networks failed; None: nobody has looked, and every frame is kept.
        """
        place, seconds = frame.place, frame.place.seconds
        if self.last is None or is_cut(self.last, frame.glance):
            self.shot, self.empty = self.shot + 1, None
            self.tracker.tracks = []
        self.last, self.place = frame.glance, place
        failed = isinstance(people, str)
        present = [] if people is None or isinstance(people, str) else people
        tracks = self.tracker.follow(seconds, present)
        changed = [k for k, track in enumerate(tracks) if _has_changed(track, sampling.change)]
        for k in changed:
            self.tracker.keep(tracks[k])
        followed = tuple(Followed(tracks[k].number, present[k]) for k in changed)
        kept = bool(followed) or people is None or (not present and self._empty_is_due(seconds))
        return Moment(place, frame.size, frame.picture, self.shot, followed, kept, failed)

    def _empty_is_due(self, seconds: float) -> bool:
        if self.empty is not None and seconds - self.empty < EMPTY_SECONDS:
            return False
        self.empty = seconds
        return True


def _has_changed(track: Track, change: float) -> bool:
    return track.kept is None or moved_by(track.joints, track.kept) * 1000 > change


def watch(
    video: Video, finder: Finder | None, sampling: Sampling, memory: Memory, processes: int = 1
) -> Iterator[Moment]:
    """Every frame that is looked at, in order; ``memory`` is brought up to date with each.

    :param finder: finds the people; None: nobody is looked for.
    :param processes: that look for people; the result is the same for any number.
    :raises VideoError: not one frame can be decoded.
    """
    seen = -1 if memory.place is None else memory.place.number  # the first stretch may have been begun before a kill
    trouble: list[VideoError] = []
    parts = stretches(_shown(video.frames(sampling.rate, memory.begin), trouble))
    with kept_processes(processes) if processes > 1 and finder else nullcontext() as pool:
        for stretch, people in ahead(_Look(finder), parts, pool, processes + 1):
            for frame, present in zip(stretch, people, strict=True):
                if frame.place.number <= seen:
                    continue
                if isinstance(present, str):
                    log.warning("%s at %.1f s: pose estimation failed (%s)", video.path, frame.place.seconds, present)
                moment = memory.see(frame, present, sampling)
                if frame is stretch[-1]:
                    memory.begin = frame.place
                yield moment
    if trouble:
        raise trouble[0]


def _shown(frames: Iterable[Frame], trouble: list[VideoError]) -> Iterator[Shown]:
    """:param trouble: gets what ends them, so that what came before is looked at first."""
    try:
        for frame in frames:
            picture = frame.picture(SEARCHED_SIDE)
            yield Shown(frame.place, frame.size, picture, glance(picture))
    except VideoError as error:
        trouble.append(error)


@dataclass(frozen=True)
class _Look:
    """Looking for people in a stretch; a class, so that other processes can be sent it."""

    finder: Finder | None

    def __call__(self, stretch: Sequence[Shown]) -> Sequence[list[Person] | str | None]:
        """The people in each frame, or why not; None without a finder."""
        if self.finder is None:
            return [None] * len(stretch)
        pictures = [frame.picture for frame in stretch]
        try:
            return self.finder.follow(pictures)
        except Exception:  # whatever goes wrong in the networks costs its frame, and nothing else
            return [self._alone(picture) for picture in pictures]

    def _alone(self, picture: Image.Image) -> list[Person] | str:
        assert self.finder is not None
        try:
            return self.finder.find(picture)
        except Exception as error:
            return f"{type(error).__name__}: {error}"
