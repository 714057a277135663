"""The people in each photograph, and a record of them, so that an interrupted run continues."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from autocompose.core.errors import ImageError
from autocompose.core.files import read_json, value_hash, write_json
from autocompose.core.log import Tally, track
from autocompose.core.reading.plain import cause
from autocompose.core.workers import each_with
from autocompose.corpus.pictures.folder import PictureFolder
from autocompose.corpus.pictures.gate import open_image
from autocompose.estimate.estimator import Person
from autocompose.estimate.people_finder import Finder

PEOPLE = "people"  # folder with a record of the people in each photo
SEARCHED_SIDE = 1280  # pixels; larger pictures are shrunk before they are searched
DIGITS = 5


def find_people(
    folder: PictureFolder,
    files: Mapping[str, str],
    contents: Mapping[str, str],
    out: Path,
    finder: Finder,
    processes: int,
    tally: Tally,
) -> Iterator[tuple[str, list[Person]]]:
    """The people of each photo, in order. After an interruption only photos that are missing or failed are searched.

    :param files: name of each photo -> its file below ``folder``.
    :param contents: hashes of the photos' contents, which the records belong to.
    """
    records = {
        name: out / PEOPLE / f"{value_hash([contents[name], finder.fingerprint])[:24]}.json" for name in files
    }  # fmt: skip
    todo = [name for name in files if not records[name].exists()]
    looked = each_with((finder, folder), _look, [files[name] for name in todo], processes)
    faults = {}
    for name, people in zip(todo, track(looked, "looking for people", len(todo)), strict=True):
        if isinstance(people, str):
            faults[name] = people
        else:
            write_json(records[name], {"people": people}, indent=None)
    for name in files:
        known = [] if name in faults else read_json(records[name])["people"]
        if not known:
            tally.drop(faults.get(name, "no person found"), name)
            continue
        tally.keep()
        yield name, [person_of(values) for values in known]


def _look(held: tuple[Finder, PictureFolder], photo: str) -> list[dict[str, Any]] | str:
    """The people in a photo, or the fault."""
    finder, folder = held
    try:
        picture = open_image(folder.content(photo))
    except ImageError:
        return "not a readable picture"
    except OSError as error:
        return cause(error)
    factor = max(1.0, max(picture.size) / SEARCHED_SIDE)
    width, height = (max(1, round(v / factor)) for v in picture.size)
    try:
        people = finder.find(picture if factor == 1 else picture.resize((width, height)))
    except Exception as error:  # whatever goes wrong in the networks costs this picture, and nothing else
        return f"pose estimation failed on it ({type(error).__name__})"
    return [values_of(person, factor) for person in people]


def values_of(person: Person, factor: float) -> dict[str, Any]:
    """A person as JSON-able values, in pixels of the whole photo."""
    values = {field.name: np.asarray(getattr(person, field.name), float) for field in fields(Person)}
    for name in ("box", "points"):
        values[name] = values[name] * factor
    return {name: value.round(DIGITS).tolist() for name, value in values.items()}


def person_of(values: Mapping[str, Any]) -> Person:
    """The inverse of ``values_of``."""
    arrays: dict[str, Any] = {name: np.array(v) if isinstance(v, list) else v for name, v in values.items()}
    return Person(**{**arrays, "box": tuple(values["box"])})
