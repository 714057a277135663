"""The mirrored pair as a witness: described independently, it must move the same parts with left and right swapped.

Agreement proves consistency, not truth: a model that always takes the camera's side agrees with itself, and parts of
both sides that change roles are not seen.
"""

from __future__ import annotations

from collections.abc import Iterable

from autocompose.core.text_fields import Edit
from autocompose.describe.mllm.recording.described import Described, Variant
from autocompose.describe.side_words import swap_sides

TWIN = {Edit.PLAIN: Edit.MIRROR, Edit.REVERSE: Edit.MIRROR_REVERSE}
TWIN |= {mirror: plain for plain, mirror in TWIN.items()}


def agreement(variants: Iterable[Described]) -> dict[Variant, bool]:
    """For each described variant whose mirrored twin is described too: do they move the same parts?"""
    moved: dict[Variant, frozenset[str]] = {}
    for annotation in variants:
        if annotation.state == "done":
            parts = (part for part, _ in annotation.parts)
            moved[annotation.variant] = frozenset(map(swap_sides, parts) if annotation.item.edit.mirrors else parts)
    twins = {key: (*key[:2], TWIN[key[2]]) for key in moved}
    return {key: moved[key] == moved[twin] for key, twin in twins.items() if twin in moved}
