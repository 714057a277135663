"""Weight files of others: read safely, understood by shape, written back."""

import os
import pickle
import zipfile

import pytest
import torch

from autocompose.core.errors import CheckpointError
from autocompose.corpus.pictures.transforms import Transform
from autocompose.model.checkpoint import save_model
from autocompose.model.combiner import Combiner, ElementwiseSum
from autocompose.model.encoder import Encoder, EncoderConfig
from autocompose.model.model import Model
from autocompose.model.small import SmallSizes, small_config
from autocompose.model.weights.foreign_weights import (
    check_same,
    config_of,
    export_state,
    load_combiner,
    load_encoder,
    round_to_fp16,
    write_authors_format,
)
from autocompose.model.weights.weight_files import read_archive

# 64 channels to a head, as the published files mean
SIZES = SmallSizes(image_size=32, width=8, layers=(1, 2, 1, 1), dim=16, text_width=64, text_layers=2, text_heads=1)
TEXTS = ["Raise your left arm.", "Bend both knees and look up."]
VIT = {
    "embed_dim": 16,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 1},
}


def resnet():
    return Encoder(small_config(SIZES), seed=1).eval()


def vit():
    return Encoder(EncoderConfig(model=VIT), seed=2).eval()


def features(encoder):
    pixels = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return torch.cat([encoder.encode_image(pixels), encoder.encode_text(encoder.tokenize(TEXTS))])


@pytest.mark.parametrize("build", [resnet, vit])
def test_the_authors_format_there_and_back(tmp_path, build):
    encoder = build()
    combiner = Combiner(16, 8, 12).eval()
    clip_file, combiner_file = write_authors_format(tmp_path, Model(encoder, combiner), 7)
    assert (clip_file.name, combiner_file.name) == ("tuned_clip_7.pt", "combiner_7.pt")
    content = torch.load(clip_file, weights_only=True)
    assert content["epoch"] == 7
    assert {"visual.conv1.weight", "token_embedding.weight", "logit_scale"} <= content["CLIP"].keys()
    assert torch.equal(features(load_encoder(clip_file)), features(encoder))
    again = load_combiner(combiner_file, dim=16, sizes=(8, 12))
    x = torch.randn(3, 16)
    assert torch.equal(again(x, x), combiner(x, x))


def test_a_sum_has_no_combiner_file(tmp_path):
    assert len(write_authors_format(tmp_path, Model(resnet(), ElementwiseSum()), 1)) == 1


def test_a_compact_vocabulary_is_spread_on_export(tmp_path):
    compact = resnet().with_vocabulary([TEXTS[0]])
    (path,) = write_authors_format(tmp_path, Model(compact, ElementwiseSum()), 1)
    again = load_encoder(path)
    assert again.clip.token_embedding.num_embeddings == 49408
    torch.testing.assert_close(features(again), features(compact))


def test_what_the_format_cannot_say_is_not_exported():
    odd = SmallSizes(image_size=32, width=8, dim=16, text_width=64, text_layers=1, text_heads=4)
    with pytest.raises(CheckpointError, match="text heads would be read as 1 instead of 4"):
        export_state(Encoder(small_config(odd)))
    gelu = small_config(SIZES).model_copy(update={"quick_gelu": False})
    with pytest.raises(CheckpointError, match="activation would be read as QuickGELU instead of GELU"):
        export_state(Encoder(gelu))


@pytest.mark.parametrize("name", ["RN50", "RN101", "RN50x4", "ViT-B/32", "ViT-B/16", "ViT-L/14", "ViT-L/14@336px"])
def test_shapes_tell_the_papers_backbones(name):
    with torch.device("meta"):
        encoder = Encoder(EncoderConfig(arch=name))
    assert config_of(encoder.clip.state_dict(), name).arch == name


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("build", [resnet, vit])
def test_torchscript_archives_are_read_without_running(tmp_path, build, half):
    encoder = build()
    encoder.clip.forward = lambda image, text: (encoder.clip.encode_image(image), encoder.clip.encode_text(text))
    tokens = torch.nn.functional.pad(encoder.tokenize(TEXTS), (0, 77))[:, :77]
    traced = torch.jit.trace(encoder.clip, (torch.randn(2, 3, 32, 32), tokens), check_trace=False)
    (traced.half() if half else traced).save(str(tmp_path / "model.pt"))
    again = load_encoder(tmp_path / "model.pt")
    if half:
        for parameter in encoder.clip.parameters():
            parameter.data = parameter.data.half().float()
        for buffer in encoder.clip.visual.buffers():
            if buffer.is_floating_point():
                buffer.copy_(buffer.half().float())
    assert torch.equal(features(again), features(encoder))


@pytest.mark.parametrize(
    "wrap", [lambda s: s, lambda s: {"state_dict": {f"module.{k}": v for k, v in s.items()}, "epoch": 3}]
)
def test_state_dicts_load(tmp_path, wrap):
    encoder = resnet()
    torch.save(wrap(encoder.clip.state_dict()), tmp_path / "w.pt")
    assert torch.equal(features(load_encoder(tmp_path / "w.pt")), features(encoder))


