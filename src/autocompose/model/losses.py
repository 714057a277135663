"""The contrastive loss over the pictures of a batch, and its cyclic extension."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from autocompose.core.distributed import gather, rank

LOGIT_SCALE = 100.0  # the method's constant for CLIP's features; never learned


def contrastive_loss(
    queries: Tensor, pictures: Tensor, ids: Tensor | None = None, logit_scale: float = LOGIT_SCALE
) -> Tensor:
    """Cross-entropy of picking the own target among all pictures of the batch, over all processes.

    :param queries: ``(B, D)`` normalised; query i asks for picture i.
    :param pictures: ``(B, D)``, normalised here.
    :param ids: ``(B,)`` integers; a column whose id equals that of one's own picture shows the same thing and is no
        negative. None: every other column is a negative.
    :return: the mean over the queries of this process.
    """
    columns = gather(F.normalize(pictures, dim=-1))
    own = torch.arange(len(queries), device=queries.device) + rank() * len(queries)
    with torch.autocast(queries.device.type, enabled=False):  # logits of up to 100 need all their digits
        logits = logit_scale * queries.to(columns.dtype) @ columns.T
    if ids is not None:
        same = ids[:, None] == gather(ids)[None, :]
        same[torch.arange(len(own)), own] = False
        logits = logits.masked_fill(same, float("-inf"))
    return F.cross_entropy(logits, own)


def composed_loss(
    composer: Callable[[Tensor, Tensor], Tensor],
    *,
    reference: Tensor,
    target: Tensor,
    text: Tensor,
    back_text: Tensor | None = None,
    reference_ids: Tensor | None = None,
    target_ids: Tensor | None = None,
    cycle_weight: float = 0.5,
    logit_scale: float = LOGIT_SCALE,
) -> Tensor:
    """The loss of composed retrieval: reference + text finds the target and, with a cycle, comes back again.

    loss = (1 - w) * CE(prediction, targets) + w * CE(composer(prediction, back text), references); without
    ``back_text`` only the first term, unweighted.

    Masks work by column: in the forward term a target equal to one's own is no negative, in the cyclic term a
    reference equal to one's own. Pairs with the same reference and another target stay negatives.

    :param reference, target, text, back_text: ``(B, D)`` un-normalised features.
    :param reference_ids, target_ids: ``(B,)`` what each picture shows; None masks nothing.
    :param logit_scale: factor on the cosines.
    """
    prediction = composer(reference, text)
    forward = contrastive_loss(prediction, target, target_ids, logit_scale)
    if back_text is None:
        return forward
    back = contrastive_loss(composer(prediction, back_text), reference, reference_ids, logit_scale)
    return (1 - cycle_weight) * forward + cycle_weight * back
