"""A real llama.cpp vision server with a tiny random LLaVA, made from nothing: noise for words, but a real protocol.

``python -m tests.describe.mllm.llama_server FOLDER PORT`` writes two GGUF files of half a megabyte and serves them.
"""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[3]
WIDTH, HEADS, LAYERS, FEED, CONTEXT, SLOTS = 64, 4, 2, 128, 4096, 8
IMAGE, PATCH = 56, 14
CHAT = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant: "


def write_text_model(path: Path) -> None:
    import gguf

    rng = np.random.default_rng(0)
    writer = gguf.GGUFWriter(path, "llama")
    characters = [chr(c) for c in range(33, 127)]
    tokens = ["<unk>", "<s>", "</s>", "<pad>", *characters, "Ġ", "Ċ", "th", "in", "er", "an"]
    kinds = [gguf.TokenType.CONTROL] * 4 + [gguf.TokenType.NORMAL] * (len(tokens) - 4)
    writer.add_context_length(CONTEXT * SLOTS)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([int(k) for k in kinds])
    writer.add_token_merges(["t h", "i n", "e r", "a n"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_pad_token_id(3)
    writer.add_chat_template(CHAT)

    def random(name: str, *shape: int) -> None:
        writer.add_tensor(name, rng.normal(0, 0.3, shape).astype(np.float32))

    random("token_embd.weight", len(tokens), WIDTH)
    random("output.weight", len(tokens), WIDTH)
    writer.add_tensor("output_norm.weight", np.ones(WIDTH, np.float32))
    for i in range(LAYERS):
        for norm in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"blk.{i}.{norm}.weight", np.ones(WIDTH, np.float32))
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            random(f"blk.{i}.{name}.weight", WIDTH, WIDTH)
        random(f"blk.{i}.ffn_gate.weight", FEED, WIDTH)
        random(f"blk.{i}.ffn_up.weight", FEED, WIDTH)
        random(f"blk.{i}.ffn_down.weight", WIDTH, FEED)
    _write(writer)


def write_projector(path: Path) -> None:
    import gguf

    rng = np.random.default_rng(1)
    writer = gguf.GGUFWriter(path, "clip")
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_bool("clip.has_llava_projector", True)
    writer.add_string("clip.projector_type", "mlp")
    writer.add_bool("clip.use_gelu", False)
    for key, value in {
        "image_size": IMAGE, "patch_size": PATCH, "embedding_length": WIDTH, "feed_forward_length": FEED,
        "projection_dim": WIDTH, "block_count": LAYERS, "attention.head_count": HEADS,
    }.items():  # fmt: skip
        writer.add_uint32(f"clip.vision.{key}", value)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-5)
    writer.add_array("clip.vision.image_mean", [0.48, 0.46, 0.41])
    writer.add_array("clip.vision.image_std", [0.27, 0.26, 0.28])

    def random(name: str, *shape: int) -> None:
        writer.add_tensor(name, rng.normal(0, 0.1, shape).astype(np.float32))

    random("v.patch_embd.weight", WIDTH, 3, PATCH, PATCH)
    random("v.class_embd", WIDTH)
    random("v.position_embd.weight", (IMAGE // PATCH) ** 2 + 1, WIDTH)
    for norm in ("v.pre_ln", "v.post_ln", *(f"v.blk.{i}.ln{k}" for i in range(LAYERS) for k in (1, 2))):
        random(f"{norm}.weight", WIDTH)
        random(f"{norm}.bias", WIDTH)
    shapes = {f"attn_{x}": (WIDTH, WIDTH) for x in ("q", "k", "v", "out")}
    shapes |= {"ffn_up": (FEED, WIDTH), "ffn_down": (WIDTH, FEED)}
    for i in range(LAYERS):
        for name, shape in shapes.items():
            random(f"v.blk.{i}.{name}.weight", *shape)
            random(f"v.blk.{i}.{name}.bias", shape[0])
    for name in ("mm.0", "mm.2"):
        random(f"{name}.weight", WIDTH, WIDTH)
        random(f"{name}.bias", WIDTH)
    _write(writer)


def _write(writer: object) -> None:
    writer.write_header_to_file()  # type: ignore[attr-defined]
    writer.write_kv_data_to_file()  # type: ignore[attr-defined]
    writer.write_tensors_to_file()  # type: ignore[attr-defined]
    writer.close()  # type: ignore[attr-defined]


def serve(folder: Path, port: int, embedding: bool = False) -> None:
    from xllamacpp import CommonParams, Server, llama_pooling_type

    parameters = CommonParams()
    parameters.model.path = str(folder / "text.gguf")
    parameters.mmproj.path = str(folder / "eyes.gguf")
    parameters.port = port
    parameters.n_parallel = SLOTS
    parameters.n_ctx = CONTEXT * SLOTS
    parameters.warmup = False
    parameters.n_gpu_layers = 0
    parameters.cpuparams.n_threads = 1
    parameters.cpuparams_batch.n_threads = 1
    parameters.cpuparams.poll = parameters.cpuparams_batch.poll = 0
    if embedding:
        parameters.embedding, parameters.pooling_type = True, llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    server = Server(parameters)
    print(server, flush=True)
    while True:
        time.sleep(60)


@contextmanager
def llama_server(folder: Path, port: int, embedding: bool = False) -> Iterator[str]:
    """The server as a process of its own; yields its address.

    :param embedding: it serves embeddings in place of completions.
    """
    write_text_model(folder / "text.gguf")
    write_projector(folder / "eyes.gguf")
    command = [sys.executable, "-m", "tests.describe.mllm.llama_server", str(folder), str(port)]
    command += ["embedding"] if embedding else []
    with open(folder / "log.txt", "wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
        try:
            _wait(f"http://127.0.0.1:{port}/health", process, folder / "log.txt")
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.kill()
            process.wait(10)


def _wait(url: str, process: subprocess.Popen, log: Path, seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                if answer.status == 200:
                    return
        except OSError:
            pass
        if process.poll() is not None:
            break
        time.sleep(0.1)
    raise RuntimeError(f"the server did not start: {log.read_text('utf-8', 'replace')[-2000:]}")


if __name__ == "__main__":
    serve(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:] == ["embedding"])