def test_safetensors_load(tmp_path):
    from safetensors.torch import save_file

    encoder = vit()
    save_file(export_state(encoder), tmp_path / "w.safetensors")
    assert torch.equal(features(load_encoder(tmp_path / "w.safetensors")), features(encoder))


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def test_code_in_a_torch_file_does_not_run(tmp_path, capsys):
    torch.save({"CLIP": Bomb(tmp_path / "ran")}, tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match=r"no weights of a CLIP.*it holds no tensors"):
        load_encoder(tmp_path / "w.pt")
    assert "it also contains posix.system" in capsys.readouterr().err
    assert not (tmp_path / "ran").exists()


def test_code_in_a_torchscript_archive_does_not_run(tmp_path, capsys):
    with zipfile.ZipFile(tmp_path / "w.pt", "w") as archive:
        archive.writestr("w/constants.pkl", b"")
        archive.writestr("w/data.pkl", pickle.dumps(Bomb(tmp_path / "ran"), protocol=2))
    assert read_archive(tmp_path / "w.pt") == {}
    assert "it also contains posix.system" in capsys.readouterr().err
    assert not (tmp_path / "ran").exists()


def test_wrong_contents_are_named(tmp_path):
    torch.save({"epoch": 3}, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match=r"no weights of a CLIP.*it holds no tensors"):
        load_encoder(tmp_path / "a.pt")
    torch.save({"Combiner": Combiner(4, 8, 8).state_dict()}, tmp_path / "c.pt")
    with pytest.raises(CheckpointError, match=r"no weights of a CLIP.*it holds Combiner\.text_projection_layer"):
        load_encoder(tmp_path / "c.pt")
    torch.save({"x": torch.ones(2)}, tmp_path / "x.pt")
    with pytest.raises(CheckpointError, match=r"none is called visual\.conv1\.weight; it holds x"):
        load_encoder(tmp_path / "x.pt")
    with pytest.raises(CheckpointError, match="no weights of a Combiner"):
        load_combiner(tmp_path / "x.pt")
    with pytest.raises(CheckpointError, match="not found"):
        load_encoder(tmp_path / "no.pt")
    torch.save({"visual.conv1.weight": torch.ones(2, 2), "visual.proj": torch.ones(2)}, tmp_path / "y.pt")
    with pytest.raises(CheckpointError, match="not the weights of a CLIP, by their shapes"):
        load_encoder(tmp_path / "y.pt")


def test_one_missing_and_one_misshapen_tensor(tmp_path):
    state = resnet().clip.state_dict()
    del state["ln_final.bias"]
    state["logit_scale"] = torch.ones(3)
    torch.save({"CLIP": state}, tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match=r"1 missing \(first: ln_final.bias\); 1 of another shape.*logit_scale"):
        load_encoder(tmp_path / "w.pt")


def test_flags_that_contradict_a_file_are_named(tmp_path):
    write_authors_format(tmp_path, Model(resnet(), Combiner(16, 8, 12)), 1)
    wider = small_config(SIZES.model_copy(update={"width": 16, "text_layers": 1}))
    with pytest.raises(CheckpointError, match="vision width is 8, the flags say 16; text layers is 2, the flags say 1"):
        load_encoder(tmp_path / "tuned_clip_1.pt", wider)
    gelu = small_config(SIZES).model_copy(update={"quick_gelu": False})
    with pytest.raises(CheckpointError, match="activation is QuickGELU, the flags say GELU"):
        load_encoder(tmp_path / "tuned_clip_1.pt", gelu)
    with pytest.raises(CheckpointError, match=r"are \(8, 12\), the flags say \(2560, 5120\)"):
        load_combiner(tmp_path / "combiner_1.pt", sizes=(2560, 5120))
    with pytest.raises(CheckpointError, match="features of size 16, but the encoder's have size 1024"):
        load_combiner(tmp_path / "combiner_1.pt", dim=1024)


def test_flags_decide_what_a_bare_state_dict_cannot_say(tmp_path):
    gelu = small_config(SIZES).model_copy(update={"quick_gelu": False, "transform": Transform.SQUARE})
    torch.save(Encoder(gelu).clip.state_dict(), tmp_path / "w.pt")
    assert load_encoder(tmp_path / "w.pt", gelu).config == gelu


def test_flags_that_contradict_a_run_folder_are_named(tmp_path):
    compact = resnet().with_vocabulary(TEXTS)
    save_model(tmp_path, Model(compact, ElementwiseSum()))
    assert torch.equal(features(load_encoder(tmp_path, small_config(SIZES))), features(compact))
    with pytest.raises(CheckpointError, match="transform is squarepad, the flags say targetpad"):
        load_encoder(tmp_path, small_config(SIZES, Transform.TARGETPAD))
    with pytest.raises(CheckpointError, match="element-wise sum, not a Combiner"):
        load_combiner(tmp_path)


def test_names_are_in_the_message():
    with pytest.raises(CheckpointError, match="RN101, the flags say RN50"):
        check_same(EncoderConfig(arch="RN101"), EncoderConfig(arch="RN50"), "x.pt")


def test_rounding_touches_what_the_reference_holds_in_half_precision():
    encoder = round_to_fp16(vit())
    state = encoder.clip.state_dict()

    def rounded(name):
        return torch.equal(state[name], state[name].half().float())

    layer = "transformer.resblocks.0"
    chosen = ["visual.conv1.weight", "visual.proj", "text_projection", f"{layer}.attn.in_proj_weight"]
    chosen += [f"{layer}.attn.out_proj.weight", f"{layer}.mlp.c_fc.weight"]
    assert all(rounded(name) for name in chosen)
    assert not any(rounded(name) for name in ("token_embedding.weight", "positional_embedding"))
