from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autocompose.core.errors import ConfigError, CorpusError
from autocompose.core.records import Pair
from autocompose.core.text_fields import Edit, Source
from autocompose.train.sampling import TextMode, TripletTable

FIELDS = ("mllm", "reverse", "mirror", "mirror-reverse")


def pairs(n, missing=()):
    made = []
    for i in range(n):
        texts = {f: tuple(f"{f} {i} {k}" for k in range(3)) for f in FIELDS if (i, f) not in missing}
        made.append(Pair(f"r{i}.png", f"t{i}.png", (f"r{i // 4}g", f"t{i // 4}g"), texts))
    return tuple(made)


@pytest.mark.parametrize(
    ("name", "edits"),
    [
        ("mllm_1", {Edit.PLAIN}),
        ("mllm-mirror_3", {Edit.PLAIN, Edit.MIRROR}),
        ("mllm-reverse_5", {Edit.PLAIN, Edit.REVERSE}),
        ("mllm-mirror-reverse_3", set(Edit)),
        ("mllm-reverse-mirror_3", set(Edit)),
        ("reverse-mllm_3", {Edit.PLAIN, Edit.REVERSE}),
        ("mirror-mllm-reverse_03", set(Edit)),
    ],
)
def test_mode_names_of_the_paper(name, edits):
    mode = TextMode.from_name(name)
    assert set(mode.edits) == edits
    assert mode.texts == int(name[-1])


@pytest.mark.parametrize(
    "name", ["mirror_3", "mllm", "mllm_0", "mllm_6", "mllm-mirror-mirror_3", "mllm-mirror-filter_3", "mllm_-1", "mllm_"]
)
def test_other_mode_names_are_refused(name):
    with pytest.raises(ConfigError, match="expected mllm"):
        TextMode.from_name(name)


def test_a_cycle_needs_reverse_texts():
    with pytest.raises(ConfigError, match="reverse = true"):
        TextMode.from_name("mllm-mirror_3", cycle=True)
    with pytest.raises(ConfigError, match="human texts exist only"):
        TextMode.parse({"source": "human", "reverse": True})


def test_pairs_lacking_a_needed_field_are_dropped_and_counted():
    table = TripletTable(pairs(5, {(1, "mirror"), (3, "reverse")}), TextMode.from_name("mllm-reverse_3"))
    assert len(table) == 4
    assert dict(table.tally.dropped) == {"no text in reverse": 1}
    with pytest.raises(CorpusError, match="no pair has all texts"):
        TripletTable(pairs(2), TextMode(source=Source.HUMAN))


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 99), st.integers(0, 9), st.sampled_from([0, 2, 3]), st.booleans())
def test_every_item_is_what_its_edit_says(seed, epoch, per_group, cycle):
    table = TripletTable(pairs(17), TextMode.from_name("mllm-mirror-reverse_3", cycle=cycle))
    for batch in table.epoch(seed, epoch, 5, per_group):
        for row in range(len(batch)):
            field, number, _ = table.texts[batch.text[row]].split()
            edit = {"mllm": Edit.PLAIN}.get(field) or Edit(field)
            expected = (f"r{number}.png", f"t{number}.png")
            got = (table.images[batch.reference[row]], table.images[batch.target[row]])
            assert got == (expected[::-1] if edit.reverses else expected)
            assert batch.flip[row] == edit.mirrors
            if cycle:
                back_field, back_number, _ = table.texts[batch.back[row]].split()
                assert back_number == number
                assert ({"mllm": Edit.PLAIN}.get(back_field) or Edit(back_field)) == edit.back
            else:
                assert batch.back[row] == -1


@pytest.mark.parametrize("per_group", [0, 2])
def test_an_epoch_visits_each_pair_once_and_depends_only_on_its_number(per_group):
    table = TripletTable(pairs(20), TextMode.from_name("mllm_1"))
    seen = np.concatenate([b.reference for b in table.epoch(7, 3, 5, per_group)])
    assert sorted(seen) == list(range(20))
    again = np.concatenate([b.reference for b in table.epoch(7, 3, 5, per_group)])
    other = np.concatenate([b.reference for b in table.epoch(7, 4, 5, per_group)])
    assert (seen == again).all()
    assert (seen != other).any()


def test_grouped_batches_keep_pairs_of_a_group_together():
    table = TripletTable(pairs(64), TextMode.from_name("mllm_1"))
    for batch in table.epoch(0, 0, 16, per_group=4):
        counts = Counter(table.group[batch.reference])
        assert set(counts.values()) == {4}


def test_all_wordings_and_edits_are_drawn_about_equally():
    table = TripletTable(pairs(40), TextMode.from_name("mllm-mirror-reverse_3"))
    drawn = Counter(
        (t.split()[0], t.split()[2])
        for e in range(60)
        for b in table.epoch(0, e, 40)
        for t in np.array(table.texts)[b.text]
    )
    assert len(drawn) == 12
    assert min(drawn.values()) > 0.7 * 60 * 40 / 12


def test_a_batch_larger_than_the_data_is_refused():
    with pytest.raises(ConfigError, match="only 3 training pairs"):
        next(TripletTable(pairs(3), TextMode.from_name("mllm_1")).epoch(0, 0, 4))


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 99), st.integers(0, 6), st.sampled_from([0, 2]), st.booleans())
def test_drawn_texts_are_those_of_all_batches(seed, epochs, per_group, cycle):
    table = TripletTable(pairs(17), TextMode.from_name("mllm-mirror-reverse_3", cycle=cycle))
    batches = [b for epoch in range(epochs) for b in table.epoch(seed, epoch, 5, per_group)]
    expected = {int(t) for b in batches for t in (*b.text, *b.back)} - {-1}
    assert table.drawn(seed, epochs, 5, per_group).tolist() == sorted(expected)
