"""The four commands of the paper, option for option, over this library.

They keep the paper's protocol: no validation split (the test split is watched during training), the last epoch is kept,
no learning-rate schedule, no masking of false negatives. ``autocompose finetune / train / evaluate`` do better.

Options that ``--help`` calls "ours" are additions; everything else has the paper's name and default.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from autocompose.core.errors import AutocomposeError, ConfigError
from autocompose.core.log import escape_output, say

DATASETS = ("fixmypose", "aist", "posefix")
TRANSFORMS = ("clip", "squarepad", "square", "targetpad")
METRICS = (
    "group_recall_at1",
    "group_recall_at3",
    "group_recall_at5",
    "recall_at1",
    "recall_at5",
    "recall_at10",
    "recall_at50",
)
PROTOCOL = "the paper's protocol: the test split is watched while training, and the last epoch is kept"


def clip_fine_tune(argv: list[str] | None = None) -> int:
    """``python src/clip_fine_tune.py``."""
    parser = _common("Stage 1: fine-tune CLIP.")
    _training(parser, epochs=300, batch_size=512, validation_frequency=1)
    parser.add_argument("--encoder", choices=("both", "text", "image"), default="both", help="which encoder trains")
    parser.add_argument("--learning-rate", type=float, default=2e-6, help="learning rate of AdamW")
    return _run(_clip_fine_tune, parser, argv)


def combiner_train(argv: list[str] | None = None) -> int:
    """``python src/combiner_train.py``."""
    parser = _common("Stage 2: train the Combiner on frozen CLIP.")
    _training(parser, epochs=300, batch_size=1024, validation_frequency=3)
    _combiner_sizes(parser)
    parser.add_argument("--clip-model-path", type=Path, help="fine-tuned CLIP; default: original CLIP")
    parser.add_argument("--combiner-lr", type=float, default=2e-5, help="learning rate of Adam")
    parser.add_argument("--clip-bs", type=_at_least(1), default=32, help="pictures that CLIP encodes at a time")
    parser.add_argument("--combiner-model-path", type=Path, help="initial weights")
    return _run(_combiner_train, parser, argv)


def clip_test(argv: list[str] | None = None) -> int:
    """``python src/clip_test.py``."""
    parser = _common("Evaluate a fine-tuned CLIP with the element-wise sum.")
    parser.add_argument("--clip-model-path", type=Path, required=True, help="fine-tuned CLIP")
    _selection(parser)
    return _run(_clip_test, parser, argv)


def combiner_test(argv: list[str] | None = None) -> int:
    """``python src/combiner_test.py``."""
    parser = _common("Evaluate a Combiner.")
    _combiner_sizes(parser)
    parser.add_argument("--clip-model-path", type=Path, required=True, help="fine-tuned CLIP")
    parser.add_argument("--combiner-model-path", type=Path, required=True, help="trained Combiner")
    _selection(parser)
    return _run(_combiner_test, parser, argv)


class _Parser(argparse.ArgumentParser):
    """A wrong option is one line."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; --help lists the options")


