"""What to index: the pictures of a folder or corpus, with the metadata, poses and boxes beside them.

PICTURES/...                  any folder tree of pictures and videos; in a corpus, its images/
PICTURES/metadata.csv         optional: column ``path`` and any others, which become filters
PICTURES/boxes.json           optional: path -> list of [left, top, right, bottom] in pixels, one for each person
PICTURES/poses.npz            optional: 3D poses; its scalar columns become filters
PICTURES/image_splits/*.json  in a corpus: the column ``split``

PICTURES may be an address that fsspec reads; the files beside the pictures are fetched for the time of the scan.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from autocompose.core.errors import InputError, missing_file
from autocompose.core.fingerprint import changed_ns
from autocompose.core.log import Tally
from autocompose.core.reading.plain import cause, unreadable
from autocompose.core.run_folder import maker
from autocompose.corpus.names import name_fault
from autocompose.corpus.pictures.folder import PictureFolder, below, is_address
from autocompose.corpus.videos.formats import NEEDS_AV, can_read, is_video
from autocompose.corpus.walk import picture_fault, walk
from autocompose.gallery.crops import WHOLE, Known
from autocompose.gallery.indexing.people import read_boxes, read_people
from autocompose.gallery.indexing.picture_names import PictureNames
from autocompose.gallery.indexing.sidefiles import Poses, SideFile, read_metadata, read_poses, read_splits, shown
from autocompose.gallery.indexing.thumbs import is_thumb
from autocompose.gallery.item import Box, Item
from autocompose.gallery.pose import Pose
from autocompose.gallery.values import Value

SIDE_FILES = ("metadata.csv", "boxes.json", "poses.npz", "image_splits/train.json", "image_splits/val.json",
              "image_splits/test.json")  # fmt: skip
States = dict[str, tuple[int, int]]  # path -> size, and a number that changes with the content


@dataclass(frozen=True)
class MediaFile:
    """One picture or video file and what is known about it; fields as in ``Item``.

    :param people: box and pose of each person that is known to be in it; of pictures only.
    """

    path: str
    size: int
    mtime_ns: int
    people: tuple[Known, ...] = WHOLE
    meta: dict[str, Value] = field(default_factory=dict)
    is_video: bool = False

    @property
    def boxes(self) -> tuple[Box | None, ...]:
        """One for each person; None = the whole picture."""
        return tuple(box for box, _ in self.people)

    @property
    def open(self) -> bool:
        """Whether the people in it are unknown."""
        return self.people == WHOLE

    @property
    def asks(self) -> bool:
        """Whether a pose must be estimated."""
        return any(pose is None for _, pose in self.people)

    def pose(self, box: Box | None) -> Pose | None:
        """The known pose of the person in a box."""
        return dict(self.people).get(box)

    def searched_by(self, finder: str) -> str:
        """What its items say when a finder has looked at it: in all of it, or in the known boxes."""
        return finder if self.open or not finder else f"{finder} in boxes"

    def current(self, items: Sequence[Item], finder: str) -> list[Item]:
        """Those of the items that hold what indexing the picture again would give; [] when there are none.

        :param items: all of this content. :param finder: fingerprint of the people finder, "" = none.
        """
        wanted = self.searched_by(finder)
        for path in dict.fromkeys(item.path for item in items):
            own = [item for item in items if item.path == path]
            by_box = {item.box: item for item in own}
            if self.open and finder:
                matching = [item for item in own if item.searched == wanted]
            elif all(
                box in by_box and (not finder or pose or by_box[box].searched == wanted) for box, pose in self.people
            ):
                matching = [by_box[box] for box in self.boxes]
            else:
                matching = []
            if matching:
                return matching
        return []


@dataclass
class Scan:
    """The contents of a folder of pictures.

    :param pictures: the pictures, sorted by path; ``videos``: likewise.
    :param tally: counts every file that is left out, with its reason; ``moving``: the same for videos.
    :param sides: how the side files were used.
    :param blocked: paths of folders and files that are there and cannot be read.
    """

    tally: Tally
    moving: Tally = field(default_factory=lambda: Tally("videos"))
    pictures: list[MediaFile] = field(default_factory=list)
    videos: list[MediaFile] = field(default_factory=list)
    sides: list[SideFile] = field(default_factory=list)
    blocked: list[str] = field(default_factory=list)

    def block(self, path: str, kind: str, error: OSError) -> None:
        """Count what cannot be read."""
        self.tally.drop(f"{kind}{cause(error)}", shown(path))
        self.blocked.append(path)

    def hides(self, path: str) -> bool:
        """The picture may be there: it, or a folder above it, cannot be read."""
        return any(path == b or path.startswith(f"{b}/") for b in self.blocked)


def picture_root(pictures: str | Path) -> PictureFolder:
    """The folder that item paths are relative to: ``images/`` of a corpus, else the folder itself.

    :raises InputError: not a folder, or not to be read.
    """
    if is_address(pictures):
        outer = PictureFolder(str(pictures))
        inner = [PictureFolder(below(str(pictures), name)) for name in ("captions", "images")]
        return inner[1] if all(folder.is_there() for folder in inner) else outer
    pictures = Path(pictures)
    try:
        if not pictures.is_dir():
            raise missing_file(pictures, "picture folder", "name a folder of pictures or a corpus")
        corpus = (pictures / "captions").is_dir() and (pictures / "images").is_dir()
    except OSError as error:
        raise unreadable(pictures, error) from None
    return PictureFolder(str((pictures / "images" if corpus else pictures).resolve()))


def scan(pictures: str | Path, tally: Tally, people: Path | None = None, videos: bool = True) -> Scan:
    """All pictures and videos below a folder, but those of galleries in it, and what side files say about them.

    Links that lead out of the folder are not followed, and no links to folders.

    :param people: corpus whose poses tell where people are in these pictures; see ``gallery.people``.
    :param videos: whether to look for videos; otherwise they are files like any other.
    :raises InputError: the folder, metadata, boxes or poses are unreadable.
    """
    root, result = picture_root(pictures), Scan(tally)
    if not root.is_remote:
        return _described(Path(pictures), root, *_states(root.path, result, videos), result, people)
    with tempfile.TemporaryDirectory() as scratch:
        PictureFolder(str(pictures)).fetch(SIDE_FILES, Path(scratch))
        states = _states_elsewhere(root, result)
        try:
            return _described(Path(scratch), root, states, {}, result, people)
        except InputError as error:  # which names the copy
            message = str(error)
            for name in SIDE_FILES:
                message = message.replace(str(Path(scratch) / name), below(str(pictures), name))
            raise InputError(message) from None


def _described(
    beside: Path, root: PictureFolder, states: States, moving: States, result: Scan, people: Path | None
) -> Scan:
    """The pictures and videos, with what the files in ``beside`` say about them."""
    place = PurePath(root.address)
    names, still_names = PictureNames([*states, *moving], place), PictureNames(states, place)
    meta, result.sides = read_splits(beside / "image_splits", names)
    poses = Poses({}, {})
    if (beside / "poses.npz").exists():
        poses, side = read_poses(beside / "poses.npz", names)
        result.sides.append(side)
    table: dict[str, dict[str, Value]] = {}
    if (beside / "metadata.csv").exists():
        table, side = read_metadata(beside / "metadata.csv", names)
        result.sides.append(side)
    known: dict[str, tuple[Known, ...]] = {}
    if (beside / "boxes.json").exists():
        known, side = read_boxes(beside / "boxes.json", still_names, root)
        result.sides.append(side)
    if people:
        people_boxes, side = read_people(people, still_names, root)
        known |= people_boxes
        result.sides.append(side)
    for name, (size, changed) in {**states, **moving}.items():
        values = {**poses.meta.get(name, {}), **meta.get(name, {}), **table.get(name, {})}
        still = name in states
        inside = _inside(known.get(name), poses.poses.get(name)) if still else WHOLE
        file = MediaFile(name, size, changed, inside, values, is_video=not still)
        (result.pictures if still else result.videos).append(file)
    return result


def _states_elsewhere(root: PictureFolder, result: Scan) -> States:
    """The same for pictures at an address."""
    states = {}
    for name, entry, fault in root.pictures():
        if fault:
            result.tally.drop(fault, shown(name))
        else:
            states[name] = (entry.size, entry.stamp)
    return states


def _inside(known: tuple[Known, ...] | None, pose: Pose | None) -> tuple[Known, ...]:
    """A picture with one person: its pose is that person's."""
    inside = known or ((None, pose),)
    return ((inside[0][0], pose),) if len(inside) == 1 and inside[0][1] is None else inside


