"""Packed texts: features and gradients of padded ones, for any lengths."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from autocompose.model.encoder import EOT, SOT, Encoder, EncoderConfig
from autocompose.model.packed import packs
from autocompose.model.small import small_config
from tests.model.test_encoder import TINY


@pytest.fixture(scope="module")
def encoder():
    return Encoder(small_config(TINY)).eval()


def tokens_of(lengths):
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(1, 49_000, (len(lengths), max(lengths)), generator=generator)
    tokens[:, 0] = SOT
    for row, length in enumerate(lengths):
        tokens[row, length - 1] = EOT
        tokens[row, length:] = 0
    return tokens


def features_and_gradients(encoder, encode, tokens):
    encoder.zero_grad()
    features = encode(tokens)
    (features * torch.arange(features.numel()).view_as(features).cos()).sum().backward()
    return features, {n: p.grad.clone() for n, p in encoder.clip.named_parameters() if p.grad is not None}


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(2, 77), min_size=1, max_size=9))
def test_packed_texts_are_padded_texts(encoder, lengths):
    tokens = tokens_of(lengths)
    padded = torch.nn.functional.pad(tokens, (0, 77 - tokens.shape[1]))
    ours, gradients = features_and_gradients(encoder, encoder.encode_text, tokens)
    expected, theirs = features_and_gradients(encoder, encoder.clip.encode_text, padded)
    torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-5)
    assert gradients.keys() == theirs.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, theirs[name], atol=1e-4, rtol=1e-4, msg=name)


def test_texts_in_several_passes_are_texts_in_one(encoder, monkeypatch):
    from autocompose.model import encoder as module

    tokens = tokens_of([5, 9, 3, 12, 7])
    whole = features_and_gradients(encoder, encoder.encode_text, tokens)[0]
    monkeypatch.setattr(module, "CPU_TEXTS", 2)
    torch.testing.assert_close(features_and_gradients(encoder, encoder.encode_text, tokens)[0], whole)


def test_no_text_is_no_feature(encoder):
    assert encoder.encode_text(encoder.tokenize([])).shape == (0, encoder.dim)


def test_checkpointed_blocks_give_the_same_gradients(encoder):
    tokens = tokens_of([5, 9, 3])
    plain = features_and_gradients(encoder, encoder.encode_text, tokens)
    encoder.clip.set_grad_checkpointing(True)
    again = features_and_gradients(encoder, encoder.encode_text, tokens)
    encoder.clip.set_grad_checkpointing(False)
    assert torch.equal(plain[0], again[0])
    for name, gradient in plain[1].items():
        torch.testing.assert_close(again[1][name], gradient, msg=name)


def test_other_text_sides_are_padded():
    """A text side that pools otherwise is left to open_clip, with all its padding."""
    config = small_config(TINY).model_dump(exclude_none=True)
    config["model"]["text_cfg"]["pool_type"] = "last"
    other = Encoder(EncoderConfig(**config)).eval()
    assert not packs(other.clip)
    tokens = tokens_of([5, 9])
    with torch.no_grad():
        padded = other.clip.encode_text(torch.nn.functional.pad(tokens, (0, 77 - 9)))
        torch.testing.assert_close(other.encode_text(tokens), padded)
