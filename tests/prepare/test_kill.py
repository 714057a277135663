"""Every adapter, as a process: kill -9 in the middle, the same command again, and any number of processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from autocompose.bodies.motion.mocap import clip_files
from autocompose.cli import data as _verbs  # noqa: F401
from autocompose.cli.app import run
from tests.fixtures.aist import make_aist, make_videos
from tests.fixtures.fixmypose import make_fixmypose
from tests.fixtures.motion import make_motions
from tests.fixtures.photos import make_photos
from tests.fixtures.posefix import make_amass, make_posefix
from tests.fixtures.tree import tree
from tests.fixtures.videos import SHARP, walkers, write_video

pytestmark = pytest.mark.slow
MAIN = """
from autocompose.estimate import people_finder
from tests.fixtures.bar_finder import BarFinder
people_finder.PeopleFinder = lambda weights: BarFinder()
from autocompose.cli import main
main()
"""
SMALL = ["--size", "48", "--style", "varied"]
LOOSE = ["--low", "0.2", "--high", "0.999"]


def fixmypose(raw: Path) -> list[str]:
    return ["fixmypose", str(make_fixmypose(raw, "hdf5"))]


def posefix(raw: Path) -> list[str]:
    return ["posefix", str(make_posefix(raw / "release")), str(make_amass(raw / "amass")), *SMALL]


def aist_frames(raw: Path) -> list[str]:
    root = make_aist(raw / "raw")
    return ["aist", str(root), "--videos", str(make_videos(raw / "videos")), "--per-sequence", "6", *LOOSE]


def aist_bodies(raw: Path) -> list[str]:
    return ["aist", str(make_aist(raw)), "--per-sequence", "8", *SMALL, *LOOSE]


def folder(raw: Path) -> list[str]:
    return ["folder", str(make_photos(raw)), "--height", "20", "--low", "0", "--high", "0.9999"]


def video(raw: Path) -> list[str]:
    for name, widths in (("a", (12, 60)), ("b", (60, 34, 12))):
        write_video(raw / f"{name}.mkv", walkers(240, widths=widths), **SHARP)
    return ["video", str(raw), "--height", "20", "--low", "0", "--high", "0.9999"]


def bvh(raw: Path) -> list[str]:
    return ["bvh", str(make_motions(raw, "bvh")), "--count", "60", *SMALL, *LOOSE]


def smpl(raw: Path) -> list[str]:
    return ["smpl", str(make_motions(raw, "smpl")), "--count", "60", *SMALL, *LOOSE]


def npz(raw: Path) -> list[str]:
    return ["npz", str(make_motions(raw, "npz")), "--count", "60", *SMALL, *LOOSE]


def clips(_: Path) -> list[str]:
    if not clip_files():
        pytest.skip("pybullet is not installed")
    return ["clips", "--count", "60", "--yaw", "40", *SMALL]


def bodycpr(_: Path) -> list[str]:
    return ["bodycpr", "--preset", "tiny"]


FAMILIES = [fixmypose, posefix, aist_frames, aist_bodies, folder, video, bvh, smpl, npz, clips, bodycpr]


def start(arguments: list[str], out: Path, processes: int = 1) -> subprocess.Popen[bytes]:
    """The verb, in a process group of its own."""
    option = {"bodycpr": "--processes", "fixmypose": ""}.get(arguments[0], "--processes")
    line = [sys.executable, "-c", MAIN, "prepare", *arguments, *([option, str(processes)] if option else []), str(out)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(line, stderr=subprocess.DEVNULL, env=environment, start_new_session=True)


def pictures(out: Path) -> int:
    return sum(1 for path in out.rglob("images/**/*.*") if not path.name.startswith("."))


def killed(process: subprocess.Popen[bytes], ready: Callable[[], bool]) -> None:
    """Kill the whole group as soon as ``ready``; it must not have finished before."""
    while process.poll() is None and not ready():
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


@pytest.mark.parametrize("family", FAMILIES)
def test_killed_twice_and_with_two_processes_it_ends_with_the_same_files(
    family: Callable[[Path], list[str]], tmp_path: Path
) -> None:
    arguments = family(tmp_path / "raw")
    assert start(arguments, tmp_path / "one").wait() == 0
    whole = tree(tmp_path / "one")
    if arguments[0] != "fixmypose":
        assert start(arguments, tmp_path / "two", 2).wait() == 0
        assert tree(tmp_path / "two") == whole
    out, every = tmp_path / "killed", pictures(tmp_path / "one")
    for share in (0.1, 0.6):
        killed(start(arguments, out), lambda share=share: pictures(out) > share * every)
        assert not (out / "captions").exists()
        assert pictures(out)
    kept = {path: path.stat().st_mtime_ns for path in sorted(out.rglob("images/**/[!.]*.*")) if path.is_file()}
    assert start(arguments, out).wait() == 0
    assert tree(out) == whole
    assert {path: path.stat().st_mtime_ns for path in kept} == kept, "pictures that exist are not made again"
    assert run(["validate", str(out), "--images"]) == 0
