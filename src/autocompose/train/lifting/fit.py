"""Train the lifting network on the collected landmarks, and measure it.

    python -m autocompose.train.lifting.fit FOLDER OUT

writes OUT/lifting.safetensors and OUT/lifting.json, its figures on the benchmark's validation and test part.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from autocompose.bodies.pose_frame import centre, remove_yaw, yaw_of
from autocompose.core.errors import InputError
from autocompose.core.files import write_json
from autocompose.core.log import say
from autocompose.core.records import Split
from autocompose.estimate.lifting import JOINT_ORDER, Lifter, LiftNet, Seen
from autocompose.train.lifting.benchmark import split_paths
from autocompose.train.lifting.collect import shards
from autocompose.train.lifting.cube_pictures import cube_files
from autocompose.train.lifting.figures import figures

EPOCHS, BATCH, RATE, DECAY = 36, 256, 1.5e-3, 0.02
NOISE = 0.04  # standard deviation added to standardised features
ROUGH = 15.0  # degrees, standard deviation added to the rough heading, which is often off
DOUBT, TURN = 0.05, 0.1  # weights of the losses beside the mean distance


class Data(NamedTuple):
    """Collected people with the truth.

    :ivar joints: ``(N, 22, 3)`` in the own frame. :ivar heading: ``(N,)`` radians.
    """

    seen: Seen
    joints: Tensor
    heading: Tensor
    columns: dict[str, np.ndarray]

    @classmethod
    def read(cls, paths: list[Path]) -> Data:
        """All people of some files.

        :raises InputError: no file.
        """
        if not paths:
            raise InputError("no collected scenes; run runs/lifting.sh, which makes them first")
        parts = [dict(np.load(path)) for path in paths]
        common = set.intersection(*(set(part) for part in parts))
        columns = {key: np.concatenate([part[key] for part in parts]) for key in parts[0] if key in common}
        joints = centre(columns["joints"])
        heading = yaw_of(joints)
        own = remove_yaw(joints, heading)
        seen = Seen.of_arrays(columns["region"][:, :3], columns)
        return cls(seen, _tensor(own), _tensor(np.radians(heading)), columns)


def _tensor(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.asarray(values, np.float32))


def train(data: Data, members: int, epochs: int = EPOCHS, seed: int = 0) -> Lifter:
    """Networks trained one after the other on the same people and their mirror images, in different orders."""
    torch.manual_seed(seed)
    seen = data.seen.joined(data.seen.mirrored())
    features = seen.features(seen.yaw())
    joints = torch.cat([data.joints, data.joints[:, JOINT_ORDER] * torch.tensor([-1.0, 1.0, 1.0])])
    heading = torch.cat([data.heading, -data.heading])
    lifter = Lifter(features.shape[1], members)
    lifter.mean, lifter.spread = features.mean(0), features.std(0).clamp(min=1e-3)
    for net in lifter.members:
        assert isinstance(net, LiftNet)
        _train_one(net, lifter, seen, joints, heading, epochs)
    return lifter.eval()


def _train_one(net: LiftNet, lifter: Lifter, seen: Seen, joints: Tensor, heading: Tensor, epochs: int) -> None:
    optimiser = torch.optim.AdamW(net.parameters(), RATE, weight_decay=DECAY)
    steps, rough = epochs * (len(joints) // BATCH), seen.yaw()
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, steps, pct_start=0.1)
    net.train()
    for _ in range(epochs):
        for rows in torch.randperm(len(joints))[: len(joints) // BATCH * BATCH].view(-1, BATCH):
            yaw = rough[rows] + np.radians(ROUGH) * torch.randn(BATCH)
            x = ((seen.rows(rows).features(yaw) - lifter.mean) / lifter.spread).clamp(-8, 8)
            place, way, doubt = net(x + NOISE * torch.randn_like(x))
            distance, turn = (place - joints[rows]).norm(dim=-1), heading[rows] - yaw
            goal = torch.stack([turn.sin(), turn.cos()], 1)
            doubt, missed = doubt[:, 1:], distance.detach()[:, 1:]  # the pelvis is the origin
            expected = (doubt + missed * (-doubt).exp()).mean()  # least where exp(doubt) = mean distance
            loss = distance.mean() + DOUBT * expected + TURN * F.smooth_l1_loss(way, goal)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()


@torch.inference_mode()
def calibrate(lifter: Lifter, data: Data) -> None:
    """Scale the expected distances to the mean true one."""
    joints, _, expected = lifter(data.seen)
    distance = (joints - data.joints).norm(dim=-1)[:, 1:]
    lifter.scale = lifter.scale * distance.mean() / expected[:, 1:].mean()


def main(folder: Path, out: Path, members: int = 1) -> None:
    """Train, calibrate on the validation part, measure, write."""
    data = Data.read(shards(folder) + cube_files(folder))
    say(f"{len(data.joints):,} rendered people")
    lifter = train(data, members)
    report: dict[str, object] = {"people": len(data.joints)}
    for split in (Split.VAL, Split.TEST):
        part = Data.read([path for path in split_paths(folder, split) if path.exists()])
        if split is Split.VAL:
            calibrate(lifter, part)
        report[split.value] = figures(lifter, part)
        say(f"{split.value}: {json.dumps(report[split.value])}")
    out.mkdir(parents=True, exist_ok=True)
    save_file({k: v.half().contiguous() for k, v in lifter.state_dict().items()}, out / "lifting.safetensors")
    write_json(out / "lifting.json", report)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
