"""Fusing a picture and a text into a prediction of the target's feature."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ElementwiseSum(nn.Module):
    """Stage 1 of the method: normalise(image + text)."""

    def forward(self, image_features: Tensor, text_features: Tensor) -> Tensor:
        """``(B, D)`` un-normalised features -> ``(B, D)`` normalised prediction."""
        return F.normalize(image_features + text_features, dim=-1)


class Combiner(nn.Module):
    """Stage 2: a learned correction on a learned mixture of both features (CLIP4Cir's Combiner).

    Parameter names are those of published ``combiner_N.pt`` files.

    :param dim: feature size D.
    :param projection_dim: width of the projection of each input.
    :param hidden_dim: width of the hidden layers.
    """

    def __init__(self, dim: int, projection_dim: int = 2560, hidden_dim: int = 5120, dropout: float = 0.5) -> None:
        super().__init__()
        self.dim, self.projection_dim, self.hidden_dim, self.dropout = dim, projection_dim, hidden_dim, dropout
        self.text_projection_layer = nn.Linear(dim, projection_dim)
        self.image_projection_layer = nn.Linear(dim, projection_dim)
        self.combiner_layer = nn.Linear(2 * projection_dim, hidden_dim)
        self.output_layer = nn.Linear(hidden_dim, dim)
        self.dynamic_scalar = nn.Sequential(
            nn.Linear(2 * projection_dim, hidden_dim),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden_dim, 1),
            nn.Sigmoid(),
        )

    def start_as_sum(self) -> Combiner:
        """Start without a correction, so that training starts from the result of stage 1."""
        nn.init.zeros_(self.output_layer.weight)
        nn.init.zeros_(self.output_layer.bias)
        return self

    def forward(self, image_features: Tensor, text_features: Tensor) -> Tensor:
        """``(B, D)`` un-normalised features -> ``(B, D)`` normalised prediction.

        In the cycle the (normalised) prediction takes the place of the image features.
        """
        text = self._drop(F.relu(self.text_projection_layer(text_features)))
        image = self._drop(F.relu(self.image_projection_layer(image_features)))
        both = torch.cat([text, image], dim=-1)
        correction = self.output_layer(self._drop(F.relu(self.combiner_layer(both))))
        share = self.dynamic_scalar(both)
        return F.normalize(correction + share * text_features + (1 - share) * image_features, dim=-1)

    def _drop(self, values: Tensor) -> Tensor:
        return F.dropout(values, self.dropout, self.training)
