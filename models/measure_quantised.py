#!/usr/bin/env python3
"""What a quantised form of EfficientNet-Lite0 costs, by ONNX Runtime: the figures of docs/models.md.

    python models/measure_quantised.py FILE.onnx [FILE.onnx ...]

Over the 60 inputs of tests/goldens/quantisation, against the float original whose answers are stored there: cosine of the
embedding, Pearson correlation of the FAM map, agreement of the predicted class, size, and milliseconds of a forward pass on one
thread. "plain" is ONNX Runtime without its graph optimisations, node by node as the file says; "fused" is as it runs by default, with
its kernels for whole numbers. Photos to calibrate with that are not among the 60 are copied to a folder by --others FOLDER.
"""

import argparse
import json
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
GOLDENS = ROOT / "tests" / "goldens" / "quantisation"


def load(name):
    return np.load(GOLDENS / f"{name}.npy")


def session(path, fused, outputs=("features", "logits")):
    """With an inner value as an output that has no other readers than before, so that nothing is fused less."""
    model = onnx.load(path)
    del model.graph.output[:]
    for name in outputs:
        model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    if not fused:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def measure(path, fused):
    index = json.loads((GOLDENS / "index.json").read_text())["inputs"]
    embeddings, maps, prototypes, top1 = (load(n) for n in ("fp32_embeddings", "fp32_maps", "prototypes", "fp32_top1"))
    model = onnx.load(path)
    # Behind a quantised layer its float value is gone: what its readers read stands for it.
    dequantized = any("features_dequantized" in node.output for node in model.graph.node)
    run = session(path, fused, ("features_dequantized" if dequantized and fused else "features", "logits"))
    cosines, correlations, agreed, times = [], [], 0, []
    for row, entry in enumerate(index):
        pixels = np.asarray(Image.open(GOLDENS / entry["input"]).convert("RGB"), np.float32)
        x = np.ascontiguousarray(((pixels - 127) / 128).transpose(2, 0, 1)[None])
        start = time.perf_counter()
        features, logits = run.run(None, {"image": x})
        times.append(time.perf_counter() - start)
        f, g = features[0].mean((1, 2)), prototypes[entry["prototype"]]
        weights = f * g / np.linalg.norm(f) / np.linalg.norm(g)
        found = np.tensordot(weights, features[0], 1).ravel()
        cosines.append(f @ embeddings[row] / np.linalg.norm(f) / np.linalg.norm(embeddings[row]))
        correlations.append(np.corrcoef(found, maps[row].ravel())[0, 1])
        agreed += int(logits.argmax()) == int(top1[row])
    return cosines, correlations, agreed / len(index), 1e3 * float(np.median(times))


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("files", nargs="*")
    arguments.add_argument("--others", help="copy the photos that are not among the 60 to this folder")
    options = arguments.parse_args()
    if options.others:
        used = {Path(e["photo"]).name for e in json.loads((GOLDENS / "index.json").read_text())["inputs"]}
        folder = Path(options.others)
        folder.mkdir(parents=True, exist_ok=True)
        photos = [p for p in sorted((ROOT / "tests" / "photos").rglob("*.jpg")) if p.name not in used]
        for photo in photos:
            shutil.copy(photo, folder)
        print(f"{len(photos)} photos in {folder}")
    for path in options.files:
        for fused in (False, True):
            cosines, correlations, agreement, ms = measure(path, fused)
            print(
                f"{Path(path).name:<24} {'fused' if fused else 'plain'}: embedding cosine {np.mean(cosines):.5f} (least {np.min(cosines):.5f}), "
                f"map Pearson {np.mean(correlations):.5f} (least {np.min(correlations):.5f}), top-1 {agreement:.1%}, "
                f"{Path(path).stat().st_size} bytes, {ms:.1f} ms"
            )


if __name__ == "__main__":
    sys.exit(main())
