"""The weights of one network, whatever stands around their names."""

import pytest
import torch

from autocompose.core.errors import CheckpointError
from autocompose.model.checkpoint import save_model
from autocompose.model.combiner import Combiner, ElementwiseSum
from autocompose.model.model import Model
from autocompose.model.weights.foreign_weights import load_combiner, load_encoder
from tests.model.weights.test_foreign_weights import features, resnet, vit

PREFIXES = ["", "module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module.", "model.", "clip_model.", "net.clip."]
WRAPPERS = ["", "state_dict", "model_state_dict", "model", "net", "weights"]


def write(path, state, prefix="", wrapper="", **beside):
    named = {prefix + k: v for k, v in state.items()}
    torch.save({wrapper: named, **beside} if wrapper else {**named, **beside}, path)


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_wrappers_and_prefixes(tmp_path, prefix, wrapper):
    encoder = vit()
    write(tmp_path / "w.pt", encoder.clip.state_dict(), prefix, wrapper, epoch=3)
    assert torch.equal(features(load_encoder(tmp_path / "w.pt")), features(encoder))


def test_wrapped_parts_and_single_layers(tmp_path):
    """``torch.compile`` on the image side alone, activation checkpointing on each block."""
    encoder = vit()

    def wrapped(name):
        name = name.replace("visual.", "visual._orig_mod.", 1) if name.startswith("visual.") else name
        return name.replace("resblocks.0.", "resblocks.0._checkpoint_wrapped_module.")

    torch.save({wrapped(k): v for k, v in encoder.clip.state_dict().items()}, tmp_path / "w.pt")
    assert torch.equal(features(load_encoder(tmp_path / "w.pt")), features(encoder))


def test_optimizer_states_and_other_networks_are_left_out(tmp_path, capsys):
    encoder, state = vit(), vit().clip.state_dict()
    optimizer = torch.optim.AdamW(encoder.parameters())
    inner = {**{f"model.{k}": v for k, v in state.items()}, "model.head.weight": torch.ones(2, 2)}
    torch.save({"state_dict": inner, "optimizer": optimizer.state_dict()}, tmp_path / "w.pt")
    assert torch.equal(features(load_encoder(tmp_path / "w.pt")), features(encoder))
    assert "1 tensors do not belong to the CLIP and are skipped (first: head.weight)" in " ".join(
        capsys.readouterr().err.split()
    )


def test_of_several_sets_the_usual_one_is_used_and_said(tmp_path, capsys):
    state, other = vit().clip.state_dict(), resnet().clip.state_dict()
    torch.save({"state_dict_ema": other, "state_dict": state}, tmp_path / "w.pt")
    assert torch.equal(features(load_encoder(tmp_path / "w.pt")), features(vit()))
    assert "those under 'state_dict' are used" in capsys.readouterr().err
    torch.save({"teacher": state, "student": other}, tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match="several CLIPs, under 'teacher', 'student'; save the one to use alone"):
        load_encoder(tmp_path / "w.pt")


def test_a_scale_saved_as_a_number(tmp_path):
    state = vit().clip.state_dict()
    torch.save({**state, "logit_scale": 3.25}, tmp_path / "w.pt")
    assert load_encoder(tmp_path / "w.pt").clip.logit_scale.item() == 3.25


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_combiner_too(tmp_path, prefix):
    combiner, x = Combiner(4, 8, 12).eval(), torch.randn(3, 4)
    write(tmp_path / "w.pt", combiner.state_dict(), prefix, "model_state_dict")
    assert torch.equal(load_combiner(tmp_path / "w.pt")(x, x), combiner(x, x))


def test_the_weights_of_a_run_folder_stand_for_the_folder(tmp_path):
    """Its model.json knows activation, transform and vocabulary, which the weights alone do not."""
    compact = resnet().with_vocabulary(["raise your left arm"])
    save_model(tmp_path, Model(compact, ElementwiseSum()))
    assert load_encoder(tmp_path / "model.safetensors").config == compact.config
