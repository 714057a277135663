"""Any folder of photographs -> corpus: one cropped picture per person, estimated 3D poses, pairs and rule texts."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import SimpleQueue

import numpy as np
from PIL import Image

from autocompose.bodies.convert import SKELETONS, convert_joints
from autocompose.bodies.motion.retarget import rotations_from_joints
from autocompose.bodies.pose_frame import centre, yaw_of
from autocompose.bodies.skeleton import COCO17
from autocompose.core.errors import ImageError, InputError, PoseError
from autocompose.core.files import atomic_file, read_json, value_hash, write_json
from autocompose.core.log import Limit, Tally, nothing_left, track
from autocompose.core.reading.plain import cause
from autocompose.core.records import Split
from autocompose.core.run_folder import maker
from autocompose.corpus.about import About
from autocompose.corpus.format import Corpus
from autocompose.corpus.names import name_fault, safe_names
from autocompose.corpus.pictures.gate import open_image
from autocompose.corpus.poses import PoseTable
from autocompose.corpus.walk import picture_fault, walk
from autocompose.prepare.adapter import Stage
from autocompose.prepare.motion.clips import split_motions
from autocompose.prepare.pairing.groups import nearest_groups
from autocompose.prepare.pairing.mined import Mining, mined_pairs
from autocompose.prepare.photos.estimator import MEDIAPIPE, Estimator, Person, pose_python

FOUND = "people"  # folder of what was found in each photo, so that an interrupted run continues
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
    photos: Path,
    out: Path,
    *,
    wanted: Wanted | None = None,
    mining: Mining | None = None,
    by_folder: bool = False,
    seed: int = 0,
    processes: int = 1,
) -> Corpus:
    """Make a corpus from a folder of pictures; nothing is sent anywhere.

    :param by_folder: all pictures of one folder go to the same split (for bursts and video frames).
    :param processes: MediaPipe processes; the result is the same for any number.
    :raises InputError: no pictures, or MediaPipe cannot be set up; NothingLeftError: no person is left.
    """
    wanted, mining = wanted or Wanted(), mining or Mining()
    pictures, people = Tally("pictures"), Tally("people")
    files = photo_files(photos, out, pictures)
    settings = {"verb": "folder", **asdict(wanted), **asdict(mining), "by_folder": by_folder, "seed": seed}
    stage = Stage(out, settings, files)
    if stage.finished:
        return stage.result()
    kept: list[tuple[str, str, Person]] = []
    for name, found in find_people(files, stage.settings["raw"], stage.out, processes, pictures):
        kept += [(crop_name(name, k), name, p) for k, p in enumerate(found, 1) if _is_wanted(p, wanted, people, name)]
    if not kept:
        raise nothing_left(out, [pictures, people])
    stage.name_pictures(name for name, _, _ in kept)
    cut(kept, files, stage.out / "images", wanted)
    table = pose_table(kept)
    split_of = split_motions([_group(photo, by_folder) for _, photo, _ in kept], seed)
    splits = [split_of[_group(photo, by_folder)] for _, photo, _ in kept]
    rows = {split: [i for i, s in enumerate(splits) if s is split] for split in Split}
    goals = Tally("poses")
    pairs = mined_pairs(table, rows, mining, seed, goals)
    galleries = {split: tuple(table.names[i] for i in found) for split, found in rows.items()}
    corpus = Corpus(stage.out, pairs, galleries, table)
    tallies = [pictures, people, goals]
    return stage.finish(corpus, _about(photos), tallies, 0, seed, lambda found: nearest_groups(found, table), True)


def _about(photos: Path) -> About:
    return About(
        name=f"photos of {photos.resolve().name}",
        protocol="people and poses by MediaPipe, one crop per person; splits of whole photos; pairs mined by pose",
        sources=(str(photos.resolve().name),),
        licence="that of the photos",
        redistribution="as their owners, and the people in them, allow",
    )


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
    found = safe_names(files, photos)
    if not found:
        raise InputError(f"{photos}: no pictures in it or below ({tally.line()})")
    return found


def crop_name(photo: str, person: int) -> str:
    """Name of a person's picture; a photo name that is no picture name is replaced by a hash."""
    return f"{photo if not name_fault(photo) else value_hash(photo)[:16]}-{person}.jpg"


