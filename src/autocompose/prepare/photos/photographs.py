"""Any folder of photographs -> corpus: one cropped picture per person, estimated 3D poses, pairs and rule texts."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from autocompose.bodies.convert import SKELETONS
from autocompose.bodies.motion.retarget import rotations_from_joints
from autocompose.bodies.skeleton import COCO17, turn
from autocompose.core.errors import InputError
from autocompose.core.files import value_hash, write_bytes
from autocompose.core.log import Limit, Tally, nothing_left, track
from autocompose.core.reading.plain import cause
from autocompose.core.records import Split
from autocompose.core.run_folder import maker
from autocompose.core.workers import each_with
from autocompose.corpus.about import About
from autocompose.corpus.format import Corpus
from autocompose.corpus.names import name_fault, safe_names
from autocompose.corpus.pictures.folder import PictureFolder, is_address
from autocompose.corpus.pictures.gate import open_image
from autocompose.corpus.poses import PoseTable
from autocompose.corpus.walk import picture_fault, walk
from autocompose.estimate.estimator import Person
from autocompose.estimate.people_finder import Finder, PeopleFinder
from autocompose.prepare.adapter import Stage
from autocompose.prepare.motion.clips import split_motions
from autocompose.prepare.pairing.groups import nearest_groups
from autocompose.prepare.pairing.mined import Mining, mined_pairs
from autocompose.prepare.photos.search_people import find_people

MARKS = SKELETONS["mediapipe33"]
LIMBS = [
    MARKS.index(f"{s}_{n}") for s in ("left", "right") for n in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
]
QUALITY = 92  # of JPEG files


@dataclass(frozen=True)
class Wanted:
    """Which people are kept.

    :param height: least height of a person in pixels.
    :param limbs: least number of the twelve joints shoulder to wrist and hip to ankle that are seen (visibility > 0.5).
    :param margin: added around a person on each side, share of the longer side.
    :param side: longest side of a crop in pixels.
    """

    height: int = 80
    limbs: int = 10
    margin: float = 0.08
    side: int = 512


def prepare_folder(
    photos: str | Path,
    out: Path,
    *,
    wanted: Wanted | None = None,
    mining: Mining | None = None,
    by_folder: bool = False,
    seed: int = 0,
    processes: int = 1,
    finder: Finder | None = None,
) -> Corpus:
    """Make a corpus from a folder of pictures; nothing is sent anywhere.

    Inside ``core.ray_workers.on_ray`` the workers of Ray look for people and cut them out; this process writes.

    :param photos: a folder, or an address that fsspec reads (s3://, gs://, hf:// ...).
    :param by_folder: all pictures of one folder go to the same split (for bursts and video frames).
    :param processes: how many look for people; their number does not change the result.
    :param finder: finds people and their poses; default: the networks of the package.
    :raises InputError: no pictures; NothingLeftError: no person is left.
    """
    finder = finder or PeopleFinder()
    wanted, mining = wanted or Wanted(), mining or Mining()
    pictures, people = Tally("pictures"), Tally("people")
    if is_address(photos):
        folder, sources = PictureFolder(str(photos)), None
        files, raw = photos_elsewhere(folder, pictures)
    else:
        sources = photo_files(Path(photos), out, pictures)
        folder, raw = PictureFolder(os.path.abspath(photos)), {}
        files = {name: path.relative_to(photos).as_posix() for name, path in sources.items()}
    settings = {"verb": "folder", **asdict(wanted), **asdict(mining), "by_folder": by_folder, "seed": seed}
    settings["poses"] = finder.fingerprint
    stage = Stage(out, {**settings, **raw}, sources)
    if stage.finished:
        return stage.result()
    kept: list[tuple[str, str, Person]] = []
    for name, persons in find_people(folder, files, stage.settings["raw"], stage.out, finder, processes, pictures):
        kept += [(crop_name(name, k), name, p) for k, p in enumerate(persons, 1) if is_wanted(p, wanted, people, name)]
    if not kept:
        raise nothing_left(out, [pictures, people])
    stage.name_pictures(name for name, _, _ in kept)
    cut(kept, folder, files, stage.out / "images", wanted, processes)
    table = pose_table(kept)
    split_of = split_motions([_group(photo, by_folder) for _, photo, _ in kept], seed)
    splits = [split_of[_group(photo, by_folder)] for _, photo, _ in kept]
    rows = {split: [i for i, s in enumerate(splits) if s is split] for split in Split}
    goals = Tally("poses")
    pairs = mined_pairs(table, rows, mining, seed, goals)
    galleries = {split: tuple(table.names[i] for i in indices) for split, indices in rows.items()}
    corpus = Corpus(stage.out, pairs, galleries, table)
    tallies = [pictures, people, goals]
    return stage.finish(corpus, _about(photos), tallies, 0, seed, lambda pairs: nearest_groups(pairs, table), True)


def _about(photos: str | Path) -> About:
    source = str(photos) if is_address(photos) else Path(photos).resolve().name
    return About(
        name=f"photos of {source}",
        protocol="poses by BlazePose, one crop per person; splits of whole photos; pairs mined by pose",
        sources=(source,),
        licence="that of the photos",
        redistribution="as their owners, and the people in them, allow",
    )


def photos_elsewhere(folder: PictureFolder, tally: Tally) -> tuple[dict[str, str], dict[str, Any]]:
    """Name -> the same for every picture at an address, and the setting ``raw``, what they are known by.

    :param tally: counts pictures that cannot be used.
    :raises InputError: no such folder, or no picture in it.
    """
    files, states = {}, {}
    for name, entry, fault in folder.pictures():
        if fault:
            tally.drop(fault, name)
        else:
            files[name], states[name] = name, f"{name} {entry.size} {entry.stamp:x}"
    if not files:
        raise InputError(f"{folder.address}: no pictures found ({tally.line()})")
    return files, {"raw": states}


def photo_files(photos: Path, out: Path, tally: Tally | None = None) -> dict[str, Path]:
    """Name (path relative to ``photos``) -> picture file, nested, in order of name.

    Files in ``out``, and in all other folders that this program has made, are left alone.

    :param tally: counts pictures that cannot be used, and folders that cannot be read.
    :raises InputError: no folder, or no picture in it.
    """
    photos = Path(photos)
    if not photos.is_dir():
        raise InputError(f"{photos}: folder not found")
    inside = Path(out).resolve()
    tally = tally or Tally("files")

    def blocked(folder: Path, error: OSError) -> None:
        tally.drop(f"folder: {cause(error)}", str(folder))

    files = []
    for path in sorted(walk(photos, blocked, lambda folder: maker(folder) is None)):
        try:
            fault = picture_fault(path) if path.is_file() and inside not in path.resolve().parents else None
        except OSError as error:
            fault = cause(error)
        if fault:
            tally.drop(fault, path.relative_to(photos).as_posix())
        elif fault == "":
            files.append(path)
    by_name = safe_names(files, photos)
    if not by_name:
        raise InputError(f"{photos}: no pictures in it or below ({tally.line()})")
    return by_name


def crop_name(photo: str, person: int) -> str:
    """Name of a person's picture; a photo name that is no picture name is replaced by a hash."""
    return f"{photo if not name_fault(photo) else value_hash(photo)[:16]}-{person}.jpg"


def is_wanted(person: Person, wanted: Wanted, tally: Tally, photo: str) -> bool:
    """Whether somebody is kept; counts it."""
    seen = int((person.visibility[LIMBS] > 0.5).sum())
    height = round(person.box[3] - person.box[1])
    if height < wanted.height:
        limit = Limit("--height", wanted.height, height)
        tally.drop(f"smaller than {wanted.height} pixels", photo, limit=limit)
    elif seen < wanted.limbs:
        limit = Limit("--limbs", wanted.limbs, seen)
        tally.drop(f"fewer than {wanted.limbs} of 12 joints in sight", photo, limit=limit)
    else:
        tally.keep()
        return True
    return False


def cut(
    kept: list[tuple[str, str, Person]],
    folder: PictureFolder,
    files: Mapping[str, str],
    images: Path,
    wanted: Wanted,
    processes: int,
) -> None:
    """Write one crop per person; those that exist are left."""
    missing: dict[str, list[tuple[str, Person]]] = {}
    for name, source, person in kept:
        if not (images / name).exists():
            missing.setdefault(source, []).append((name, person))
    jobs = [(files[source], [person.box for _, person in people]) for source, people in missing.items()]
    crops = track(each_with((folder, wanted), _crops, jobs, processes), "cutting people out", len(jobs))
    for people, pictures in zip(missing.values(), crops, strict=True):
        for (name, _), data in zip(people, pictures, strict=True):
            write_bytes(images / name, data)


def _crops(held: tuple[PictureFolder, Wanted], job: tuple[str, list[tuple[float, float, float, float]]]) -> list[bytes]:
    """JPEG bytes of each box of a photo."""
    (folder, wanted), (photo, boxes) = held, job
    try:
        picture = open_image(folder.content(photo))
    except OSError as error:
        raise InputError(f"{photo}: {cause(error)}; run the same command again, it continues") from None
    crops = []
    for box in boxes:
        buffer = io.BytesIO()
        person_picture(picture, box, wanted).save(buffer, "JPEG", quality=QUALITY)
        crops.append(buffer.getvalue())
    return crops


def person_picture(picture: Image.Image, box: tuple[float, float, float, float], wanted: Wanted) -> Image.Image:
    """The part of a picture around a person."""
    left, top, right, bottom = box
    more = wanted.margin * max(right - left, bottom - top)
    around = (
        max(0, left - more), max(0, top - more), min(picture.width, right + more), min(picture.height, bottom + more)
    )  # fmt: skip
    crop = picture.crop(tuple(round(v) for v in around))  # type: ignore[arg-type]
    crop.thumbnail((wanted.side, wanted.side), Image.Resampling.LANCZOS)
    return crop


def pose_table(kept: list[tuple[str, str, Person]]) -> PoseTable:
    """Estimated poses in the scene frame, with uncertainties and scores."""
    people = [p for _, _, p in kept]
    joints = np.stack([turn(p.joints, p.heading) for p in people])
    coco = np.stack([p.world for p in people])[:, [MARKS.index(n) for n in COCO17]] * np.array([1, -1, -1])
    columns = {
        "rotations": rotations_from_joints(joints).astype(np.float32),
        "coco": coco.astype(np.float32),
        "uncertainty": np.stack([p.uncertainty for p in people]).astype(np.float32),
        "score": np.array([p.visibility[LIMBS].mean() for p in people], np.float32),
        "box": np.array([p.box for p in people]).round().astype(int),
        "sequence": np.array([photo for _, photo, _ in kept], str),
        "scene": np.array([photo for _, photo, _ in kept], str),
    }
    yaw = np.array([p.heading for p in people], np.float32)
    return PoseTable(tuple(name for name, _, _ in kept), joints.astype(np.float32), yaw, columns)


def _group(photo: str, by_folder: bool) -> str:
    return photo.rpartition("/")[0] if by_folder else photo
