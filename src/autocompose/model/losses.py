"""The contrastive loss over the pictures of a batch, and the loss of composed retrieval: hops from picture to picture.

    reference --text--> target --text of the way back--> reference

A further hop of the cycle is one more ``Hop`` in ``cycle``, and its texts in ``train/sampling.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Hop:
    """One text, and the picture that it leads to; a batch of them.

    :param text: ``(B, D)`` un-normalised features of the text.
    :param picture: ``(B, D)`` un-normalised features of the picture that must be ranked first.
    :param ids: ``(B,)`` what each picture shows; one with the id of one's own is no negative. None masks nothing.
    :param weight: of the hop's term in the loss.
    """

    text: Tensor
    picture: Tensor
    ids: Tensor | None = None
    weight: float = 1.0


def cycle(
    texts: Sequence[Tensor],
    reference: Tensor,
    target: Tensor,
    ids: tuple[Tensor | None, Tensor | None] = (None, None),
    cycle_weight: float = 0.5,
) -> list[Hop]:
    """The hops of a batch: to the target and, when there is a second text, back to the reference.

    :param texts: features ``(B, D)`` of each hop's texts, one or two.
    :param ids: what the references and the targets show. Masks work by column: pairs with the same reference and
        another target stay negatives on the way there.
    :param cycle_weight: w of loss = (1 - w) * there + w * back; one hop alone has weight 1.
    """
    if len(texts) == 1:
        return [Hop(texts[0], target, ids[1])]
    there, back = texts
    return [Hop(there, target, ids[1], 1 - cycle_weight), Hop(back, reference, ids[0], cycle_weight)]


def cyclic_loss(
    composer: Callable[[Tensor, Tensor], Tensor],
    reference: Tensor,
    hops: Iterable[Hop],
    logit_scale: float = LOGIT_SCALE,
) -> Tensor:
    """Sum over the hops of weight * contrastive loss; each hop starts from the prediction of the one before.

    :param composer: (features, text features) -> normalised prediction, all ``(B, D)``.
    :param reference: ``(B, D)`` un-normalised features, where the first hop starts.
    :param logit_scale: factor on the cosines.
    """
    place, terms = reference, []
    for hop in hops:
        place = composer(place, hop.text)
        terms.append(hop.weight * contrastive_loss(place, hop.picture, hop.ids, logit_scale))
    return sum(terms[1:], terms[0])
