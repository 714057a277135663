"""3D poses of people in photographs: MediaPipe in a Python environment and a process of its own.

MediaPipe 0.10.21 carries its pose model inside its wheel, but needs numpy < 2 and Python < 3.13. The environment is
made once, in the user's cache folder; nothing but Python packages is downloaded.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType
from typing import IO

import numpy as np
from PIL import Image

from autocompose.core.cache import find_cached, writable_cache
from autocompose.core.errors import InputError, PoseError
from autocompose.core.log import say
from autocompose.prepare.photos import pose_worker

MEDIAPIPE = "0.10.21"
PYTHON_VARIABLE = "AUTOCOMPOSE_POSE_PYTHON"
# MediaPipe's own list of requirements includes jax and audio packages that its pose part never loads (1.1 GB instead
# of 0.4 GB), so it is installed without them
WITHOUT_REQUIREMENTS = (f"mediapipe=={MEDIAPIPE}",)
REQUIREMENTS = (
    "numpy>=1.26,<2", "absl-py", "attrs", "flatbuffers", "protobuf>=4.25.3,<5", "opencv-python-headless<4.12",
    "matplotlib",
)  # fmt: skip
LONG_SIDE = 1280  # pixels; larger pictures are shrunk before they are searched


@dataclass(frozen=True)
class Person:
    """One person found in a picture.

    :param image: ``(33, 3)`` MediaPipe landmarks: x, y in pixels and visibility 0..1.
    :param world: ``(33, 3)`` metres, y down, z away from the camera, hips in the origin.
    :param box: left, top, right, bottom in pixels.
    """

    image: np.ndarray
    world: np.ndarray
    box: tuple[int, int, int, int]


def pose_python(cache: Path | None = None) -> Path:
    """A Python that can import MediaPipe; makes the environment on first use.

    In this order: the interpreter that ``AUTOCOMPOSE_POSE_PYTHON`` names, the running one, the one in the cache folder.

    :raises InputError: the environment cannot be made; says how to make it by hand.
    """
    named = os.environ.get(PYTHON_VARIABLE)
    if named:
        if not shutil.which(named):
            raise InputError(f"{PYTHON_VARIABLE} = {named}: no such program")
        return Path(named)
    try:
        if version("mediapipe") == MEDIAPIPE:
            return Path(sys.executable)
    except PackageNotFoundError:
        pass
    name = f"mediapipe-{MEDIAPIPE}"
    ready = None if cache else find_cached(f"{name}/complete")
    folder = ready.parent if ready else (cache or writable_cache()) / name
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not (folder / "complete").exists():
        _make(folder, python)
    return python


def _make(folder: Path, python: Path) -> None:
    say(f"first use: making a Python environment for MediaPipe {MEDIAPIPE} in {folder} (0.4 GB of packages)")
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    steps = (
        [_base_python(), "-m", "venv", "--clear", str(folder)],
        [*install, "--no-deps", *WITHOUT_REQUIREMENTS],
        [*install, *REQUIREMENTS],
    )
    for step in steps:
        try:
            done = subprocess.run(step, capture_output=True, text=True)
            reason = (done.stderr.strip().splitlines() or ["no message"])[-1] if done.returncode else ""
        except OSError as error:
            reason = str(error)
        if reason:
            raise InputError(
                f"{folder}: the environment for MediaPipe could not be made ({reason}); connect to your package"
                f" index for this once, or make one by hand with Python 3.10 to 3.12 and pip install"
                f" mediapipe=={MEDIAPIPE}, and set {PYTHON_VARIABLE} to its python"
            )
    (folder / "complete").touch()


def _base_python() -> str:
    """A Python below 3.13."""
    probe = "import sys; sys.exit(not (3, 9) <= sys.version_info[:2] < (3, 13))"
    for name in (sys.executable, "python3.12", "python3.11", "python3.10"):
        path = shutil.which(name)
        if path and subprocess.run([path, "-c", probe], capture_output=True).returncode == 0:
            return path
    raise InputError(
        f"MediaPipe {MEDIAPIPE} needs Python 3.10 to 3.12, none is on the PATH; install one, or set {PYTHON_VARIABLE}"
    )


class Estimator:
    """A running MediaPipe process; use it in a ``with`` block.

    :param python: from ``pose_python``.
    :raises PoseError: the process does not start.
    """

    def __init__(self, python: Path) -> None:
        self.python = python
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Estimator:
        self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def people(self, picture: Image.Image) -> list[Person]:
        """The people in an RGB picture, the most prominent first, at most four.

        :raises PoseError: the process died on this picture; it is started again for the next one.
        """
        factor = max(1.0, max(picture.size) / LONG_SIDE)
        width, height = (max(1, round(v / factor)) for v in picture.size)
        small = picture if factor == 1 else picture.resize((width, height))
        header = json.dumps({"height": small.height, "width": small.width}).encode() + b"\n"
        try:
            answer = self._ask(header + small.tobytes())
        except (OSError, ValueError) as error:
            self._stop()
            self._start()
            raise PoseError(f"MediaPipe stopped while it looked at a picture ({error})") from None
        return [_person(found, factor) for found in answer["people"]]

    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        assert self.process and self.process.stdin and self.process.stdout
        return self.process.stdin, self.process.stdout

    def _ask(self, data: bytes) -> dict[str, list[dict[str, list[list[float]]]]]:
        into, out = self._pipes()
        into.write(data)
        into.flush()
        answer: dict[str, list[dict[str, list[list[float]]]]] = json.loads(out.readline() or b"no answer")
        return answer

    def _start(self) -> None:
        command = [str(self.python), pose_worker.__file__]
        quiet = {**os.environ, "GLOG_minloglevel": "2", "TF_CPP_MIN_LOG_LEVEL": "3"}
        try:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=quiet
            )
            ready = json.loads(self._pipes()[1].readline() or b"no answer")
        except (OSError, ValueError):
            self._stop()
            raise PoseError(
                f"{self.python}: cannot run MediaPipe; see what {self.python} -c 'import mediapipe' says, or delete the"
                " environment to have it made again"
            ) from None
        assert "ready" in ready

    def _stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None


def _person(found: dict[str, list[list[float]]], factor: float) -> Person:
    image = np.array(found["image"], float) * [factor, factor, 1]
    left, top, right, bottom = (round(float(v) * factor) for v in np.ravel(found["box"]))
    return Person(image, np.array(found["world"], float), (left, top, right, bottom))
