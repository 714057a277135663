from __future__ import annotations

import pytest

from autocompose.core.text_fields import TEXT_FIELDS, Edit, Source


@pytest.mark.parametrize("edit", list(Edit))
def test_the_way_back_undoes_the_swap_and_keeps_the_mirror(edit: Edit) -> None:
    assert edit.back.back is edit
    assert edit.back.mirrors == edit.mirrors and edit.back.reverses != edit.reverses


def test_field_names_say_what_their_edit_does() -> None:
    assert len(set(TEXT_FIELDS.values())) == len(TEXT_FIELDS)
    for (source, edit), key in TEXT_FIELDS.items():
        assert ("mirror" in key) == edit.mirrors and ("reverse" in key) == edit.reverses
        assert key.startswith("auto") == (source is Source.RULES)
    assert all((Source.MLLM, edit) in TEXT_FIELDS for edit in Edit)
