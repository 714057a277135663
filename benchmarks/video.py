"""Time and memory of indexing a video: python benchmarks/video.py VIDEO [--hours 1] [--rate 4] [--stand-in]

``--hours`` first repeats the video to that length, without encoding it again. ``--stand-in`` replaces the networks by a
person whose pose turns with the time, so that an hour at full rate takes minutes; it measures decoding, following,
committing and memory. Times are processor seconds, so that a busy machine does not matter.
"""

import argparse
import resource
import shutil
import tempfile
import threading
import time
from pathlib import Path

import av
import numpy as np

from autocompose.bodies.skeleton import SMPL22
from autocompose.estimate.estimator import Person
from autocompose.estimate.people_finder import PeopleFinder
from autocompose.estimate.videos.sampling import Sampling
from autocompose.gallery.indexing.index import build
from autocompose.model.embedders.embedder import Embedder
from autocompose.model.embedders.naming import open_embedder

MIB = 1 << 20


class StandIn:
    """One person in the middle of every picture, in another pose each time."""

    fingerprint = "stand-in"

    def __init__(self):
        self.count = 0

    def find(self, picture):
        self.count += 1
        width, height = picture.size
        joints = np.random.default_rng(self.count).normal(0, 0.3, (len(SMPL22), 3)).astype(np.float32)
        box = (width * 0.3, height * 0.1, width * 0.6, height * 0.9)
        marks = np.zeros((33, 2)), np.ones(33), np.zeros((33, 3))
        return [Person(box, 1.0, *marks, joints, 0.0, np.full(len(SMPL22), 0.1, np.float32))]

    def follow(self, pictures):
        return [self.find(picture) for picture in pictures]


class Colours(Embedder):
    """A model that takes no time."""

    fingerprint, card = "colours", {}

    def embed_images(self, images):
        return np.array([np.asarray(i.resize((4, 4)), np.float32).ravel() for i in images])

    def embed_texts(self, texts):
        return np.ones((len(texts), 48), np.float32)


def repeated(source, target, hours):
    """The video over and over, its packets copied."""
    with av.open(str(target), "w") as out:
        offset, stream = 0, None
        while True:
            with av.open(str(source)) as video:
                old = video.streams.video[0]
                stream = stream or out.add_stream_from_template(old)
                first, last = None, 0
                for packet in video.demux(old):
                    if packet.dts is None:
                        continue
                    first = packet.dts if first is None else first
                    last = max(last, packet.dts - first + (packet.duration or 1))
                    packet.pts, packet.dts, packet.stream = packet.pts + offset, packet.dts + offset, stream
                    if packet.pts * old.time_base > hours * 3600:
                        return target
                    out.mux(packet)
                offset += last


def memory():
    """MiB that this process holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / MIB


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("video", type=Path)
    parser.add_argument("--hours", type=float, default=0)
    parser.add_argument("--rate", type=float, default=4.0)
    parser.add_argument("--stand-in", action="store_true")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    (folder / "videos").mkdir()
    target = folder / "videos" / options.video.name
    if options.hours:
        repeated(options.video, target, options.hours)
    else:
        shutil.copy(options.video, target)
    with av.open(str(target)) as video:
        minutes = video.duration / 6e7
    samples, done = [], threading.Event()

    def sample():
        while not done.wait(2):
            samples.append(memory())

    threading.Thread(target=sample, daemon=True).start()
    model = Colours() if options.stand_in else open_embedder("small")
    finder = StandIn() if options.stand_in else PeopleFinder()
    began, wall = time.process_time(), time.perf_counter()
    report = build(folder / "videos", model, folder / "gallery", finder=finder, sampling=Sampling(options.rate))
    used, wall = time.process_time() - began, time.perf_counter() - wall
    done.set()
    print(report.line())
    each = used / minutes
    print(f"{minutes:.1f} minutes: {used:.0f} s of processor time, {each:.1f} a minute of video; {wall:.0f} s")
    parts = [part for part in np.array_split(samples, 10) if len(part)]
    print("memory, means of tenths of the run, MiB:", *(round(float(np.mean(part))) for part in parts))
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
