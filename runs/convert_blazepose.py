"""Make the weight files of ``autocompose.estimate`` from the npm package ``@mediapipe/pose`` (Apache-2.0, Google).

    npm pack @mediapipe/pose@0.5.1675469404
    tar xzf mediapipe-pose-0.5.1675469404.tgz
    pip install ai-edge-litert safetensors torch
    python runs/convert_blazepose.py package OUT

writes OUT/blazepose-{full,heavy,lite}.safetensors: the detector and one landmark network each, in half precision. The
package ships ``full``; the others are for ``--pose-weights FILE``. Convolutions are copied in the order in which they
run; those that only the segmentation mask needs are left out. ``tests/estimate/test_networks.py`` holds the result
against LiteRT.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import numpy as np
import torch
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from safetensors.torch import save_file
from torch import Tensor, nn

from autocompose.core.log import say
from autocompose.estimate.detector import SIDE as DETECTOR_SIDE
from autocompose.estimate.detector import Detector
from autocompose.estimate.landmarks import SHAPES, LandmarkNet
from autocompose.estimate.landmarks import SIDE as CROP_SIDE
from autocompose.estimate.weights import NETWORK

DETECTOR_FILE = "pose_solution_packed_assets.data"  # in spite of its name a tflite file
MASK = b"Identity_2"  # the output that nobody needs
SOURCE = "npm @mediapipe/pose 0.5.1675469404 (Apache-2.0, Google LLC), batch norms folded, float16"
FOLDED = ("DEQUANTIZE", "DENSIFY")  # operators on constants


def convolutions(path: Path) -> list[tuple[Tensor, Tensor]]:
    """Weights in PyTorch's order (O, I, H, W), and biases, of the convolutions that matter, as they run."""
    data = path.read_bytes()
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(bytearray(data), 0))
    graph = model.subgraphs[0]
    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(str(path), experimental_preserve_all_tensors=True, experimental_op_resolver_type=plain)
    interpreter.allocate_tensors()
    entrance = interpreter.get_input_details()[0]
    interpreter.set_tensor(entrance["index"], np.zeros(entrance["shape"], np.float32))
    interpreter.invoke()  # unpacks the sparse and the half-precision constants
    names = {number: name for name, number in vars(schema.BuiltinOperator).items() if not name.startswith("_")}

    def kind(operator: schema.OperatorT) -> str:
        code = model.operatorCodes[operator.opcodeIndex]
        return names[max(code.builtinCode, code.deprecatedBuiltinCode)]

    makers = {int(operator.outputs[0]): operator for operator in graph.operators}
    wanted = [int(i) for i in graph.outputs if graph.tensors[i].name != MASK]
    needed: set[int] = set()
    while wanted:
        tensor = wanted.pop()
        if tensor in makers and tensor not in needed:
            needed.add(tensor)
            wanted += [int(i) for i in makers[tensor].inputs]
    found = []
    for operator in graph.operators:
        name = kind(operator)
        if int(operator.outputs[0]) not in needed or not name.endswith("CONV_2D"):
            continue
        weight, bias = (torch.from_numpy(interpreter.get_tensor(int(i)).copy()).float() for i in operator.inputs[1:3])
        order = (3, 0, 1, 2) if name == "DEPTHWISE_CONV_2D" else (0, 3, 1, 2)
        found.append((weight.permute(*order).contiguous(), bias))
    return found


def fill(net: nn.Module, side: int, values: list[tuple[Tensor, Tensor]]) -> None:
    """Give each convolution of ``net``, as they run, the first values left that have its shape."""
    running: list[nn.Conv2d] = []
    convs = [module for module in net.modules() if isinstance(module, nn.Conv2d)]
    hooks = [conv.register_forward_pre_hook(lambda module, _: running.append(module)) for conv in convs]
    net(torch.zeros(1, 3, side, side))
    for hook in hooks:
        hook.remove()
    left = list(values)
    for conv in running:
        place = next(i for i, (weight, _) in enumerate(left) if weight.shape == conv.weight.shape)
        weight, bias = left.pop(place)
        conv.weight.data, conv.bias.data = weight, bias
    if left or len(running) != len(convs):
        raise SystemExit(f"{len(left)} convolutions of the file have no place in the network")


@torch.no_grad()
def main(package: Path, out: Path) -> None:
    """Write a file for each landmark network."""
    out.mkdir(parents=True, exist_ok=True)
    detector = Detector()
    fill(detector, DETECTOR_SIDE, convolutions(package / DETECTOR_FILE))
    for name, shape in SHAPES.items():
        source = package / f"pose_landmark_{name}.tflite"
        net = LandmarkNet(shape)
        fill(net, CROP_SIDE, convolutions(source))
        parts = {"detector": detector, "landmarks": net}
        tensors = {
            f"{part}.{key}": v.half() for part, module in parts.items() for key, v in module.state_dict().items()
        }
        sums = {
            "detector_sha256": hashlib.sha256((package / DETECTOR_FILE).read_bytes()).hexdigest(),
            "landmarks_sha256": hashlib.sha256(source.read_bytes()).hexdigest(),
        }
        target = out / f"blazepose-{name}.safetensors"
        save_file(tensors, target, {NETWORK: name, "source": SOURCE, **sums})
        say(f"{target}: {target.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
