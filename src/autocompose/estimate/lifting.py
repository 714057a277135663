"""From landmarks to the 22 joints of SMPL in the person's own frame, their heading, and the uncertainty of each.

A small network, trained on rendered people (``train.lifting``, docs/estimation.md). It sees the landmarks of both views
about the person's own vertical axis, so that it need not learn rotations; and it runs twice, the second time on the
mirror image, so that a mirrored picture gets the mirrored pose.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from autocompose.bodies.skeleton import SMPL22, mirror_order
from autocompose.core.errors import CheckpointError
from autocompose.estimate.landmarks import POINTS
from autocompose.estimate.marking import MIRRORED, NAMES, Views
from autocompose.estimate.weights import FOLDER, read_tensors

SHIPPED = FOLDER / "lifting.safetensors"
REMEDY = "install the package again, or make the file with runs/lifting.sh"
JOINTS = len(SMPL22)
WIDTH, DEPTH, MEMBERS = 512, 3, 1  # of the network: channels, hidden layers, how many are averaged
_ORDER = torch.from_numpy(MIRRORED[:POINTS])
JOINT_ORDER = torch.from_numpy(mirror_order(SMPL22))
_SIDES = tuple([NAMES.index(f"{side}_{part}") for part in ("hip", "shoulder")] for side in ("left", "right"))


@dataclass(frozen=True)
class Seen:
    """Landmarks of N people in two views, plain and mirrored, left and right their own; free of place and size.

    :param points: ``(N, 2, 33, 3)`` right, down and away from the camera, in sides of the region about its centre.
    :param world: ``(N, 2, 33, 3)`` metres, scene frame (x right, y up, z to the camera), hips in the origin.
    :param scores: ``(N, 2, 33, 3)`` visibility, inside, peak.
    """

    points: Tensor
    world: Tensor
    scores: Tensor

    @classmethod
    def of(cls, people: Sequence[Views]) -> Seen:
        """The landmarks of some people."""
        regions = [views.plain.region for views in people]
        frames = np.array([[*region.centre, region.side] for region in regions]).reshape(-1, 3)
        columns = {
            key: np.array([[getattr(view, key) for view in views] for views in people])
            for key in ("points", "depth", "world", "visibility", "inside", "peak")
        }
        return cls.of_arrays(frames, columns)

    @classmethod
    def of_arrays(cls, frames: np.ndarray, columns: dict[str, np.ndarray]) -> Seen:
        """
        :param frames: ``(N, 3)`` centre and side of the regions, pixels.
        :param columns: the fields of ``Marks`` as ``(N, 2, ...)``.
        """
        flat = (columns["points"] - frames[:, None, None, :2])[:, :, :POINTS]
        depth = columns["depth"][:, :, :POINTS, None]
        points = np.concatenate([flat, depth], -1) / frames[:, None, None, 2:]
        scores = np.stack([columns[key] for key in ("visibility", "inside", "peak")], -1)
        world = columns["world"] * np.array([1.0, -1.0, -1.0])
        return cls(*(torch.from_numpy(np.asarray(a, np.float32)) for a in (points, world, scores)))

    def mirrored(self) -> Seen:
        """The same people in a mirror: the views change places."""
        flip = torch.tensor([-1.0, 1.0, 1.0])
        parts = (self.points * flip, self.world * flip, self.scores)
        return Seen(*(part.flip(1)[:, :, _ORDER] for part in parts))

    def rows(self, chosen: Tensor) -> Seen:
        """Some of the people."""
        return Seen(self.points[chosen], self.world[chosen], self.scores[chosen])

    def joined(self, other: Seen) -> Seen:
        """These people, then the others."""
        parts = ((getattr(part, key) for part in (self, other)) for key in ("points", "world", "scores"))
        return Seen(*(torch.cat(list(part)) for part in parts))

    def yaw(self) -> Tensor:
        """``(N,)`` radians: rough headings, from the lines through hips and shoulders."""
        mean = self.world.mean(1)
        left = (mean[:, _SIDES[0]] - mean[:, _SIDES[1]]).sum(1)
        return torch.atan2(-left[:, 2], left[:, 0])

    def features(self, yaw: Tensor) -> Tensor:
        """``(N, F)``: all of it, and the world landmarks turned to face the viewer by headings ``(N,)``, radians."""
        facing = turned(self.world, -yaw[:, None, None])
        gap = (self.world[:, 0] - self.world[:, 1]).norm(dim=-1)
        parts = [facing.mean(1), facing[:, 0] - facing[:, 1], self.points, self.scores, gap]
        return torch.cat([p.flatten(1) for p in parts] + [torch.stack([yaw.sin(), yaw.cos()], 1)], 1)


def turned(points: Tensor, yaw: Tensor) -> Tensor:
    """Turn points ``(..., 3)`` about the vertical by radians, positive to the own left (see ``bodies.skeleton``)."""
    x, y, z = points.unbind(-1)
    return torch.stack([x * yaw.cos() + z * yaw.sin(), y, z * yaw.cos() - x * yaw.sin()], -1)


class LiftNet(nn.Module):
    """One network: layers with normalisation, and a linear way around them.

    :param inputs: number of features.
    """

    def __init__(self, inputs: int, dropout: float = 0.1) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before in [inputs] + [WIDTH] * (DEPTH - 1):
            layers += [nn.Linear(before, WIDTH), nn.LayerNorm(WIDTH), nn.GELU(), nn.Dropout(dropout)]
        self.body, self.around = nn.Sequential(*layers), nn.Linear(inputs, 3 * JOINTS)
        self.joints, self.turn, self.doubt = (nn.Linear(WIDTH, n) for n in (3 * JOINTS, 2, JOINTS))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Standardised features ``(N, F)`` -> joints, turn against the rough heading (sine, cosine), log distances."""
        hidden = self.body(x)
        joints = (self.joints(hidden) + self.around(x)).view(-1, JOINTS, 3)
        turn = self.turn(hidden) + torch.tensor([0.0, 1.0])
        return joints - joints[:, :1], turn, self.doubt(hidden.detach()) - 2.5


