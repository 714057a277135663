"""CLIPModel of Hugging Face transformers: the same network under other names."""

import json

import pytest
import torch
from safetensors.torch import save_file

from autocompose.core.errors import CheckpointError
from autocompose.model.encoder import Encoder, EncoderConfig
from autocompose.model.weights.foreign_weights import load_encoder
from tests.model.weights.test_foreign_weights import VIT, features, vit


def their_names(state):
    """The slow way round: OpenAI's tensors under the names and in the shapes that CLIPModel saves, one by one."""
    found = {"logit_scale": state["logit_scale"]}
    found["text_model.embeddings.token_embedding.weight"] = state["token_embedding.weight"]
    found["text_model.embeddings.position_embedding.weight"] = state["positional_embedding"]
    found["text_model.embeddings.position_ids"] = torch.arange(77)[None]
    found["vision_model.embeddings.class_embedding"] = state["visual.class_embedding"]
    found["vision_model.embeddings.patch_embedding.weight"] = state["visual.conv1.weight"]
    found["vision_model.embeddings.position_embedding.weight"] = state["visual.positional_embedding"]
    found["text_projection.weight"] = state["text_projection"].T
    found["visual_projection.weight"] = state["visual.proj"].T
    for kind in ("weight", "bias"):
        found[f"text_model.final_layer_norm.{kind}"] = state[f"ln_final.{kind}"]
        found[f"vision_model.pre_layrnorm.{kind}"] = state[f"visual.ln_pre.{kind}"]
        found[f"vision_model.post_layernorm.{kind}"] = state[f"visual.ln_post.{kind}"]
        for side, blocks, count in (("text", "transformer", 1), ("vision", "visual.transformer", 2)):
            for n in range(count):
                ours, theirs = f"{blocks}.resblocks.{n}", f"{side}_model.encoder.layers.{n}"
                for part, rows in zip("qkv", state[f"{ours}.attn.in_proj_{kind}"].chunk(3), strict=True):
                    found[f"{theirs}.self_attn.{part}_proj.{kind}"] = rows
                found[f"{theirs}.self_attn.out_proj.{kind}"] = state[f"{ours}.attn.out_proj.{kind}"]
                found[f"{theirs}.layer_norm1.{kind}"] = state[f"{ours}.ln_1.{kind}"]
                found[f"{theirs}.layer_norm2.{kind}"] = state[f"{ours}.ln_2.{kind}"]
                found[f"{theirs}.mlp.fc1.{kind}"] = state[f"{ours}.mlp.c_fc.{kind}"]
                found[f"{theirs}.mlp.fc2.{kind}"] = state[f"{ours}.mlp.c_proj.{kind}"]
    return {name: tensor.contiguous() for name, tensor in found.items()}


def config(**changes):
    sides = {"hidden_act": "quick_gelu", "hidden_size": 64, "num_attention_heads": 1}
    return json.dumps({"model_type": "clip", "text_config": sides | changes, "vision_config": sides | changes})


@pytest.mark.parametrize("prefix", ["", "module.", "clip."])
def test_a_file_of_theirs_loads(tmp_path, prefix):
    state = their_names(vit().clip.state_dict())
    torch.save({prefix + k: v for k, v in state.items()}, tmp_path / "pytorch_model.bin")
    assert torch.equal(features(load_encoder(tmp_path / "pytorch_model.bin")), features(vit()))


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_a_downloaded_repository_loads(tmp_path, name):
    (save_file if name.endswith("s") else torch.save)(their_names(vit().clip.state_dict()), tmp_path / name)
    (tmp_path / "config.json").write_text(config())
    assert torch.equal(features(load_encoder(tmp_path)), features(vit()))


@pytest.mark.parametrize(("heads", "act"), [(2, "gelu"), (1, "gelu"), (2, "quick_gelu")])
def test_activation_and_heads_come_from_the_file_beside(tmp_path, heads, act):
    values = json.loads(json.dumps(VIT)) | {"quick_gelu": act == "quick_gelu"}
    values["text_cfg"]["heads"], values["vision_cfg"]["head_width"] = heads, 64 // heads
    encoder = Encoder(EncoderConfig(model=values), seed=2).eval()
    torch.save(their_names(encoder.clip.state_dict()), tmp_path / "w.bin")
    (tmp_path / "config.json").write_text(config(hidden_act=act, num_attention_heads=heads))
    assert torch.equal(features(load_encoder(tmp_path / "w.bin")), features(encoder))
    if act == "gelu":
        with pytest.raises(CheckpointError, match="activation is GELU, the flags say QuickGELU"):
            load_encoder(tmp_path / "w.bin", vit().config)


def test_what_is_another_model_is_said(tmp_path):
    state = their_names(vit().clip.state_dict())
    del state["vision_model.encoder.layers.1.self_attn.k_proj.bias"]
    torch.save(state, tmp_path / "w.bin")
    with pytest.raises(CheckpointError, match=r"Hugging Face .* without .*layers\.1\.self_attn\.k_proj\.bias"):
        load_encoder(tmp_path / "w.bin")
    whole = their_names(vit().clip.state_dict())
    torch.save({**whole, "vision_model.head.probe": torch.ones(2)}, tmp_path / "w.bin")
    with pytest.raises(CheckpointError, match=r"not of a CLIPModel \(vision_model\.head\.probe\)"):
        load_encoder(tmp_path / "w.bin")
    small = {k: v for k, v in state.items() if k.startswith("text_model.emb") or k == "logit_scale"}
    torch.save(small, tmp_path / "w.bin")
    with pytest.raises(CheckpointError, match=r"Hugging Face transformers.*is missing"):
        load_encoder(tmp_path / "w.bin")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"model_type": "siglip"}', "a siglip model of Hugging Face transformers"),
        ('{"model_type": "clip"}', "without model.safetensors or pytorch_model.bin"),
        ("[1, 2]", "model.json: model file not found"),
    ],
)
def test_a_repository_that_cannot_be_read(tmp_path, text, words):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match=words):
        load_encoder(tmp_path)
