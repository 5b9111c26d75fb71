#!/usr/bin/env python3
"""Makes the goldens of static quantisation: what ONNX Runtime says of files that `famlens quantize --calibrate` wrote.

    python tests/goldens/make_static.py path/to/famlens

For maintainers; the tests read the files only. Needs onnx, onnxruntime, numpy, pillow and torch (tests/families/make.py).

tests/families/static_*.onnx, .npy  small networks as famlens quantised them, and ONNX Runtime's taps of exactly these files, which
                                    tests/families.rs compares on every engine
static/NAME.npy [activations, 2]    least and largest value of each activation of the float network over the calibration photos, by
                                    ONNX Runtime after Pillow's resize; index.json has their names, photos and settings

It fails if ONNX Runtime, with the kernels for whole numbers that it fuses such files to, strays from its own run node by node, or if
the scales in a file are not those of the ranges that it found itself.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper
from PIL import Image

HERE = Path(__file__).resolve().parent
TESTS = HERE.parent
sys.path.insert(0, str(TESTS / "families"))
import make  # noqa: E402

# The photos of one folder, each of them calibrated with.
PHOTOS = "photos/cup"
SIDE = 64
NETWORKS = {
    "static_resnet": ("onnx/net_resnet.onnx", ["--range", "min-max"]),
    "static_mobilenet_v3": ("onnx/net_mobilenet_v3.onnx", ["--range", "min-max", "--activations", "int8"]),
    "static_deit": ("families/deit_new.onnx", ["--range", "min-max"]),
}


def uncast(model):
    """Weights that are kept in 16 bits behind a Cast, as the floats that the Cast gives."""
    halves = {t.name: t for t in model.graph.initializer}
    nodes = list(model.graph.node)
    del model.graph.node[:]
    for node in nodes:
        if node.op_type == "Cast" and node.input[0] in halves:
            values = numpy_helper.to_array(halves[node.input[0]]).astype(np.float32)
            halves[node.input[0]].CopyFrom(numpy_helper.from_array(values, node.output[0]))
        else:
            model.graph.node.append(node)
    return model


def session(model, outputs, fused=False):
    asked = onnx.ModelProto()
    asked.CopyFrom(model)
    del asked.graph.output[:]
    asked.graph.output.extend(onnx.helper.make_empty_tensor_value_info(o) for o in outputs)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if not fused:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(asked.SerializeToString(), options, providers=["CPUExecutionProvider"])


def prepared(path, side):
    pixels = Image.open(path).convert("RGB").resize((side, side), Image.Resampling.BILINEAR)
    return ((np.asarray(pixels, np.float32) - 127) / 128).transpose(2, 0, 1)[None].copy()


def main(famlens):
    (HERE / "static").mkdir(exist_ok=True)
    index_path = TESTS / "families" / "index.json"
    index = {e["name"]: e for e in json.loads(index_path.read_text())}
    about = []
    for name, (source, options) in NETWORKS.items():
        model = uncast(onnx.load(TESTS / source))
        side = model.graph.input[0].type.tensor_type.shape.dim[2].dim_value or SIDE
        photos = [prepared(path, side) for path in sorted((TESTS / PHOTOS).rglob("*.jpg"))]
        with tempfile.TemporaryDirectory() as folder:
            float_path, int8_path = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
            onnx.save(model, float_path)
            card = {"format": 1, "name": name, "input": {"size": side, "stride": 1, "mean": [127] * 3, "std": [128] * 3}}
            (Path(folder) / "model.json").write_text(json.dumps(card))
            subprocess.run([famlens, "quantize", float_path, int8_path, "--calibrate", TESTS / PHOTOS, *options], check=True)
            quantised = onnx.load(int8_path)
        onnx.checker.check_model(quantised, full_check=True)

        # The ranges, from the float network.
        stored = {t.name: numpy_helper.to_array(t) for t in quantised.graph.initializer}
        activations = [n.input[0] for n in quantised.graph.node if n.op_type == "QuantizeLinear"]
        inner = [a for a in activations if a != model.graph.input[0].name]
        run = session(model, inner)
        ends = {a: [0.0, 0.0] for a in activations}
        for x in photos:
            found = dict(zip(inner, run.run(None, {model.graph.input[0].name: x})))
            found[model.graph.input[0].name] = x
            for a in activations:
                ends[a] = [min(ends[a][0], float(found[a].min())), max(ends[a][1], float(found[a].max()))]
        for a in activations:
            scale = (ends[a][1] - ends[a][0]) / 255
            off = abs(float(stored[f"{a}_scale"]) - scale) / scale
            assert off < 5e-3, f"{name}: the scale of {a} is {stored[f'{a}_scale']} and should be {scale}"

        # The same results, fused to kernels for whole numbers and not.
        y = quantised.graph.output[0].name
        plain, fused = session(quantised, [y]), session(quantised, [y], True)
        worst = 1.0
        for x in photos:
            a, b = (s.run(None, {quantised.graph.input[0].name: x})[0].ravel() for s in (plain, fused))
            worst = min(worst, float(a @ b / np.linalg.norm(a) / np.linalg.norm(b)))
        print(f"{name}: fused against plain, least cosine {worst:.6f}", file=sys.stderr)
        assert worst > 0.999, name

        np.save(HERE / "static" / f"{name}.npy", np.array([ends[a] for a in activations], np.float32))
        settings = {"range": options[1], "activations": options[3] if len(options) > 3 else "uint8"}
        about.append({"name": name, "source": source, "side": side, **settings, "names": activations})
        # families.rs knows the ends of a network as x and y.
        rename(quantised, model.graph.input[0].name, "x")
        rename(quantised, y, "y")
        make.write(index, name, quantised, "famlens quantize --calibrate", (1, 3, side, side), rounded=True)
    (HERE / "static" / "index.json").write_text(json.dumps({"photos": PHOTOS, "networks": about}, indent=1) + "\n")


def rename(model, old, new):
    graph = model.graph
    for node in graph.node:
        for field in (node.input, node.output):
            field[:] = [new if n == old else n for n in field]
    for value in [*graph.input, *graph.output]:
        value.name = new if value.name == old else value.name


if __name__ == "__main__":
    main(sys.argv[1])
