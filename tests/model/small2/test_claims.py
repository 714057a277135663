"""Claims as texts, and the text side that reads them one by one."""

import doctest

import pytest
import torch

from autocompose.describe.reading.claims import Claim
from autocompose.describe.side_words import swap_sides
from autocompose.model.encoder import shown
from autocompose.model.small import SmallSizes, small_encoder
from autocompose.model.small2 import claim_text
from autocompose.model.small2.claim_text import written

TEXTS = ["Raise your left arm.", "Bend your right knee a little, then bring your left hand close to your hip."]


def test_the_examples_hold():
    assert doctest.testmod(claim_text).failed == 0


def test_a_mirrored_claim_is_written_mirrored():
    claims = [
        Claim("hand", "left", "near", "knee", "right"),
        Claim("arm", "right", "right-angle"),
        Claim("body", "none", "turn-left"),
    ]
    assert swap_sides(written(claims)) == written([claim.swapped() for claim in claims])


def test_what_is_shown():
    assert shown("words", "claims", "claims") == "claims"
    assert shown("words", "", "claims") == "words"
    assert shown("words", "claims", "both") == "claims ; words"
    assert shown("words", "claims", "words") == "words"


@pytest.fixture(scope="module")
def encoder():
    sizes = SmallSizes(image_size=256, pose={}, reads="claims", claim_bag=True, dim=16, text_width=16)
    return small_encoder(sizes, TEXTS).eval()


@torch.no_grad()
def test_the_order_of_claims_does_not_matter(encoder):
    one, other = encoder.tokens_of(["left arm up. right knee bend slight", "right knee bend slight. left arm up"])
    assert torch.allclose(*encoder.encode_text(torch.stack([one, other])), atol=1e-6)


@torch.no_grad()
def test_padding_changes_nothing_and_texts_without_tokens_are_finite(encoder):
    alone = encoder.encode_text(encoder.tokens_of(["left arm up"]))
    beside = encoder.encode_text(
        encoder.tokens_of(["left arm up", "right knee bend slight. left arm up. left arm up", ""])
    )
    assert torch.allclose(alone[0], beside[0], atol=1e-6) and torch.isfinite(beside).all()


@torch.no_grad()
def test_wordings_of_one_claim_have_one_feature(encoder):
    assert torch.equal(*encoder.encode_text(encoder.tokenize(["Raise your left arm.", "Please raise the left arm!"])))
