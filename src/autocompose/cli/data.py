"""Verbs on corpora: prepare from raw data, check, split, export, import, inspect."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from autocompose.cli.app import CORPORA, PoseWeights, app, prepare
from autocompose.cli.options.spread import PROCESSES, On, WorkerCpus, WorkerGpus, spread
from autocompose.core.errors import CorpusError
from autocompose.core.reading.jsontext import json_line

E = TypeVar("E", bound=Enum)
CorpusFolder = Annotated[Path, typer.Argument(metavar="DIR", help="Corpus folder (captions/, images/, image_splits/).")]


@app.command(rich_help_panel=CORPORA)
def validate(
    folder: CorpusFolder,
    images: Annotated[bool, typer.Option("--images", help="Also decode every picture.")] = False,
    allow_shared: Annotated[
        list[str] | None,
        typer.Option(
            help="What splits may share: image, gallery, uid, pose, cube, sequence; repeatable.", show_default="none"
        ),
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


@app.command(rich_help_panel=CORPORA)
def split(
    folder: CorpusFolder,
    share: Annotated[
        float, typer.Option(help="Share of the train pairs that move to val: above 0, at most 0.5.")
    ] = 0.1,
    seed: Annotated[int, typer.Option(help="Seed of the draw.")] = 0,
    key: Annotated[
        list[str] | None,
        typer.Option(
            help="Column or extra key whose values stay in one split; repeatable.",
            show_default="uid pose cube sequence",
        ),
    ] = None,
) -> None:
    """Move a share of the train pairs to val; pairs that share a picture, pose or sequence stay together."""
    from autocompose.core.log import say
    from autocompose.core.records import Split
    from autocompose.corpus.format import load_corpus
    from autocompose.corpus.split import GROUP_KEYS, carve_val

    corpus = carve_val(load_corpus(folder), share, seed, key or GROUP_KEYS)
    corpus.save()
    say(f"{folder}: {len(corpus.pairs[Split.TRAIN]):,} train pairs, {len(corpus.pairs[Split.VAL]):,} val pairs")


@app.command(rich_help_panel=CORPORA)
def export(
    folder: CorpusFolder,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="New folder for the export.")],
    kind: Annotated[
        str, typer.Option("--format", help="parquet (Hugging Face datasets) or webdataset (tar).")
    ] = "parquet",
    shard: Annotated[int, typer.Option(min=1, help="Size of a shard in megabytes.")] = 400,
) -> None:
    """Write a corpus for other tools, with pictures, all fields and a dataset card."""
    from autocompose.corpus.exchange.export_import import Format, export_corpus

    export_corpus(folder, out, _choice(Format, kind, "--format"), shard)


@app.command("import", rich_help_panel=CORPORA)
def import_(
    source: Annotated[Path, typer.Argument(metavar="EXPORT", help="Folder that `export` wrote.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Corpus folder to make.")],
) -> None:
    """Make a corpus from an export (parquet or webdataset)."""
    from autocompose.corpus.exchange.export_import import import_corpus

    import_corpus(source, out)


@app.command(rich_help_panel=CORPORA)
def inspect(
    folder: CorpusFolder,
    out: Annotated[Path | None, typer.Option(help="HTML file to write.", show_default="DIR/inspect.html")] = None,
    pairs: Annotated[int, typer.Option(min=0, help="Number of pairs of each split on the page, drawn at random.")] = 60,
    seed: Annotated[int, typer.Option(help="Seed of the draw.")] = 0,
) -> None:
    """Write an HTML report on a corpus: counts, texts, duplicates, similar pictures across splits, pairs."""
    from autocompose.core.log import say
    from autocompose.corpus.inspect import inspect_corpus

    page = out or folder / "inspect.html"
    inspect_corpus(folder, page, pairs, seed)
    say(f"{page}: open it in a browser")


OutFolder = Annotated[Path, typer.Argument(metavar="OUT", help="Corpus folder to make.")]
ValShare = Annotated[float, typer.Option(min=0, max=0.5, help="Share of the train pairs that moves to val; 0 = none.")]
Seed = Annotated[int, typer.Option(help="Seed of everything random.")]


@prepare.command()
def fixmypose(
    raw: Annotated[Path, typer.Argument(metavar="RAW", help="Folder with the JSON files of the FixMyPose repository.")],
    out: OutFolder,
    protocol: Annotated[str, typer.Option(help="retrieval, captioning, captioning-seen, both-tasks.")] = "retrieval",
    flatten: Annotated[bool, typer.Option("--flatten", help="One entry per sentence instead of one per item.")] = False,
    pictures: Annotated[
        Path | None,
        typer.Option("--picture-folder", help="Folder with the PNG or HDF5 files.", show_default="RAW"),
    ] = None,
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
StyleName = Annotated[
    str, typer.Option(help="Look of the bodies: plain (one for all) or varied (one for each picture).")
]
Processes = Annotated[int, typer.Option(min=1, help="Number of processes; the result does not depend on it.")]
Workers = Annotated[
    int | None,
    typer.Option(min=1, help="Number of processes; the result does not depend on it.", show_default=PROCESSES),
]


@prepare.command()
def posefix(
    raw: Annotated[Path, typer.Argument(metavar="RAW", help="Folder of the unpacked PoseFix release.")],
    amass: Annotated[Path, typer.Argument(metavar="AMASS", help="Root of AMASS' SMPL+H G sequences (.npz).")],
    out: OutFolder,
    training: Annotated[str, typer.Option(help="Which pairs: human (those with a text by a person) or all.")] = "human",
    sequence: Annotated[
        str, typer.Option(help="Pairs within one motion (in), across motions (out), or both.")
    ] = "both",
    reverse_texts: Annotated[
        int, typer.Option(min=0, help="Number of rule texts from target to reference, per pair.")
    ] = 3,
    smplh: Annotated[
        Path | None, typer.Option(help="Neutral SMPL-H model (.npz) to render.", show_default="our own body")
    ] = None,
    size: Side = 224,
    style: StyleName = "plain",
    seed: Seed = 0,
    processes: Workers = None,
    on: On = "here",
    worker_cpus: WorkerCpus = 1.0,
) -> None:
    """PoseFix (ICCV 2023) with AMASS motions: rendered bodies, texts by people and by rules."""
    from autocompose.prepare.releases.posefix import Training, Where, prepare_posefix
    from autocompose.prepare.rendering.renders import Style

    with spread(on, processes, worker_cpus):
        prepare_posefix(
            raw, amass, out, training=_choice(Training, training, "--training"),
            where=_choice(Where, sequence, "--sequence"), reverse_texts=reverse_texts, smplh=smplh, size=size,
            style=_choice(Style, style, "--style"), seed=seed, processes=processes or 1,
        )  # fmt: skip


Gap = Annotated[float, typer.Option(help="Maximum number of seconds between two poses of one motion.")]
Low = Annotated[float, typer.Option(help="Minimum cosine similarity of the two poses of a pair.")]
High = Annotated[float, typer.Option(help="Maximum cosine similarity of the two poses of a pair.")]
Wordings = Annotated[int, typer.Option(min=0, help="Number of rule texts per pair and direction; 0 = none.")]


@prepare.command()
def aist(
    raw: Annotated[Path, typer.Argument(metavar="RAW", help="AIST++ annotations (motions/, keypoints3d/ ...).")],
    out: OutFolder,
    videos: Annotated[
        Path | None, typer.Option(help="Folder with the 10M videos.", show_default="none: bodies are rendered")
    ] = None,
    per_sequence: Annotated[
        int, typer.Option(min=1, help="Number of frames per sequence; the most different ones are chosen.")
    ] = 12,
    views: Annotated[
        str, typer.Option(help="Cameras, such as c01,c03; or front, the best one for each frame.")
    ] = "c01",
    pair_views: Annotated[str, typer.Option(help="Cameras of the two pictures: any, same or different.")] = "any",
    gap: Gap = 2.0,
    low: Low = 0.80,
    high: High = 0.97,
    wordings: Wordings = 3,
    size: Side = 224,
    style: StyleName = "plain",
    val_share: ValShare = 0.1,
    seed: Seed = 0,
    processes: Processes = 1,
) -> None:
    """AIST++ (ICCV 2021): frames of dance videos, cropped to the dancer, split by dancer."""
    from autocompose.prepare.pairing.mined import Mining
    from autocompose.prepare.releases.aist import Choice, prepare_aist
    from autocompose.prepare.rendering.renders import Style

    choice = Choice(per_sequence, tuple(views.split(",")), size)
    mining = Mining(gap, low, high, wordings, pair_views)
    prepare_aist(
        raw, out, videos=videos, choice=choice, mining=mining, style=_choice(Style, style, "--style"),
        val_share=val_share, seed=seed, processes=processes,
    )  # fmt: skip


Motions = Annotated[Path, typer.Argument(metavar="MOTIONS", help="A motion file, or a folder of them.")]
Up = Annotated[str, typer.Option(help="Vertical axis of the files: y, z, or -y (MediaPipe world landmarks).")]
Count = Annotated[int, typer.Option(min=2, help="Number of pictures; the most different poses are chosen.")]
Yaw = Annotated[float, typer.Option(min=0, max=180, help="Maximum turn from the camera in degrees, either way.")]


@prepare.command()
def bvh(
    motions: Motions, out: OutFolder, up: Up = "y", count: Count = 1000, yaw: Yaw = 0.0, gap: Gap = 2.0,
    low: Low = 0.80, high: High = 0.97, wordings: Wordings = 3, size: Side = 224, style: StyleName = "plain",
    seed: Seed = 0, processes: Workers = None, on: On = "here", worker_cpus: WorkerCpus = 1.0,
) -> None:  # fmt: skip
    """Motion capture in BVH files (CMU, Mixamo and similar): rendered, paired, described by rules."""
    with spread(on, processes, worker_cpus):
        _motion("bvh", motions, out, up, count, yaw, (gap, low, high, wordings), size, style, seed, processes or 1)


@prepare.command()
def smpl(
    motions: Motions, out: OutFolder, up: Up = "z", count: Count = 1000, yaw: Yaw = 0.0, gap: Gap = 2.0,
    low: Low = 0.80, high: High = 0.97, wordings: Wordings = 3, size: Side = 224, style: StyleName = "plain",
    seed: Seed = 0, processes: Workers = None, on: On = "here", worker_cpus: WorkerCpus = 1.0,
) -> None:  # fmt: skip
    """Motion capture as SMPL, SMPL+H or SMPL-X parameters (AMASS .npz, .pkl)."""
    with spread(on, processes, worker_cpus):
        _motion("smpl", motions, out, up, count, yaw, (gap, low, high, wordings), size, style, seed, processes or 1)


@prepare.command()
def npz(
    motions: Motions, out: OutFolder, up: Up = "y", count: Count = 1000, yaw: Yaw = 0.0, gap: Gap = 2.0,
    low: Low = 0.80, high: High = 0.97, wordings: Wordings = 3, size: Side = 224, style: StyleName = "plain",
    seed: Seed = 0, processes: Workers = None, on: On = "here", worker_cpus: WorkerCpus = 1.0,
) -> None:  # fmt: skip
    """Motion capture as arrays of joints (T, J, 3): SMPL-22/24/52, COCO-17/23 or MediaPipe-33."""
    with spread(on, processes, worker_cpus):
        _motion("npz", motions, out, up, count, yaw, (gap, low, high, wordings), size, style, seed, processes or 1)


@prepare.command()
def clips(
    out: OutFolder, count: Count = 1000, yaw: Yaw = 0.0, gap: Gap = 2.0, low: Low = 0.80, high: High = 0.97,
    wordings: Wordings = 3, size: Side = 224, style: StyleName = "plain", seed: Seed = 0, processes: Workers = None,
    on: On = "here", worker_cpus: WorkerCpus = 1.0,
) -> None:  # fmt: skip
    """The 15 public motion-capture clips that the package pybullet carries."""
    with spread(on, processes, worker_cpus):
        _motion("clips", None, out, "y", count, yaw, (gap, low, high, wordings), size, style, seed, processes or 1)


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
    photos: Annotated[
        str,
        typer.Argument(
            metavar="PHOTOS",
            help="Folder with pictures in any format, at any depth; or its address (s3://, gs:// ...).",
        ),
    ],
    out: OutFolder,
    height: Annotated[int, typer.Option(min=0, help="Minimum height of a person in pixels.")] = 80,
    limbs: Annotated[int, typer.Option(min=0, max=12, help="Minimum number of visible limb joints, of 12.")] = 10,
    size: Annotated[int, typer.Option(min=8, help="Longest side of a person's picture in pixels.")] = 512,
    by_folder: Annotated[
        bool, typer.Option("--by-folder", help="Keep each folder in one split (for bursts and video).")
    ] = False,
    low: Low = 0.80,
    high: High = 0.97,
    wordings: Wordings = 3,
    seed: Seed = 0,
    processes: Workers = None,
    pose_weights: PoseWeights = None,
    on: On = "here",
    worker_cpus: WorkerCpus = 1.0,
    worker_gpus: WorkerGpus = 0.0,
) -> None:
    """Your own photographs: detect people, estimate 3D poses, crop, pair and describe; all on this machine."""
    from autocompose.estimate.people_finder import PeopleFinder
    from autocompose.prepare.pairing.mined import Mining
    from autocompose.prepare.photos.photographs import Wanted, prepare_folder

    with spread(on, processes, worker_cpus, worker_gpus):
        prepare_folder(
            photos, out, wanted=Wanted(height=height, limbs=limbs, side=size),
            mining=Mining(low=low, high=high, texts=wordings), by_folder=by_folder, seed=seed,
            processes=processes or 1, finder=PeopleFinder(pose_weights),
        )  # fmt: skip


@prepare.command()
def video(
    videos: Annotated[Path, typer.Argument(metavar="VIDEOS", help="Folder with videos at any depth, or one video.")],
    out: OutFolder,
    rate: Annotated[float, typer.Option(help="Frames to look at, per second.")] = 4.0,
    change: Annotated[
        float,
        typer.Option(
            metavar="MM",
            help="Keep a person again when a joint has moved by more than this, in millimetres.",
        ),
    ] = 150.0,
    height: Annotated[int, typer.Option(min=0, help="Minimum height of a person in pixels.")] = 80,
    limbs: Annotated[int, typer.Option(min=0, max=12, help="Minimum number of visible limb joints, of 12.")] = 10,
    size: Annotated[int, typer.Option(min=8, help="Longest side of a person's picture in pixels.")] = 512,
    gap: Gap = 2.0,
    low: Low = 0.80,
    high: High = 0.97,
    wordings: Wordings = 3,
    seed: Seed = 0,
    processes: Processes = 1,
    pose_weights: PoseWeights = None,
) -> None:
    """Your own videos: follow people, estimate 3D poses, crop, pair and describe; split by video; on this machine."""
    from autocompose.estimate.people_finder import PeopleFinder
    from autocompose.estimate.videos.sampling import Sampling
    from autocompose.prepare.pairing.mined import Mining
    from autocompose.prepare.photos.photographs import Wanted
    from autocompose.prepare.videos.videos import prepare_videos

    prepare_videos(
        videos, out, sampling=Sampling(rate, change), wanted=Wanted(height=height, limbs=limbs, side=size),
        mining=Mining(gap, low, high, wordings), seed=seed, processes=processes, finder=PeopleFinder(pose_weights),
    )  # fmt: skip


def _choice(kind: type[E], value: str, option: str) -> E:
    """A member of an enumeration whose module is imported only when needed."""
    try:
        return kind(value)
    except ValueError:
        allowed = ", ".join(str(member.value) for member in kind)
        raise typer.BadParameter(f"{value!r}; allowed: {allowed}", param_hint=option) from None
