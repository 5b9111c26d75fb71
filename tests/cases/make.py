#!/usr/bin/env python3
"""What ONNX Runtime computes in the small networks beside this script: NAME.npy and index.json.

For maintainers; tests/cases.rs reads the files only. Each network has random weights and stands for a kind of file that people
bring; this script says which layer famlens should find in each.

    pip install numpy onnx onnxruntime
    python tests/cases/make.py

The input is noise in -1..1 by SplitMix64 with seed 7 (Steele, Lea and Flood 2014), the same here and in the suite; where the
network takes bytes, that noise as round(127.5 (x + 1)). A golden has a row for each tap, as in tests/families/make.py: its
number of elements, the mean, the largest absolute value, then the elements at (2654435761 i) mod n, i = 0..47.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import helper

HERE = Path(__file__).resolve().parent
SAMPLES = 48
# Outputs that are no tensors of floats, whatever their inputs.
NO_TENSORS = {"ZipMap", "ArrayFeatureExtractor", "ArgMax", "SplitToSequence"}

# name: (the layer that is explained when nobody names one, whether activations are rounded)
CASES = {
    "conv4_gap": ("p4", False),
    "customvision_string_labels": ("r2", False),
    "gdconv_embedding": ("maps", False),
    "grey_1x64x64": ("m2", False),
    "if_constant": ("r2", False),
    "local_functions": ("r2", False),
    "qoperator_int8": ("p_quantized/input", True),
    "rectangular_256x128": ("m2", False),
    "segmentation_softmax": ("features", False),
    "siamese_two_embeddings": ("m21", False),
    "siamese_two_images": ("m21", False),
    "split_to_sequence": ("r3", False),
    "tail_unsupported": ("r2", False),
    "uint8_input": ("r2", False),
    "uint8_nhwc_preprocessing": ("m2", False),
    "unet_convtranspose": ("bottleneck", False),
    "yolo_dfl_head": ("p4", False),
    "dql_conv_224": ("y", True),
    "reduce_map_224": ("d", False),
}


def noise(shape):
    """SplitMix64 from seed 7, the upper 24 bits as -1..1."""
    i = np.arange(1, np.prod(shape) + 1, dtype=np.uint64)
    z = np.uint64(7) + i * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = (z ^ (z >> np.uint64(31))) >> np.uint64(40)
    return (z.astype(np.float64) / (1 << 23) - 1).astype(np.float32).reshape(shape)


def answers(model):
    """The rows of every tap, and their names."""
    feeds = {}
    for value in model.graph.input:
        shape = [d.dim_value or 1 for d in value.type.tensor_type.shape.dim]
        x = noise(shape)
        if value.type.tensor_type.elem_type == onnx.TensorProto.UINT8:
            # The suite makes channels first and turns them, as famlens does.
            x = noise([shape[0], shape[3], shape[1], shape[2]]).transpose(0, 2, 3, 1)
            x = np.rint(np.float32(127.5) * (x + np.float32(1))).astype(np.uint8)
        feeds[value.name] = x
    asked = onnx.ModelProto()
    asked.CopyFrom(model)
    taps = [o for n in model.graph.node if n.op_type not in NO_TENSORS for o in n.output if o]
    del asked.graph.output[:]
    asked.graph.output.extend(helper.make_empty_tensor_value_info(t) for t in taps)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(asked.SerializeToString(), options, providers=["CPUExecutionProvider"])
    found = dict(zip(taps, session.run(taps, feeds)))
    rows, kept = [], []
    for tap in taps:
        value = found[tap]
        if value.dtype != np.float32 or not value.size:
            continue
        flat = value.ravel()
        at = (2654435761 * np.arange(SAMPLES)) % flat.size
        rows.append(np.concatenate([[flat.size, flat.mean(dtype=np.float64), np.abs(flat).max()], flat[at]]))
        kept.append(tap)
    return np.array(rows, np.float32), kept


def main():
    """Writes all goldens."""
    index = []
    for name, (target, rounded) in sorted(CASES.items()):
        rows, taps = answers(onnx.load(HERE / f"{name}.onnx"))
        np.save(HERE / f"{name}.npy", rows)
        index.append({"name": name, "target": target, "values": "rounded" if rounded else "exact", "taps": taps})
        print(f"{name}: {len(taps)} taps", file=sys.stderr)
    (HERE / "index.json").write_text("[\n" + ",\n".join(json.dumps(e) for e in index) + "\n]\n")


if __name__ == "__main__":
    main()