class _Help(argparse.ArgumentDefaultsHelpFormatter):
    """Shows every default."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default in (None, "") else super()._get_help_string(action)


def _at_least(minimum: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.isdecimal() or int(text) < minimum:
            raise argparse.ArgumentTypeError(f"{text!r}: expected an integer >= {minimum}")
        return int(text)

    return number


def _common(purpose: str) -> argparse.ArgumentParser:
    parser = _Parser(description=purpose, formatter_class=_Help)
    parser.add_argument("--dataset", type=str.lower, choices=DATASETS, required=True, help="reads NAME_dataset/")
    parser.add_argument("--experiment-name", default="", help="name for the folder below models/")
    parser.add_argument("--clip-model-name", default="RN50x4", help="RN50, ViT-B/32 ... or an open_clip name")
    parser.add_argument("--transform", choices=TRANSFORMS, default="targetpad", help="how a picture becomes square")
    parser.add_argument("--target-ratio", type=float, default=1.25, help="largest aspect ratio that targetpad keeps")
    parser.add_argument("--val-split", default="test", help="split of the queries")
    parser.add_argument("--weights-fp16", action="store_true", help="ours: round weights as the reference does on GPUs")
    return parser


def _training(parser: argparse.ArgumentParser, epochs: int, batch_size: int, validation_frequency: int) -> None:
    parser.epilog = f"Keeps {PROTOCOL}."
    parser.add_argument("--num-epochs", type=_at_least(1), default=epochs, help="passes over the training pairs")
    parser.add_argument("--batch-size", type=_at_least(1), default=batch_size, help="pairs in a batch")
    parser.add_argument(
        "--validation-frequency", type=_at_least(1), default=validation_frequency, help="epochs between validations"
    )
    parser.add_argument(
        "--save-training", action="store_true", help="write the last epoch's weights, as a model and into saved_models/"
    )
    parser.add_argument("--train-split", default="train", help="split of the training pairs")
    parser.add_argument(
        "--mllm-mode", default="none", help="mllm[-mirror][-reverse]_k with k from 1 to 5, words in any order"
    )
    parser.add_argument("--use-cycle-loss", action="store_true", help="add the cyclic loss")
    parser.add_argument("--cycle-loss-weight", type=float, default=0.5, help="weight of the return hop, 0 to 1")
    parser.add_argument("--use-auto-sents", type=int, default=0, help="rule-based texts per pair; posefix only")
    parser.add_argument("--use-human-sents", type=int, default=0, help="human texts per pair; not for aist")
    ours = parser.add_argument_group("ours")
    ours.add_argument("--clip-weights", help="initial CLIP weights: a file, pretrained:TAG (may download) or random")
    ours.add_argument("--mask-false-negatives", action="store_true", help="do not use equal pictures as negatives")
    ours.add_argument(
        "--precision", choices=("fp32", "bf16", "fp16", "auto"), default="fp32", help="precision of the forward pass"
    )
    ours.add_argument(
        "--chunk", type=_at_least(0), default=0, help="encode N at a time to save memory; 0 = all at once"
    )
    ours.add_argument("--seed", type=_at_least(0), default=0, help="seed of batches, texts and dropout")


def _combiner_sizes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--projection-dim", type=_at_least(1), default=2560, help="width of the Combiner's projections")
    parser.add_argument("--hidden-dim", type=_at_least(1), default=5120, help="width of its hidden layer")


def _selection(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--keep-selection", type=_at_least(0), default=50, help="pictures in the selection files; 0 writes none"
    )


def _run(command: Callable[[argparse.Namespace], None], parser: argparse.ArgumentParser, argv: list[str] | None) -> int:
    escape_output()
    try:
        command(parser.parse_args(argv))
    except AutocomposeError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)  # noqa: T201
        return 2
    except KeyboardInterrupt:
        if argv is not None:
            raise  # a sweep stops as a whole
        print(f"{parser.prog}: interrupted; the same command continues where it stopped", file=sys.stderr)  # noqa: T201
        return 130
    return 0


def _clip_fine_tune(args: argparse.Namespace) -> None:
    from autocompose.core.distributed import join, rank
    from autocompose.model.weights.foreign_weights import write_authors_format
    from autocompose.model.weights.start_weights import start_encoder
    from autocompose.train.runs import FinetuneSettings, finetune

    device, folder = join(), _folder(args, "clip_finetuned")
    settings = FinetuneSettings.parse(
        {"part": args.encoder, **_settings(args, args.learning_rate, weight_decay=0.01, eps=1e-7)}, "options"
    )
    _refuse(folder, args)
    data = _data(args)
    encoder = start_encoder(_encoder_config(args), args.clip_weights, args.seed, args.weights_fp16).to(device)
    data.table(settings.text, args.batch_size)
    _claim(folder, args)
    model = finetune(data, encoder, settings, folder, keep=args.save_training)
    if args.save_training and rank() == 0:
        write_authors_format(folder / "saved_models", model, args.num_epochs - 1, replace=True)
    _write_tables(folder)


def _combiner_train(args: argparse.Namespace) -> None:
    import torch

    from autocompose.core.distributed import join, rank
    from autocompose.core.files import atomic_file
    from autocompose.model.weights.foreign_weights import load_combiner, load_encoder
    from autocompose.model.weights.start_weights import start_encoder
    from autocompose.train.runs import CombinerSettings, train_combiner

    device, folder = join(), _folder(args, "combiner_trained")
    sizes = {"projection_dim": args.projection_dim, "hidden_dim": args.hidden_dim}
    settings = CombinerSettings.parse(
        {**sizes, **_settings(args, args.combiner_lr, weight_decay=0.0, eps=1e-8)}, "options"
    )
    _refuse(folder, args)
    data, config = _data(args), _encoder_config(args)
    if args.clip_model_path:
        encoder = load_encoder(args.clip_model_path, config, args.weights_fp16)
    else:
        encoder = start_encoder(config, args.clip_weights, args.seed, args.weights_fp16)
    start = None
    if args.combiner_model_path:
        start = load_combiner(args.combiner_model_path, encoder.dim, (args.projection_dim, args.hidden_dim))
    data.table(settings.text, args.batch_size)
    _claim(folder, args)
    model = train_combiner(data, encoder.to(device), settings, folder, start, args.clip_bs, args.save_training)
    if args.save_training and rank() == 0:
        epoch = args.num_epochs - 1
        with atomic_file(folder / "saved_models" / f"combiner_{epoch}.pt") as file:
            torch.save({"epoch": epoch, "Combiner": {k: v.cpu() for k, v in model.composer.state_dict().items()}}, file)
    _write_tables(folder)


def _clip_test(args: argparse.Namespace) -> None:
    from autocompose.model.combiner import ElementwiseSum
    from autocompose.model.model import Model
    from autocompose.model.weights.foreign_weights import load_encoder

    encoder = load_encoder(args.clip_model_path, _encoder_config(args), args.weights_fp16)
    _test(args, Model(encoder, ElementwiseSum()), _folder(args, "clip_finetuned"))


def _combiner_test(args: argparse.Namespace) -> None:
    from autocompose.model.model import Model
    from autocompose.model.weights.foreign_weights import load_combiner, load_encoder

    encoder = load_encoder(args.clip_model_path, _encoder_config(args), args.weights_fp16)
    combiner = load_combiner(args.combiner_model_path, encoder.dim, (args.projection_dim, args.hidden_dim))
    _test(args, Model(encoder, combiner), _folder(args, "combiner_trained"))


def _test(args: argparse.Namespace, model: Any, folder: Path) -> None:
    from autocompose.core.distributed import join
    from autocompose.evaluate.questions import evaluate_model
    from autocompose.evaluate.results import write_csv, write_evaluation

    device = join()
    data = _data(args)
    evaluation = evaluate_model(model.to(device), data.corpus, data.val, data.key, data.flatten, data.cache)
    write_evaluation(folder, evaluation, args.keep_selection, folder.name)
    metrics = evaluation.ranks.metrics()
    names = [m for m in METRICS if m in metrics]
    epoch = 0  # as the paper's scripts write, which do not know which epoch a file is of
    write_csv(folder / "validation_metrics_test.csv", ("epoch", *names), [[epoch, *(metrics[m] for m in names)]])
    print(json.dumps({m: metrics[m] for m in names}, indent=4))  # noqa: T201


def _folder(args: argparse.Namespace, kind: str) -> Path:
    name = "_".join(part for part in (kind, "on", args.dataset, args.experiment_name) if part)
    return Path("models") / args.clip_model_name.replace("/", "-") / name


def _encoder_config(args: argparse.Namespace) -> Any:
    from autocompose.model.encoder import EncoderConfig

    values = {"arch": args.clip_model_name, "transform": args.transform, "target_ratio": args.target_ratio}
    return EncoderConfig.parse(values, "options")


def _data(args: argparse.Namespace) -> Any:
    """The training and query splits. A split's name must contain its role, such as ``train10``."""
    from autocompose.core.records import Split
    from autocompose.corpus.format import load_corpus
    from autocompose.train.run_data import Data

    root = Path(f"{args.dataset}_dataset")
    files = {Split.TEST: _split_name(args.val_split, "--val-split")}
    if hasattr(args, "train_split"):
        files[Split.TRAIN] = _split_name(args.train_split, "--train-split")
    corpus = load_corpus(root, files, files)
    return Data(corpus, Split.TRAIN, Split.TEST, flatten=args.dataset == "aist", cache=root / ".cache")


