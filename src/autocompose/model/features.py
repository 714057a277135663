"""The feature cache: the output of a frozen encoder, computed once and stored.

The only image augmentation of the method is a flip, so two vectors for each picture and one for each text give the
same training as encoding anew in every epoch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save
from torch import Tensor

from autocompose.core.distributed import in_shares, rank, share_value
from autocompose.core.files import value_hash, write_bytes
from autocompose.core.fingerprint import remembered
from autocompose.model.embed import embed_images, embed_texts
from autocompose.model.encoder import Encoder, has_head
from autocompose.model.small2.pose_net import PoseNet, mirrored


@dataclass(frozen=True)
class ImageFeatures:
    """Un-normalised image features.

    :param plain: ``(N, D)`` float32.
    :param flipped: ``(N, D)`` of the horizontally flipped *preprocessed* pictures, or None.
    """

    plain: Tensor
    flipped: Tensor | None = None

    def rows(self, rows: Tensor, flip: Tensor) -> Tensor:
        """Features ``(B, D)`` of pictures; ``flip`` ``(B,)`` bool chooses the flipped ones."""
        plain = self.plain[rows]
        return plain if self.flipped is None else torch.where(flip[:, None], self.flipped[rows], plain)


def image_features(
    encoder: Encoder,
    paths: Sequence[Path],
    folder: Path | None = None,
    flips: bool = False,
    batch_size: int | None = None,
    trunk: bool = False,
    all_processes: bool = False,
) -> ImageFeatures:
    """Encode pictures, or read features cached with the same weights, pictures, transform and precision.

    Encodes in the precision of the autocast block it is called in, if there is one.

    :param folder: where the cache lies; None keeps nothing.
    :param flips: also encode the flipped pictures.
    :param trunk: stop before the head, which can then train on the cached vectors.
    :param all_processes: all processes that train together ask for these pictures, and share the work.
    :raises ImageError: a picture cannot be opened.
    """
    kind = encoder.device.type
    if trunk and isinstance(encoder.visual, PoseNet) and (flips or torch.is_autocast_enabled(kind)):
        with torch.autocast(kind, enabled=False):  # the estimator computes in fp32
            plain = image_features(encoder, paths, folder, False, batch_size, True, all_processes).plain
        return ImageFeatures(plain, mirrored(plain) if flips else None)  # without a look at the mirrored pictures
    if not trunk and has_head(encoder.visual):  # the head costs nothing: a new one needs no pictures
        cut = image_features(encoder, paths, folder, flips, batch_size, True, all_processes)
        with torch.no_grad():
            parts = [encoder.encode_head(p.to(encoder.device)).cpu() for p in (cut.plain, cut.flipped) if p is not None]
        return ImageFeatures(*parts)
    cached = None
    if folder is not None:  # hashing the weights takes a second: only for what is kept
        made = [encoder.fingerprint("trunk" if trunk else "image"), flips, trunk, *_precision(encoder)]
        cached = folder / f"images-{value_hash([*made, remembered(paths, folder)])[:16]}.safetensors"
    if cached and _there(cached, all_processes):
        return ImageFeatures(**load_file(cached))

    def embed(part: Sequence[Path]) -> Tensor:
        return torch.cat(embed_images(encoder, part, flips, batch_size, trunk), 1)

    both = (in_shares(paths, embed) if all_processes else embed(paths)).chunk(1 + flips, 1)
    features = {key: part.contiguous() for key, part in zip(("plain", "flipped"), both, strict=False)}
    if cached and not (all_processes and rank() > 0):
        write_bytes(cached, save(features))
    return ImageFeatures(**features)


def _precision(encoder: Encoder) -> list[str]:
    """Cache key of an autocast block's precision; empty outside one."""
    kind = encoder.device.type
    return [str(torch.get_autocast_dtype(kind))] if torch.is_autocast_enabled(kind) else []


def _there(cached: Path, all_processes: bool) -> bool:
    """Whether a file of the cache can be read; all processes get the first one's answer."""
    return share_value(cached.exists()) if all_processes else cached.exists()


def text_features(
    encoder: Encoder,
    texts: Sequence[str],
    folder: Path | None = None,
    batch_size: int = 128,
    all_processes: bool = False,
) -> Tensor:
    """Encode texts ``(T, D)`` float32, un-normalised; each batch is trimmed to its longest text. Precision as above.

    :param folder: where the cache lies; None keeps nothing.
    :param all_processes: all processes that train together ask for these texts, and share the work.
    """
    cached = None
    if folder is not None:
        made = [encoder.fingerprint("text"), list(texts), *_precision(encoder)]
        cached = folder / f"texts-{value_hash(made)[:16]}.safetensors"
    if cached and _there(cached, all_processes):
        return load_file(cached)["texts"]
    if all_processes:
        features = in_shares(texts, lambda part: embed_texts(encoder, part, batch_size))
    else:
        features = embed_texts(encoder, texts, batch_size)
    if cached and not (all_processes and rank() > 0):
        write_bytes(cached, save({"texts": features}))
    return features