def _states(root: Path, result: Scan, videos: bool) -> tuple[States, States]:
    """The state of each picture file and of each video, sorted by path; counts the others."""

    def blocked(path: Path, error: OSError) -> None:
        if path == root:
            raise unreadable(root, error)
        result.block(path.relative_to(root).as_posix(), "folder: ", error)

    def enter(folder: Path) -> bool:
        if maker(folder) != "gallery":
            return True
        result.tally.drop("gallery in the folder", shown(folder.relative_to(root).as_posix()))
        return False

    stills: States = {}
    moving: States = {}
    of_gallery = maker(root) == "gallery"  # version 0.1 could make one among the pictures
    for path in walk(root, blocked, enter):
        relative = path.relative_to(root).as_posix()
        if of_gallery and is_thumb(relative):
            continue
        try:
            is_moving = videos and is_video(path)
            unread = "" if is_moving or (path.is_symlink() and path.is_dir()) else picture_fault(path)
            if unread is None:
                continue
            fault = _fault(path, relative, root) or unread
            if not fault:
                state = path.stat()
                (moving if is_moving else stills)[relative] = state.st_size, changed_ns(state)
                continue
        except OSError as error:
            result.block(relative, "", error)
            continue
        (result.moving if is_moving else result.tally).drop(fault, shown(relative))
    if moving and not can_read():  # what an earlier run made of them stays
        for relative in moving:
            result.moving.drop(NEEDS_AV, shown(relative))
        result.blocked += moving
        moving = {}
    return dict(sorted(stills.items())), dict(sorted(moving.items()))


def _fault(path: Path, relative: str, root: Path) -> str:
    """Why a file is skipped; "" if it is not."""
    try:
        relative.encode("utf-8")
    except UnicodeEncodeError:
        return "unusable name"
    if name_fault(relative):
        return "unusable name"
    if path.is_symlink():
        if path.is_dir():
            return "link to a folder"
        if not Path(os.path.realpath(path)).is_relative_to(root):
            return "link out of the folder"
    return "" if path.is_file() else "not a file"