def _split_name(name: str, option: str) -> str:
    if not re.fullmatch(r"[\w.-]*(train|test|val)[\w.-]*", name):
        raise ConfigError(f'{option} {name!r}: expected a name with "train", "test" or "val" in it, such as train10')
    return name


def _settings(args: argparse.Namespace, rate: float, weight_decay: float, eps: float) -> dict[str, Any]:
    say(PROTOCOL)
    return {
        "text": _text_mode(args),
        "compose": {
            "cycle_weight": args.cycle_loss_weight,
            "mask_duplicates": args.mask_false_negatives,
            "chunk": args.chunk,
            "seed": args.seed,
        },
        "loop": {
            "epochs": args.num_epochs,
            "batch_size": args.batch_size,
            "learning_rate": rate,
            "weight_decay": weight_decay,
            "eps": eps,
            "warmup": 0,
            "schedule": "constant",
            "clip_gradients": False,
            "validate_every": args.validation_frequency,
            "validate_first": True,
            "select": None,
            "precision": args.precision,
            "seed": args.seed,
        },
    }


def _text_mode(args: argparse.Namespace) -> Any:
    """The one text source that is on, checked against the dataset's texts."""
    from autocompose.train.run_options import text_mode
    from autocompose.train.sampling import TextMode

    human, auto, mode, cycle = args.use_human_sents, args.use_auto_sents, args.mllm_mode, args.use_cycle_loss
    active = [name for name, on in (("human", human), ("auto", auto), ("mllm", mode != "none")) if on]
    if len(active) != 1:
        chosen = " and ".join(active) or "none"
        raise ConfigError(
            f"text source: exactly one of --use-human-sents, --use-auto-sents, --mllm-mode; {chosen} chosen"
        )
    known = {"human": ("fixmypose", "posefix"), "auto": ("posefix",)}.get(active[0], DATASETS)
    if args.dataset not in known:
        raise ConfigError(f"--use-{active[0]}-sents: {args.dataset} has none; {' and '.join(known)} have")
    if human < 0 or auto < 0:
        raise ConfigError(f"--use-{active[0]}-sents {human or auto}: expected at least 1")
    if mode != "none":
        return TextMode.from_name(mode, cycle)
    if human:
        if cycle:
            raise ConfigError("--use-cycle-loss: there are no reverse human texts; use rule-based or MLLM texts")
        return text_mode(f"human_{human}", False)
    return text_mode(f"auto-reverse_{auto}" if cycle else f"auto_{auto}", cycle)