def find_people(
    files: dict[str, Path], contents: dict[str, str], out: Path, processes: int, tally: Tally
) -> Iterator[tuple[str, list[Person]]]:
    """People of each photo, in order; what was found before an interruption is read back, faults are not.

    :param contents: hashes of the photos' contents, which the findings belong to.
    """
    journals = {name: out / FOUND / f"{value_hash([contents[name], MEDIAPIPE])[:24]}.json" for name in files}
    todo = [name for name in files if not journals[name].exists()]
    faults = _search({name: files[name] for name in todo}, journals, processes) if todo else {}
    for name in files:
        people = [] if name in faults else read_json(journals[name])["people"]
        if not people:
            tally.drop(faults.get(name, "no person found"), name)
            continue
        tally.keep()
        yield name, [Person(np.array(p["image"]), np.array(p["world"]), tuple(p["box"])) for p in people]


def _search(files: dict[str, Path], journals: dict[str, Path], processes: int) -> dict[str, str]:
    """Look for people in photos; returns what was wrong with some of them."""
    python, faults = pose_python(), dict[str, str]()
    idle: SimpleQueue[Estimator] = SimpleQueue()

    def look(name: str) -> None:
        estimator = idle.get()
        try:
            write_json(journals[name], {"people": _looked_at(files[name], estimator)}, indent=None)
        except ImageError:
            faults[name] = "not a readable picture"
        except PoseError:
            faults[name] = "MediaPipe failed on it"
        finally:
            idle.put(estimator)

    with ExitStack() as stack:
        for _ in range(max(1, min(processes, len(files)))):
            idle.put(stack.enter_context(Estimator(python)))
        pool = stack.enter_context(ThreadPoolExecutor(idle.qsize()))
        for _ in track(pool.map(look, files), "looking for people", len(files)):
            pass
    return faults


def _looked_at(path: Path, estimator: Estimator) -> list[dict[str, object]]:
    people = estimator.people(open_image(path))
    return [{"image": p.image.round(2).tolist(), "world": p.world.tolist(), "box": p.box} for p in people]


def _is_wanted(person: Person, wanted: Wanted, tally: Tally, photo: str) -> bool:
    seen = int((person.image[LIMBS, 2] > 0.5).sum())
    height = int(person.box[3] - person.box[1])
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


def cut(kept: list[tuple[str, str, Person]], files: dict[str, Path], images: Path, wanted: Wanted) -> None:
    """Write one crop per person; those that exist are left."""
    photo: tuple[str, Image.Image] | None = None
    for name, source, person in track(kept, "cutting people out"):
        if (images / name).exists():
            continue
        if photo is None or photo[0] != source:
            photo = (source, open_image(files[source]))
        left, top, right, bottom = person.box
        more = wanted.margin * max(right - left, bottom - top)
        box = (
            max(0, left - more),
            max(0, top - more),
            min(photo[1].width, right + more),
            min(photo[1].height, bottom + more),
        )
        crop = photo[1].crop(tuple(round(v) for v in box))  # type: ignore[arg-type]
        crop.thumbnail((wanted.side, wanted.side), Image.Resampling.LANCZOS)
        with atomic_file(images / name) as file:
            crop.save(file, "JPEG", quality=QUALITY)


def pose_table(kept: list[tuple[str, str, Person]]) -> PoseTable:
    """Estimated poses in the scene frame, with scores."""
    world = np.array([p.world for _, _, p in kept], float).reshape(-1, 33, 3)
    converted = convert_joints(world, "mediapipe33", "-y", check_sides=False)
    joints = centre(converted.joints[:, :22])
    coco = world[:, [MARKS.index(n) for n in COCO17]] * np.array([1, -1, -1])
    columns = {
        "rotations": rotations_from_joints(joints, converted.known).astype(np.float32),
        "coco": coco.astype(np.float32),
        "score": np.array([p.image[LIMBS, 2].mean() for _, _, p in kept], np.float32),
        "box": np.array([p.box for _, _, p in kept], int).reshape(-1, 4),
        "sequence": np.array([photo for _, photo, _ in kept], str),
        "scene": np.array([photo for _, photo, _ in kept], str),
    }
    return PoseTable(
        tuple(name for name, _, _ in kept), joints.astype(np.float32), yaw_of(joints).astype(np.float32), columns
    )


def _group(photo: str, by_folder: bool) -> str:
    return photo.rpartition("/")[0] if by_folder else photo
