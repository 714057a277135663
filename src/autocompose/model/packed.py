"""CLIP's text transformer without padding: it computes real tokens only, and in the last block end tokens only.

The transformer is causal and a text's feature is the state of its end token. So nothing after that token matters, and
in the last block attention needs one query per text. All layers but attention work on single tokens; they get the
tokens of all texts one after the other, ``(T, C)``, and a few spare rows: a CPU builds new kernels for every new
shape, so the numbers of tokens and places are rounded up. The features are those of texts padded to 77
tokens, up to rounding.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import open_clip
import torch
import torch.nn.functional as F
from open_clip.transformer import ResidualAttentionBlock
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.checkpoint import checkpoint

TOKENS, PLACES = 128, 8  # numbers of tokens and of places are multiples of these


def packs(clip: nn.Module) -> bool:
    """Whether the text side is one that ``end_states`` knows: OpenAI's."""
    return (
        isinstance(clip, open_clip.CLIP)
        and clip.text_pool_type == "argmax"
        and clip.attn_mask is not None
        and all(type(block) is ResidualAttentionBlock for block in clip.transformer.resblocks)
    )


@dataclass(frozen=True)
class Packing:
    """Where tokens stand in a table of B texts and L places.

    :param slots: row * L + place of each token, in order. :param ends: ``(B,)`` the tokens that end a text.
    :param spare: unused rows after the tokens; with them there are T.
    """

    texts: int
    places: int
    slots: Tensor
    ends: Tensor
    spare: int

    @classmethod
    def of(cls, tokens: Tensor) -> Packing:
        """Of token ids ``(B, L)``; the end token is the highest number of a row."""
        texts, places = len(tokens), tokens.shape[1] + -tokens.shape[1] % PLACES
        lengths = tokens.argmax(-1) + 1
        there = torch.arange(places, device=tokens.device) < lengths[:, None]
        slots = there.flatten().nonzero()[:, 0]
        return cls(texts, places, slots, lengths.cumsum(0) - 1, -len(slots) % TOKENS)

    def spread(self, values: Tensor) -> Tensor:
        """``(T, C)`` -> the table ``(B * L, C)``, zero where no token is."""
        return values.new_zeros(self.texts * self.places, values.shape[1]).index_copy(
            0, self.slots, values[: len(self.slots)]
        )

    def gathered(self, table: Tensor) -> Tensor:
        """The table ``(B * L, C)`` -> ``(T, C)``, zero in the spare rows."""
        return F.pad(table[self.slots], (0, 0, 0, self.spare))


def end_states(clip: open_clip.CLIP, tokens: Tensor, rows: Tensor) -> Tensor:
    """States of the end tokens behind the last block, ``(B, C)``.

    :param tokens: ``(B, L)`` CLIP token ids, which tell where texts end; ``rows``: their rows of the token embedding.
    """
    packing = Packing.of(tokens)
    slots, blocks = packing.slots, clip.transformer.resblocks
    # F.embedding, not [...]: the gradient of indexing adds up in an order that depends on the threads
    places = F.embedding(slots % packing.places, clip.positional_embedding)
    missing = packing.places - rows.shape[1]
    states = clip.token_embedding(F.pad(rows, (0, missing)).flatten()[slots]) + places
    states = F.pad(states, (0, 0, 0, packing.spare))
    for number, block in enumerate(blocks, 1):
        kept = packing.ends if number == len(blocks) else None
        if clip.transformer.grad_checkpointing and torch.is_grad_enabled():
            states = checkpoint(_block, block, states, packing, kept, use_reentrant=False)
        else:
            states = _block(block, states, packing, kept)
    return states


def _block(block: ResidualAttentionBlock, states: Tensor, packing: Packing, kept: Tensor | None) -> Tensor:
    """One residual block; of its output only the tokens ``kept`` are computed (None: all)."""
    normed = block.ln_1(states)
    if kept is None:
        attended = _attention(block.attn, normed, packing)
    else:
        attended, states = _end_attention(block.attn, normed, packing), states[kept]
    states = states + block.ls_1(block.attn.out_proj(attended))
    return states + block.ls_2(block.mlp(block.ln_2(states)))


def _attention(attention: nn.MultiheadAttention, states: Tensor, packing: Packing) -> Tensor:
    """Causal attention of each text within itself, before the output projection: ``(T, C)`` -> ``(T, C)``."""
    q, k, v = _heads(attention, F.linear(states, attention.in_proj_weight, attention.in_proj_bias), packing)
    with _kernel(q):
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    return packing.gathered(attended.transpose(1, 2).flatten(0, 1).flatten(1))


def _end_attention(attention: nn.MultiheadAttention, states: Tensor, packing: Packing) -> Tensor:
    """The same for the end tokens alone, which see their whole text: ``(T, C)`` -> ``(B, C)``."""
    width, weight, bias = states.shape[1], attention.in_proj_weight, attention.in_proj_bias
    q = F.linear(states[packing.ends], weight[:width], bias[:width])
    q = q.view(packing.texts, 1, attention.num_heads, attention.head_dim).transpose(1, 2)
    k, v = _heads(attention, F.linear(states, weight[width:], bias[width:]), packing)
    there = torch.zeros(packing.texts * packing.places, dtype=torch.bool, device=states.device)
    there[packing.slots] = True
    with _kernel(q):
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=there.view(packing.texts, 1, 1, packing.places))
    return attended.transpose(1, 2).reshape(packing.texts, width)


def _heads(attention: nn.MultiheadAttention, projected: Tensor, packing: Packing) -> Tensor:
    """Projections of tokens side by side, ``(T, n * C)`` -> ``(n, B, heads, L, C / heads)``, zero where no token is."""
    table = packing.spread(projected)
    parts = projected.shape[1] // attention.embed_dim
    split = (packing.texts, packing.places, parts, attention.num_heads, attention.head_dim)
    return table.view(split).permute(2, 0, 3, 1, 4)


def _kernel(queries: Tensor) -> AbstractContextManager[None]:
    """On a CPU, avoid the blocked kernel, whose backward pass takes over twice the time of the whole training step."""
    plain = queries.device.type == "cpu" and torch.is_grad_enabled()
    return sdpa_kernel(SDPBackend.MATH) if plain else nullcontext()