TRAINING_FILES = ("training_hyperparameters.json", "train_metrics.csv", "validation_metrics.csv")


def _hyperparameters(args: argparse.Namespace) -> dict[str, Any]:
    return json.loads(json.dumps(vars(args), default=str))


def _refuse(folder: Path, args: argparse.Namespace) -> None:
    """A training folder must be new, or hold an unfinished run with the same hyperparameters.

    :raises ConfigError: the run has finished, or it has other hyperparameters.
    """
    from autocompose.core.run_folder import RunFolder
    from autocompose.train.runs import forget

    own = RunFolder(folder, "options", "a run", beside=("evaluation",))
    own.check(_hyperparameters(args), files=TRAINING_FILES)
    if own.made_with() is None:
        return
    if (folder / "validation_metrics.csv").exists():
        forget(folder)  # the end may have come between the tables and this
        raise ConfigError(
            f"{folder}: this experiment has finished; choose another --experiment-name or delete the folder"
        )
    say(f"{folder}: continuing")


def _claim(folder: Path, args: argparse.Namespace) -> None:
    """Check that training can start: the named files exist and there is enough data."""
    from autocompose.core.distributed import rank
    from autocompose.core.files import write_json
    from autocompose.core.run_folder import RunFolder

    if rank() == 0:
        RunFolder(folder, "options", "a run", beside=("evaluation",)).claim(
            _hyperparameters(args), files=TRAINING_FILES
        )
        write_json(folder / "training_hyperparameters.json", _hyperparameters(args))


def _write_tables(folder: Path) -> None:
    """``train_metrics.csv`` and, last of all files, ``validation_metrics.csv``; epochs count from 0 as in the paper.

    Then the run has finished, and the state that it would continue from goes.
    """
    from autocompose.core.distributed import rank
    from autocompose.evaluate.results import write_csv
    from autocompose.train.loop import history
    from autocompose.train.runs import forget

    if rank() > 0:
        return
    lines = history(folder)
    validated = [line for line in lines if "recall_at1" in line]
    names = [m for m in METRICS if m in validated[-1]]
    losses = [[line["epoch"] - 1, line["loss"]] for line in lines]
    write_csv(folder / "train_metrics.csv", ("epoch", "train_epoch_loss"), losses)
    rows = [[line["epoch"] - 1, *(line[m] for m in names)] for line in validated]
    write_csv(folder / "validation_metrics.csv", ("epoch", *names), rows)
    forget(folder)
