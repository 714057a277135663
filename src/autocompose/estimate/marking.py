"""From a region to landmarks in the picture: crop, network, heatmaps, back to pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from autocompose.bodies.convert import SKELETONS
from autocompose.bodies.skeleton import mirror_order
from autocompose.estimate.landmarks import POINTS, SIDE, LandmarkNet
from autocompose.estimate.regions import Region, cut

NAMES = SKELETONS["mediapipe33"]
MIRRORED = np.concatenate([mirror_order(NAMES), np.arange(POINTS, POINTS + 6)])
REACH = 3  # cells of a heatmap around a landmark, on each side
CLEAR = 0.5  # least peak of a heatmap that moves its landmark
HIPS, RIM = POINTS, POINTS + 1  # auxiliary points


@dataclass(frozen=True)
class Marks:
    """Landmarks of one crop, left and right the person's own.

    :param points: ``(39, 2)`` pixels of the picture; 33 landmarks and six auxiliary points.
    :param depth: ``(39,)`` pixels behind the hips.
    :param world: ``(33, 3)`` metres, x right, y down, z away from the camera, hips in the origin.
    :param visibility, inside: ``(33,)`` probabilities that a landmark is seen, and that it lies in the crop.
    :param peak: ``(33,)`` highest value of each heatmap near its landmark.
    :param presence: probability of a person in the crop.
    """

    points: np.ndarray
    depth: np.ndarray
    world: np.ndarray
    visibility: np.ndarray
    inside: np.ndarray
    peak: np.ndarray
    presence: float

    @property
    def region(self) -> Region:
        """Where the next crop of this person lies."""
        return Region.around(self.points[HIPS], self.points[RIM])


class Views(NamedTuple):
    """One person seen twice: as in the picture, and mirrored in the region that the first view leads to."""

    plain: Marks
    mirror: Marks


def mark(net: LandmarkNet, picture: Image.Image, region: Region, *, mirrored: bool = False) -> Marks:
    """Landmarks of the person in a region.

    :param mirrored: the network sees the crop mirrored; the answer is turned back.
    """
    output = net(cut(picture, region, SIDE, mirrored=mirrored))
    values = output.points[0]
    points, peak = refined(values[:, :2] / SIDE, output.heatmaps[0])
    order = MIRRORED if mirrored else np.arange(len(MIRRORED))
    sign = np.array([-1.0 if mirrored else 1.0, 1.0])
    share = (points.numpy()[order].astype(float) - 0.5) * sign + 0.5
    world = output.world[0].numpy()[order[:POINTS]].astype(float)
    world[:, :2] = world[:, :2] * sign @ region.axes.T
    seen, inside = torch.sigmoid(values[:POINTS, 3:]).numpy()[order[:POINTS]].T
    return Marks(
        points=region.to_picture(share),
        depth=values[:, 2].numpy()[order] * (region.side / SIDE),
        world=world,
        visibility=seen,
        inside=inside,
        peak=peak.numpy()[order[:POINTS]],
        presence=float(torch.sigmoid(output.presence[0])),
    )


def refined(points: Tensor, heatmaps: Tensor) -> tuple[Tensor, Tensor]:
    """Move landmarks to the centre of mass of their heatmaps nearby, where these are clear (as MediaPipe does).

    :param points: ``(K, 2)`` shares of the crop's side. :param heatmaps: ``(K, H, W)`` logits.
    :return: ``(K, 2)`` shares, and the highest value ``(K,)`` near each landmark, 0 to 1; 0 outside the crop.
    """
    count, height, width = heatmaps.shape
    size = torch.tensor([width, height])
    cell = torch.floor(points * size).long()
    inside = ((cell >= 0) & (cell < size)).all(1)
    cell = torch.minimum(cell.clamp(min=0), size - 1)
    steps = torch.arange(-REACH, REACH + 1)
    rows, columns = cell[:, 1, None] + steps, cell[:, 0, None] + steps
    padded = F.pad(heatmaps, (REACH,) * 4, value=-torch.inf)
    near = padded[torch.arange(count)[:, None, None], rows[:, :, None] + REACH, columns[:, None, :] + REACH]
    weight = torch.sigmoid(near)
    peak = weight.amax((1, 2)) * inside
    total = weight.sum((1, 2)).clamp(min=1e-9)
    centre = torch.stack([(weight.sum(1) * columns).sum(1), (weight.sum(2) * rows).sum(1)], 1) / total[:, None]
    return torch.where((peak >= CLEAR)[:, None], centre / size, points), peak
