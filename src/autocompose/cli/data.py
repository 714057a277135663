"""Verbs on corpora: prepare from raw data, check, split, export, import, inspect."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from autocompose.cli.app import app, prepare
from autocompose.core.errors import CorpusError
from autocompose.core.reading.jsontext import json_line

E = TypeVar("E", bound=Enum)
CorpusFolder = Annotated[Path, typer.Argument(metavar="DIR", help="Corpus folder (captions/, images/, image_splits/).")]


@app.command()
def validate(
    folder: CorpusFolder,
    images: Annotated[bool, typer.Option("--images", help="Also decode every picture.")] = False,
    allow_shared: Annotated[
        list[str] | None,
        typer.Option(help="What splits may share: image, gallery, uid, pose, cube, sequence; repeatable."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print every finding as JSON instead of a table.")] = False,
) -> None:
    """Check a corpus: files, pairs, groups, galleries, leaks between splits, texts, poses."""
    from rich.console import Console

    from autocompose.corpus.validate import SHARED_KEYS, table
    from autocompose.corpus.validate import validate as run_checks

    unknown = sorted(set(allow_shared or ()) - set(SHARED_KEYS))
    if unknown:
        raise typer.BadParameter(f"{unknown[0]!r}; allowed: {', '.join(SHARED_KEYS)}", param_hint="--allow-shared")
    checks = run_checks(folder, images=images, allow_shared=allow_shared or ())
    if as_json:
        typer.echo(json_line([check.__dict__ for check in checks], indent=1))
    else:
        Console().print(table(checks))
    faults = [fault for check in checks for fault in check.faults]
    if faults:
        raise CorpusError(f"{folder}: {len(faults)} faults; first: {faults[0]}", faults)


@app.command()
def split(
    folder: CorpusFolder,
    share: Annotated[float, typer.Option(help="Share of the train pairs that go to val, above 0, at most 0.5.")] = 0.1,
    seed: Annotated[int, typer.Option(help="Decides which pairs go.")] = 0,
    key: Annotated[
        list[str] | None,
        typer.Option(
            help="Column or extra key whose values stay on one side; repeatable.", show_default="uid pose cube sequence"
        ),
    ] = None,
) -> None:
    """Carve a validation split out of train; pairs that share a picture, pose or sequence stay together."""
    from autocompose.core.log import say
    from autocompose.core.records import Split
    from autocompose.corpus.format import load_corpus
    from autocompose.corpus.split import GROUP_KEYS, carve_val

    corpus = carve_val(load_corpus(folder), share, seed, key or GROUP_KEYS)
    corpus.save()
    say(f"{folder}: {len(corpus.pairs[Split.TRAIN]):,} train pairs, {len(corpus.pairs[Split.VAL]):,} val pairs")


@app.command()
def export(
    folder: CorpusFolder,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="New folder for the export.")],
    kind: Annotated[
        str, typer.Option("--format", help="parquet (Hugging Face datasets) or webdataset (tar).")
    ] = "parquet",
    shard: Annotated[int, typer.Option(min=1, help="Size of a shard in megabytes.")] = 400,
) -> None:
    """Write a corpus for other tools, with pictures, all fields and a dataset card."""
    from autocompose.corpus.exchange.formats import Format, export_corpus

    export_corpus(folder, out, _choice(Format, kind, "--format"), shard)


@app.command("import")
def import_(
    source: Annotated[Path, typer.Argument(metavar="EXPORT", help="Folder that `export` wrote.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Corpus folder to make.")],
) -> None:
    """Make a corpus from an export (parquet or webdataset)."""
    from autocompose.corpus.exchange.formats import import_corpus

    import_corpus(source, out)


@app.command()
def inspect(
    folder: CorpusFolder,
    out: Annotated[Path | None, typer.Option(help="Page to write.", show_default="DIR/inspect.html")] = None,
    pairs: Annotated[int, typer.Option(min=0, help="Pairs of each split on the page, drawn at random.")] = 60,
    seed: Annotated[int, typer.Option(help="Decides which pairs are shown.")] = 0,
) -> None:
    """Write one HTML page about a corpus: counts, texts, duplicates, look-alikes between splits, pairs."""
    from autocompose.core.log import say
    from autocompose.corpus.inspect import inspect_corpus

    page = out or folder / "inspect.html"
    inspect_corpus(folder, page, pairs, seed)
    say(f"{page}: open it in a browser")


OutFolder = Annotated[Path, typer.Argument(metavar="OUT", help="Corpus folder to make.")]
ValShare = Annotated[float, typer.Option(min=0, max=0.5, help="Share of the train pairs that become val; 0: none.")]
Seed = Annotated[int, typer.Option(help="Decides every draw.")]


@prepare.command()
def fixmypose(
    raw: Annotated[Path, typer.Argument(metavar="RAW", help="Folder with the JSON files of the FixMyPose repository.")],
    out: OutFolder,
    protocol: Annotated[str, typer.Option(help="retrieval, captioning, captioning-seen, both-tasks.")] = "retrieval",
    flatten: Annotated[bool, typer.Option("--flatten", help="One entry per sentence instead of one per item.")] = False,
    pictures: Annotated[Path | None, typer.Option(help="Folder of the PNG or HDF5 files.", show_default="RAW")] = None,
    allow_leak: Annotated[bool, typer.Option("--allow-leak", help="Accept items in both train and test.")] = False,
    val_share: ValShare = 0.1,
    seed: Seed = 0,
) -> None:
    """FixMyPose (AAAI 2021): pictures of rooms with a current and a target pose, texts by people."""
    from autocompose.prepare.releases.fixmypose import Protocol, prepare_fixmypose

    prepare_fixmypose(
        raw, out, protocol=_choice(Protocol, protocol, "--protocol"), flatten=flatten, pictures=pictures,
        allow_leak=allow_leak, val_share=val_share, seed=seed,
    )  # fmt: skip


Side = Annotated[int, typer.Option("--size", min=8, max=4096, help="Side of the pictures in pixels.")]
StyleName = Annotated[str, typer.Option(help="plain (one look for all) or varied (each picture its own).")]
Processes = Annotated[int, typer.Option(min=1, help="Processes; the result is the same for any number.")]


@prepare.command()
def posefix(
    raw: Annotated[Path, typer.Argument(metavar="RAW", help="Folder of the unpacked PoseFix release.")],
    amass: Annotated[Path, typer.Argument(metavar="AMASS", help="Root of AMASS' SMPL+H G sequences (.npz).")],
    out: OutFolder,
    training: Annotated[
        str, typer.Option(help="human: pairs with a text by a person; all: the whole release.")
    ] = "human",
    where: Annotated[str, typer.Option(help="both, in or out: do the poses of a pair come from one motion?")] = "both",
    reverse_texts: Annotated[int, typer.Option(min=0, help="Rule texts from target to reference, per pair.")] = 3,
    smplh: Annotated[Path | None, typer.Option(help="Neutral SMPL-H model (.npz), drawn instead of our body.")] = None,
    size: Side = 224,
    style: StyleName = "plain",
    seed: Seed = 0,
    processes: Processes = 1,
) -> None:
    """PoseFix (ICCV 2023) with AMASS motions: rendered bodies, texts by people and by rules."""
    from autocompose.prepare.releases.posefix import Training, Where, prepare_posefix
    from autocompose.prepare.rendering.renders import Style

    prepare_posefix(
        raw, amass, out, training=_choice(Training, training, "--training"), where=_choice(Where, where, "--where"),
        reverse_texts=reverse_texts, smplh=smplh, size=size, style=_choice(Style, style, "--style"), seed=seed,
        processes=processes,
    )  # fmt: skip


Gap = Annotated[float, typer.Option(help="Most seconds between two poses of one motion.")]
Low = Annotated[float, typer.Option(help="Least cosine similarity of the two poses of a pair.")]
High = Annotated[float, typer.Option(help="Greatest cosine similarity of the two poses of a pair.")]
Texts = Annotated[int, typer.Option(min=0, help="Rule texts per pair and direction; 0 for none.")]


@prepare.command()
def aist(
    raw: Annotated[Path, typer.Argument(metavar="RAW", help="AIST++ annotations (motions/, keypoints3d/ ...).")],
    out: OutFolder,
    videos: Annotated[
        Path | None, typer.Option(help="Folder of the 10M videos; without it bodies are rendered.")
    ] = None,
    per_sequence: Annotated[int, typer.Option(min=1, help="Frames of a sequence, the most different ones.")] = 12,
    views: Annotated[str, typer.Option(help="Cameras such as c01,c03; or front: the best one for each frame.")] = "c01",
    pair_views: Annotated[str, typer.Option(help="any, same or different camera for the two pictures.")] = "any",
    gap: Gap = 2.0,
    low: Low = 0.80,
    high: High = 0.97,
    texts: Texts = 3,
    size: Side = 224,
    style: StyleName = "plain",
    val_share: ValShare = 0.1,
    seed: Seed = 0,
    processes: Processes = 1,
) -> None:
    """AIST++ (ICCV 2021): frames of dance videos, cut around the dancer, split by dancer."""
    from autocompose.prepare.pairing.mined import Mining
    from autocompose.prepare.releases.aist import Choice, prepare_aist
    from autocompose.prepare.rendering.renders import Style

    choice = Choice(per_sequence, tuple(views.split(",")), size)
    mining = Mining(gap, low, high, texts, pair_views)
    prepare_aist(
        raw, out, videos=videos, choice=choice, mining=mining, style=_choice(Style, style, "--style"),
        val_share=val_share, seed=seed, processes=processes,
    )  # fmt: skip


Motions = Annotated[
    Path, typer.Argument(metavar="MOTIONS", help="A motion file, or a folder that is searched for them.")
]
Up = Annotated[str, typer.Option(help="Vertical axis of the files: y, z, or -y (MediaPipe world landmarks).")]
Count = Annotated[int, typer.Option(min=2, help="Pictures: the poses that differ most.")]
Yaw = Annotated[float, typer.Option(min=0, max=180, help="Greatest turn from the camera in degrees, either way.")]


@prepare.command()
def bvh(
    motions: Motions, out: OutFolder, up: Up = "y", count: Count = 1000, yaw: Yaw = 0.0, gap: Gap = 2.0,
    low: Low = 0.80, high: High = 0.97, texts: Texts = 3, size: Side = 224, style: StyleName = "plain", seed: Seed = 0,
    processes: Processes = 1,
) -> None:  # fmt: skip
    """Motion capture in BVH files (CMU, Mixamo and alike): rendered, paired, described by rules."""
    _motion("bvh", motions, out, up, count, yaw, (gap, low, high, texts), size, style, seed, processes)


@prepare.command()
def smpl(
    motions: Motions, out: OutFolder, up: Up = "z", count: Count = 1000, yaw: Yaw = 0.0, gap: Gap = 2.0,
    low: Low = 0.80, high: High = 0.97, texts: Texts = 3, size: Side = 224, style: StyleName = "plain", seed: Seed = 0,
    processes: Processes = 1,
) -> None:  # fmt: skip
    """Motion capture as SMPL, SMPL+H or SMPL-X parameters (AMASS .npz, .pkl)."""
    _motion("smpl", motions, out, up, count, yaw, (gap, low, high, texts), size, style, seed, processes)


@prepare.command()
def npz(
    motions: Motions, out: OutFolder, up: Up = "y", count: Count = 1000, yaw: Yaw = 0.0, gap: Gap = 2.0,
    low: Low = 0.80, high: High = 0.97, texts: Texts = 3, size: Side = 224, style: StyleName = "plain", seed: Seed = 0,
    processes: Processes = 1,
) -> None:  # fmt: skip
    """Motion capture as arrays of joints (T, J, 3): SMPL-22/24/52, COCO-17/23 or MediaPipe-33."""
    _motion("npz", motions, out, up, count, yaw, (gap, low, high, texts), size, style, seed, processes)


@prepare.command()
def clips(
    out: OutFolder, count: Count = 1000, yaw: Yaw = 0.0, gap: Gap = 2.0, low: Low = 0.80, high: High = 0.97,
    texts: Texts = 3, size: Side = 224, style: StyleName = "plain", seed: Seed = 0, processes: Processes = 1,
) -> None:  # fmt: skip
    """The 15 public motion-capture clips that the package pybullet carries."""
    _motion("clips", None, out, "y", count, yaw, (gap, low, high, texts), size, style, seed, processes)


def _motion(
    kind: str, motions: Path | None, out: Path, up: str, count: int, yaw: float,
    mining: tuple[float, float, float, int], size: int, style: str, seed: int, processes: int,
) -> None:  # fmt: skip
    from autocompose.prepare.motion.clips import Kind, prepare_motion
    from autocompose.prepare.pairing.mined import Mining
    from autocompose.prepare.rendering.renders import Style

    prepare_motion(
        motions, out, Kind(kind), up=up, count=count, yaw=yaw, mining=Mining(*mining), size=size,
        style=_choice(Style, style, "--style"), seed=seed, processes=processes,
    )  # fmt: skip


@prepare.command()
def folder(
    photos: Annotated[Path, typer.Argument(metavar="PHOTOS", help="Folder with pictures, nested, of mixed formats.")],
    out: OutFolder,
    height: Annotated[int, typer.Option(min=0, help="Least height of a person in pixels.")] = 80,
    limbs: Annotated[int, typer.Option(min=0, max=12, help="Least number of the 12 limb joints in sight.")] = 10,
    side: Annotated[int, typer.Option(min=8, help="Longest side of a person's picture in pixels.")] = 512,
    by_folder: Annotated[
        bool, typer.Option("--by-folder", help="Keep each folder in one split (bursts, video).")
    ] = False,
    low: Low = 0.80,
    high: High = 0.97,
    texts: Texts = 3,
    seed: Seed = 0,
    processes: Processes = 1,
    pose_weights: Annotated[
        Path | None,
        typer.Option("--pose-weights", metavar="FILE", help="Other pose networks: runs/convert_blazepose.py."),
    ] = None,
) -> None:
    """Any photographs: finds people and their 3D poses on this machine, cuts them out, pairs and describes them."""
    from autocompose.estimate.people_finder import PeopleFinder
    from autocompose.prepare.pairing.mined import Mining
    from autocompose.prepare.photos.photographs import Wanted, prepare_folder

    prepare_folder(
        photos, out, wanted=Wanted(height=height, limbs=limbs, side=side),
        mining=Mining(low=low, high=high, texts=texts), by_folder=by_folder, seed=seed, processes=processes,
        finder=PeopleFinder(pose_weights),
    )  # fmt: skip


def _choice(kind: type[E], value: str, option: str) -> E:
    """A member of an enumeration that lives in a module which the command line imports late."""
    try:
        return kind(value)
    except ValueError:
        allowed = ", ".join(str(member.value) for member in kind)
        raise typer.BadParameter(f"{value!r}; allowed: {allowed}", param_hint=option) from None
