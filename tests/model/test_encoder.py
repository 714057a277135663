"""The encoder: names, trimmed texts, compact vocabulary."""

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image

from autocompose.core.errors import ConfigError
from autocompose.model.encoder import EOT, Encoder, EncoderConfig, open_clip_name
from autocompose.model.small import SmallSizes, small_config

TINY = SmallSizes(image_size=32, width=8, layers=(1, 1, 1, 1), dim=16, text_width=32, text_layers=2, text_heads=4)
TEXTS = ["Raise your left arm.", "Turn right, then bend both knees a little and look up!", "!?!"]


@pytest.fixture(scope="module")
def encoder():
    return Encoder(small_config(TINY)).eval()


def test_openai_names_mean_quickgelu():
    assert open_clip_name("ViT-B/32") == "ViT-B-32-quickgelu"
    assert open_clip_name("RN50x4") == "RN50x4-quickgelu"
    assert EncoderConfig(arch="ViT-L/14@336px").open_clip_config()["vision_cfg"]["image_size"] == 336
    assert EncoderConfig(arch="RN50").open_clip_config()["quick_gelu"] is True
    assert "quick_gelu" not in EncoderConfig(arch="ViT-B-32").open_clip_config()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"arch": "RN51"}, "RN51.*RN101"),
        ({"arch": "ViT-B-16-SigLIP"}, "tokenizer"),
        ({"arch": "coca_ViT-B-32"}, "captioning"),
        ({"model": {"embed_dim": 8, "vision_cfg": {"wdth": 3}, "text_cfg": {}}}, "wdth"),
        ({"model": {"embed_dim": 8, "text_cfg": {}}}, "vision_cfg"),
        ({"model": {"embed_dim": 8, "vision_cfg": [], "text_cfg": {}}}, "vision_cfg"),
        ({"model": {"embed_dim": "8", "vision_cfg": {}, "text_cfg": {}}}, "embed_dim"),
        ({"model": {"embed_dim": 8, "vision_cfg": {"width": 0}, "text_cfg": {}}}, "refuses"),
        ({"model": {"embed_dim": 8, "vision_cfg": {"joint_pool": "x"}, "text_cfg": {}}}, "joint_pool"),
        ({"model": {"embed_dim": 8, "vision_cfg": {"joint_pool": {}}, "text_cfg": {}}}, "refuses.*image_size"),
        ({"model": {"embed_dim": 10**12, "vision_cfg": {}, "text_cfg": {}}}, "embed_dim.*more than 100,000"),
        ({"model": {"embed_dim": 8, "vision_cfg": {"layers": [1, 10**6]}, "text_cfg": {}}}, "layers.*more than 500"),
        ({"model": {"embed_dim": 8, "vision_cfg": {"mlp_ratio": float("inf")}, "text_cfg": {}}}, "mlp_ratio"),
    ],
)
def test_unusable_architectures_are_named(values, words):
    with pytest.raises(ConfigError, match=words):
        Encoder(EncoderConfig.parse(values))


def test_arch_and_model_exclude_each_other():
    with pytest.raises(ConfigError, match="either arch or model"):
        EncoderConfig.parse({})


def test_trimmed_texts_give_the_features_of_padded_ones(encoder):
    trimmed = encoder.tokenize(TEXTS)
    padded = torch.nn.functional.pad(trimmed, (0, 77 - trimmed.shape[1]))
    assert trimmed.shape[1] < 20
    with torch.no_grad():
        torch.testing.assert_close(encoder.encode_text(trimmed), encoder.clip.encode_text(padded), atol=1e-5, rtol=1e-5)


def test_tokens_equal_open_clips(encoder):
    texts = [*TEXTS, "one two three " * 40]
    ours = encoder.tokenize(texts)
    assert torch.equal(ours, open_clip.tokenize(texts))
    assert ours.shape[1] == 77
    assert ours[3, -1] == EOT
    assert encoder.tokenize([]).shape == (0, 1)


def test_cut_texts_are_counted(encoder, capsys):
    encoder.tokenize(["one two three " * 40, "short"])
    assert "1 of 2 texts have more than 77 tokens" in capsys.readouterr().err


def test_same_seed_same_weights_and_global_state_untouched():
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    one, two, three = (Encoder(small_config(TINY), seed).fingerprint() for seed in (1, 1, 2))
    assert one == two != three
    assert torch.equal(torch.rand(1), expected)


def test_compact_vocabulary_keeps_the_features_of_known_texts(encoder):
    small = encoder.with_vocabulary(TEXTS)
    assert small.clip.token_embedding.num_embeddings < 40
    tokens = small.tokenize(TEXTS)
    with torch.no_grad():
        torch.testing.assert_close(small.encode_text(tokens), encoder.encode_text(tokens))


def test_unknown_words_share_one_row(encoder):
    small = encoder.with_vocabulary(["raise your arm"])
    with torch.no_grad():
        one, two, other = small.encode_text(small.tokenize(["raise your horse", "raise your apple", "raise your arm"]))
    torch.testing.assert_close(one, two)
    assert not torch.allclose(one, other)


def test_a_vocabulary_can_grow(encoder):
    grown = encoder.with_vocabulary(["raise your arm"]).with_vocabulary(["raise your leg"])
    assert len(grown.config.vocabulary) == 5  # start, end, raise, your, leg
    kept = encoder.with_vocabulary(["raise your arm"]).with_vocabulary(["raise your leg"], keep=True)
    assert len(kept.config.vocabulary) == 6  # arm as well
    with torch.no_grad():
        word = encoder.with_vocabulary(["raise your arm"]).encode_text(encoder.tokenize(["raise your"]))
        torch.testing.assert_close(grown.encode_text(grown.tokenize(["raise your"])), word)
        known = encoder.encode_text(encoder.tokenize(["raise your arm"]))
        torch.testing.assert_close(kept.encode_text(kept.tokenize(["raise your arm"])), known)


@pytest.mark.parametrize(
    ("part", "image", "text"), [("both", True, True), ("text", False, True), ("image", True, False)]
)
def test_train_only(encoder, part, image, text):
    encoder.train_only(part)
    grads = {n: p.requires_grad for n, p in encoder.clip.named_parameters()}
    assert grads["visual.conv1.weight"] is image
    assert grads["token_embedding.weight"] is text
    assert grads["logit_scale"] is False
    encoder.train_only("both")


def test_pictures(encoder):
    pixels = encoder.preprocess(Image.fromarray(np.zeros((50, 20, 3), np.uint8)))
    assert pixels.shape == (3, 32, 32)
    with torch.no_grad():
        assert encoder.encode_image(pixels[None]).shape == (1, encoder.dim)