class Lifter(nn.Module):
    """Several networks, averaged over themselves and the mirror.

    :ivar mean, spread: ``(F,)`` of the training features. :ivar scale: of the expected distances, fitted on
        validation poses: a network's errors on its training data are too small.
    """

    mean: Tensor
    spread: Tensor
    scale: Tensor

    def __init__(self, inputs: int, members: int = MEMBERS) -> None:
        super().__init__()
        self.members = nn.ModuleList(LiftNet(inputs) for _ in range(members))
        for name in ("mean", "spread"):
            self.register_buffer(name, torch.ones(inputs))
        self.register_buffer("scale", torch.ones(()))

    @classmethod
    def load(cls, path: Path | None = None) -> Lifter:
        """Read the weights.

        :param path: default: the shipped file.
        :raises CheckpointError: missing, damaged, or of another network.
        """
        path = Path(path or SHIPPED)
        tensors, _ = read_tensors(path, REMEDY)
        members = len({key.split(".")[1] for key in tensors if key.startswith("members.")})
        lifter = cls(len(tensors.get("mean", [])), members)
        try:
            lifter.load_state_dict(tensors)
        except RuntimeError:
            raise CheckpointError(f"{path}: does not fit the lifting network; {REMEDY}") from None
        return lifter.requires_grad_(False).eval()

    def forward(self, seen: Seen) -> tuple[Tensor, Tensor, Tensor]:
        """Poses of N people.

        :return: joints ``(N, 22, 3)`` metres in the own frame, headings ``(N,)`` in radians, expected distances
            ``(N, 22)`` metres.
        """
        joints, turns, doubts = [], [], []
        for mirror in (False, True):
            look = seen.mirrored() if mirror else seen
            sign = torch.tensor([-1.0 if mirror else 1.0, 1.0, 1.0])
            rough = look.yaw()
            x = (look.features(rough) - self.mean) / self.spread
            for member in self.members:
                place, turn, doubt = member(x)
                heading = (rough + torch.atan2(turn[:, 0], turn[:, 1])) * sign[0]
                joints.append(place[:, JOINT_ORDER] * sign if mirror else place)
                turns.append(torch.stack([heading.sin(), heading.cos()], 1))
                doubts.append(doubt[:, JOINT_ORDER] if mirror else doubt)
        turn, places = torch.stack(turns).mean(0), torch.stack(joints)
        distance = torch.stack(doubts).exp().mean(0) * self.scale
        return places.mean(0), torch.atan2(turn[:, 0], turn[:, 1]), distance

    @torch.inference_mode()
    def lift(self, views: Views) -> tuple[np.ndarray, float, np.ndarray]:
        """
        :return: joints ``(22, 3)`` metres in the own frame, heading in degrees, uncertainty ``(22,)`` metres.
        """
        joints, heading, distance = self(Seen.of([views]))
        return joints[0].numpy(), float(torch.rad2deg(heading[0])), distance[0].numpy()
