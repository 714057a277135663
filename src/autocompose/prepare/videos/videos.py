"""A folder of videos -> corpus: one cropped picture per person and changed pose, pairs, and rule texts."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
from PIL import Image

from autocompose.core.errors import InputError, VideoError
from autocompose.core.files import atomic_file
from autocompose.core.log import Tally, nothing_left, say
from autocompose.core.reading.plain import cause
from autocompose.core.records import Split
from autocompose.core.run_folder import maker
from autocompose.corpus.about import About
from autocompose.corpus.format import Corpus
from autocompose.corpus.names import safe_names
from autocompose.corpus.poses import PoseTable
from autocompose.corpus.videos.formats import is_video
from autocompose.corpus.walk import walk
from autocompose.estimate.people_finder import Finder, PeopleFinder
from autocompose.estimate.videos.sampling import Sampling
from autocompose.prepare.adapter import Stage
from autocompose.prepare.motion.clips import split_motions
from autocompose.prepare.pairing.groups import nearest_groups
from autocompose.prepare.pairing.mined import Mining, mined_pairs
from autocompose.prepare.photos.photographs import QUALITY, Wanted, is_wanted, person_picture, pose_table
from autocompose.prepare.videos.people import Cut, Sighting, Watching


def prepare_videos(
    videos: Path,
    out: Path,
    *,
    sampling: Sampling | None = None,
    wanted: Wanted | None = None,
    mining: Mining | None = None,
    seed: int = 0,
    processes: int = 1,
    finder: Finder | None = None,
) -> Corpus:
    """Make a corpus from a folder of videos, split by video; nothing is sent anywhere.

    Pairs are within one person (at most ``mining.gap`` seconds apart) and across people and shots.

    :param sampling: which frames are kept. :param wanted: which people.
    :param processes: how many look for people; their number does not change the result.
    :param finder: finds people and their poses; default: the networks of the package.
    :raises InputError: no videos; NothingLeftError: no person is left; DependencyError: no PyAV.
    """
    finder = finder or PeopleFinder()
    sampling, wanted, mining = sampling or Sampling(), wanted or Wanted(), mining or Mining()
    video_tally, people = Tally("videos"), Tally("people")
    files = video_files(videos, out, video_tally)
    settings = {"verb": "video", **asdict(sampling), **asdict(wanted), **asdict(mining), "seed": seed}
    settings["poses"] = finder.fingerprint
    stage = Stage(out, settings, files)
    if stage.finished:
        return stage.result()
    stage.name_pictures(patterns=[f"{name}/*.jpg" for name in files])
    watching = Watching(stage.out, finder, sampling, processes, _cutter(stage.out / "images", wanted))
    kept: list[tuple[str, Sighting]] = []
    for name, path in files.items():
        kept += [
            (name, one) for one in _people(watching, name, path, stage, video_tally) if _keeps(one, wanted, people)
        ]
    if not kept:
        raise nothing_left(out, [video_tally, people])
    table = _table(kept)
    split_of = split_motions([name for name, _ in kept], seed)
    rows = {split: [i for i, (name, _) in enumerate(kept) if split_of[name] is split] for split in Split}
    goals = Tally("poses")
    pairs = mined_pairs(table, rows, mining, seed, goals)
    galleries = {split: tuple(table.names[i] for i in chosen) for split, chosen in rows.items()}
    corpus = Corpus(stage.out, pairs, galleries, table)
    tallies = [video_tally, people, goals]
    return stage.finish(
        corpus, _about(videos, sampling), tallies, 0, seed, lambda some: nearest_groups(some, table), True
    )  # fmt: skip


def video_files(videos: Path, out: Path, tally: Tally) -> dict[str, Path]:
    """Name (path relative to ``videos``) -> video file, in order of name; a single file has its own name.

    Files in folders that this program has made are left alone.

    :param tally: counts folders that cannot be read.
    :raises InputError: no such folder, or no video in it.
    """
    videos, inside = Path(videos), Path(out).resolve()
    if videos.is_file():
        return safe_names([videos], videos.parent)
    if not videos.is_dir():
        raise InputError(f"{videos}: folder not found; name a folder of videos, or a video")

    def blocked(folder: Path, error: OSError) -> None:
        tally.drop(f"folder: {cause(error)}", str(folder))

    files = []
    for path in sorted(walk(videos, blocked, lambda folder: maker(folder) is None)):
        try:
            if path.is_file() and inside not in path.resolve().parents and is_video(path):
                files.append(path)
        except OSError as error:
            tally.drop(cause(error), path.relative_to(videos).as_posix())
    if not files:
        raise InputError(f"{videos}: no videos in it or below ({tally.line()})")
    return safe_names(files, videos)


def _people(watching: Watching, name: str, path: Path, stage: Stage, tally: Tally) -> list[Sighting]:
    """The people of one video; counts it, and says what is wrong with it."""
    seen: list[Sighting] = []
    try:
        for one in watching.people(name, path, stage.settings["raw"][name]):
            if isinstance(one, str):
                say(f"{path}: {one}")
            else:
                seen.append(one)
    except VideoError as error:
        tally.drop(str(error).partition(f"{path}: ")[2] or str(error), name)
        return []
    if seen:
        tally.keep()
    else:
        tally.drop("no person found", name)
    return seen


def _keeps(one: Sighting, wanted: Wanted, tally: Tally) -> bool:
    return is_wanted(one.person, wanted, tally, one.name)


def _cutter(images: Path, wanted: Wanted) -> Cut:
    """What writes the picture of somebody in a frame, unless it is there or they are not wanted."""

    def cut(one: Sighting, frame: Image.Image, factor: float) -> None:
        if (images / one.name).exists() or not _keeps(one, wanted, Tally("people")):
            return
        left, top, right, bottom = (value / factor for value in one.person.box)
        with atomic_file(images / one.name) as file:
            person_picture(frame, (left, top, right, bottom), wanted).save(file, "JPEG", quality=QUALITY)

    return cut


def _table(kept: list[tuple[str, Sighting]]) -> PoseTable:
    """Estimated poses; a motion is one person in one video, a scene one shot."""
    table = pose_table([(one.name, name, one.person) for name, one in kept])
    columns = {
        "sequence": np.array([f"{name}#{one.number}" for name, one in kept]),
        "scene": np.array([f"{name}#{one.shot}" for name, one in kept]),
        "video": np.array([name for name, _ in kept]),
        "time": np.array([one.seconds for _, one in kept]),
    }
    return PoseTable(table.names, table.joints, table.yaw, {**table.columns, **columns})


def _about(videos: Path, sampling: Sampling) -> About:
    name = videos.resolve().name
    kept = f"{sampling.rate:g} frames a second, kept when a joint moved by more than {sampling.change:g} mm"
    return About(
        name=f"videos of {name}",
        protocol=f"poses by BlazePose, people followed; {kept}; splits of whole videos; pairs mined by pose",
        sources=(name,),
        licence="that of the videos",
        redistribution="as their owners, and the people in them, allow",
    )
