"""The stored record of a detected person, as arrays."""

from __future__ import annotations

import numpy as np
from PIL import Image

from autocompose.estimate.marking import Marks, Views


def record(views: Views, picture: Image.Image) -> dict[str, np.ndarray]:
    """The landmarks of one person, as arrays: the fields of ``Marks`` for both views."""
    region = views.plain.region
    row = {"size": np.array(picture.size), "region": np.array([*region.centre, region.side, region.angle])}
    for key in Marks.__dataclass_fields__:
        row[key] = np.stack([getattr(view, key) for view in views]).astype(np.float32)
    return row


def stacked(rows: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Records as columns."""
    return {key: np.stack([row[key] for row in rows]) for key in rows[0]}
