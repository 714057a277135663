"""A text side for claims alone: each claim is encoded by itself, and the text is their sum.

The request of a text is the sum of its claims in any order. A transformer has to learn that; here it is built in, so
this side learns from a fraction of the examples (docs/small.md).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autocompose.model.token_ids import token_ids

LONGEST = 16  # tokens of a claim that are told apart by their place
SOT = 49_406  # this and the following number begin and end a text
STOP = token_ids("left.")[-1]  # what stands between claims


class ClaimBag(nn.Module):
    """Embedded tokens of texts -> one vector for each.

    :param width: channels C.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.place = nn.Parameter(1 + 0.3 * torch.randn(LONGEST, width))
        self.claim = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )
        self.all = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, tokens: Tensor, states: Tensor) -> Tensor:
        """
        :param tokens: ``(B, L)`` CLIP token ids, zeros behind the end. :param states: ``(B, L, C)`` their embeddings.
        :return: ``(B, C)``.
        """
        stop = tokens == STOP
        number = stop.cumsum(1)  # of the claim that a token belongs to
        said = (tokens > 0) & (tokens < SOT) & ~stop
        steps = torch.arange(tokens.shape[1], device=tokens.device).expand_as(tokens)
        start = torch.where(stop | (tokens == SOT), steps, 0).cummax(1).values
        place = (steps - start - 1).clamp(0, LONGEST - 1)
        count = int(number.max()) + 1
        slot = (torch.arange(len(tokens), device=tokens.device)[:, None] * count + number)[said]
        present, row = slot.unique(return_inverse=True)
        marked = states[said] * F.embedding(place[said], self.place)
        claims = self.claim(states.new_zeros(len(present), states.shape[-1]).index_add(0, row, marked))
        total = states.new_zeros(len(tokens), states.shape[-1]).index_add(0, present // count, claims)
        return total + self.all(total)
