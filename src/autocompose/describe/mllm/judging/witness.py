"""The mirrored pair as a witness: asked apart, it must move the same parts with left and right exchanged.

Agreement proves consistency, not truth: a model that always takes the camera's side agrees with itself, and parts of
both sides that change roles are not seen.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any

from autocompose.core.records import Edit
from autocompose.describe.side_words import swap_sides

TWIN = {Edit.PLAIN: Edit.MIRROR, Edit.REVERSE: Edit.MIRROR_REVERSE}
TWIN |= {mirror: plain for plain, mirror in TWIN.items()}
Variant = tuple[str, str, Edit]
"""Reference, target, edit."""


def agreement(rows: Iterable[Mapping[str, Any] | sqlite3.Row]) -> dict[Variant, bool]:
    """For each described variant whose mirrored twin is described too: do they move the same parts?

    :param rows: items of the journal.
    """
    moved: dict[Variant, frozenset[str]] = {}
    for row in rows:
        if row["state"] == "done":
            edit = Edit(row["edit"])
            parts = (part for part, _ in json.loads(row["parts"]))
            moved[row["reference"], row["target"], edit] = frozenset(map(swap_sides, parts) if edit.mirrors else parts)
    twins = {key: (*key[:2], TWIN[key[2]]) for key in moved}
    return {key: moved[key] == moved[twin] for key, twin in twins.items() if twin in moved}
