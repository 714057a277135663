"""The people of a video, recorded in parts as it is watched, so that an interrupted run continues inside it.

OUT/people/KEY-000.json, KEY-001.json ...    each: whom to keep in the next frames, and where to continue
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from autocompose.core.files import read_json, value_hash, write_json
from autocompose.core.log import track
from autocompose.corpus.videos.gate import Video
from autocompose.estimate.estimator import Person
from autocompose.estimate.people_finder import Finder
from autocompose.estimate.videos.sampling import Sampling
from autocompose.estimate.videos.watching import METHOD, Memory, watch
from autocompose.prepare.photos.search_people import PEOPLE, person_of, values_of

PART = 240  # frames that are looked at between two records


class Sighting(NamedTuple):
    """Somebody in a frame of a video.

    :param name: of the picture. :param number: of the person in the video. :param person: in pixels of the video.
    """

    name: str
    seconds: float
    shot: int
    number: int
    person: Person


Cut = Callable[[Sighting, Image.Image, float], None]  # who, the frame, and pixels of the video / of this frame


@dataclass(frozen=True)
class Watching:
    """How videos are watched.

    :param out: the corpus folder. :param cut: writes the picture of somebody; told of each, and again after a kill.
    """

    out: Path
    finder: Finder
    sampling: Sampling
    processes: int
    cut: Cut

    def people(self, name: str, path: Path, content: str) -> Iterator[Sighting | str]:
        """Whom to keep in a video, in order, and at the end what is wrong with it, if anything.

        :param name: of the video in the corpus. :param content: hash of its content, which the records belong to.
        :raises VideoError: not a video, or not one frame can be decoded.
        """
        key = value_hash([content, self.finder.fingerprint, METHOD, *self.sampling.numbers])[:24]
        number = 0
        last: dict[str, Any] | None = None
        while (file := self._record(key, number)).exists():
            last = read_json(file, dict)
            yield from (_sighting(values) for values in last["people"])
            number += 1
        if last is None or not last["done"]:
            for record in self._watch(name, path, key, number, last):
                yield from (_sighting(values) for values in record["people"])
                last = record
        if last and last["damage"]:
            yield str(last["damage"])

    def _record(self, key: str, number: int) -> Path:
        return self.out / PEOPLE / f"{key}-{number:03d}.json"

    def _watch(
        self, name: str, path: Path, key: str, number: int, last: dict[str, Any] | None
    ) -> Iterator[dict[str, Any]]:
        """The records from ``number`` on, each written before it is given."""
        memory = Memory.of_record(last["memory"]) if last else Memory()
        people: list[dict[str, Any]] = []

        def record(done: bool = False, damage: str = "") -> dict[str, Any]:
            values = {"people": people, "memory": memory.record(), "done": done, "damage": damage}
            write_json(self._record(key, number), values, indent=None)
            return values

        with Video(path) as video:
            moments = watch(video, self.finder, self.sampling, memory, self.processes)
            for count, moment in enumerate(track(moments, f"watching {name}"), 1):
                factor = moment.size[0] / moment.picture.width
                for who, person in moment.people:
                    picture = f"{name}/{moment.place.number:06d}-{who}.jpg"
                    values = {"name": picture, "seconds": moment.place.seconds, "shot": moment.shot, "number": who}
                    people.append({**values, "person": values_of(person, factor)})
                    self.cut(_sighting(people[-1]), moment.picture, factor)
                if count % PART == 0:
                    yield record()
                    people, number = [], number + 1
            yield record(True, video.damage)


def _sighting(values: dict[str, Any]) -> Sighting:
    return Sighting(**{**values, "person": person_of(values["person"])})
