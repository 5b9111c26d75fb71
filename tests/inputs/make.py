#!/usr/bin/env python3
"""What Pillow and ONNX Runtime make of two pictures for inputs of every kind: index.json, and networks where there is none yet.

For maintainers; tests/inputs.rs reads the files only.

    pip install numpy onnx onnxruntime pillow
    python tests/inputs/make.py

Each case has a network, the "input" of a model.json, and for each picture: values of the prepared input at (2654435761 i) mod n,
i = 0..47, and the mean over the cells of the layer that is explained. Networks have random weights.
"""

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

HERE = Path(__file__).resolve().parent
CASES = HERE.parent / "cases"
PICTURES = {name: HERE.parent / "goldens" / "engine" / name for name in ["wide.png", "dog.png"]}
IMAGENET = {"mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375]}


def network(name, shape, *, channels=3, before=(), constants=None, tail=None, turned=False, unbatched=False):
    """Two convolutions behind `before`; written as NAME.onnx. The layer that is explained is "maps"."""
    rng = np.random.default_rng(len(name))
    known = dict(constants or {})
    nodes = list(before)
    last = nodes[-1].output[0] if nodes else "image"
    if unbatched:
        known["first"] = np.array([0], np.int64)
        nodes.append(helper.make_node("Unsqueeze", [last, "first"], ["batched"]))
        last = "batched"
    if turned:
        nodes.append(helper.make_node("Transpose", [last], ["turned"], perm=[0, 3, 1, 2]))
        last = "turned"
    known["w1"] = rng.normal(0, 0.3, (8, channels, 3, 3)).astype(np.float32)
    known["b1"] = rng.normal(0, 0.3, 8).astype(np.float32)
    known["w2"] = rng.normal(0, 0.2, (12, 8, 3, 3)).astype(np.float32)
    nodes += [
        helper.make_node("Conv", [last, "w1", "b1"], ["c1"], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c1"], ["r1"]),
        helper.make_node("Conv", ["r1", "w2"], ["c2"], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c2"], ["maps"]),
        helper.make_node("GlobalAveragePool", ["maps"], ["pooled"]),
    ]
    last = "pooled"
    if tail is not None:
        known["tail"] = np.array(tail, np.int64)
        nodes.append(helper.make_node("Reshape", ["pooled", "tail"], ["embedding"]))
        last = "embedding"
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, key) for key, value in known.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, HERE / f"{name}.onnx")


def resize(picture, size, box=None):
    return picture.resize(size, Image.BILINEAR, box)


def fitted(picture, height, width, spec):
    """The picture on the input as 8-bit RGB, and where it lies: left, top."""
    w, h = picture.size
    mode = spec.get("geometry", "squash")
    if mode == "crop" and "resize" in spec:
        # torchvision's Resize(shorter), CenterCrop((height, width)).
        side = spec["resize"]
        scaled = (side, side * h // w) if w <= h else (side * w // h, side)
        left, top = (int(round((a - b) / 2.0)) for a, b in zip(scaled, (width, height)))
        return resize(picture, scaled).crop((left, top, left + width, top + height)), 0, 0
    if mode == "crop":
        cw, ch = (w, w * height / width) if width / w > height / h else (h * width / height, h)
        x, y = (w - cw) / 2, (h - ch) / 2
        return resize(picture, (width, height), (x, y, x + cw, y + ch)), 0, 0
    if mode == "letterbox":
        scale = min(width / w, height / h)
        cw, ch = round(w * scale), round(h * scale)
        return resize(picture, (cw, ch)), (width - cw) // 2, (height - ch) // 2
    return resize(picture, (width, height)), 0, 0


def prepared(picture, height, width, channels, spec):
    """[C, H, W] as float."""
    scaled, left, top = fitted(picture, height, width, spec)
    if channels == "grey":
        values = np.asarray(scaled.convert("L"), np.float32)[None]
    else:
        values = np.asarray(scaled, np.float32).transpose(2, 0, 1)
    if channels == "bgr":
        values = values[::-1]
    n = len(values)
    mean, std = (np.broadcast_to(np.array(spec[key], np.float32), (3,))[:n, None, None] for key in ("mean", "std"))
    fill = spec.get("fill")
    around = np.zeros((n, 1, 1), np.float32)
    if fill is not None:
        around = (np.array(fill if channels == "rgb" else fill[::-1], np.float32)[:, None, None] - mean) / std
    whole = np.broadcast_to(around, (n, height, width)).copy()
    whole[:, top : top + values.shape[1], left : left + values.shape[2]] = (values - mean) / std
    if channels == "rgba":
        whole = np.concatenate([whole, np.ones((1, height, width), np.float32)])
    return whole.astype(np.float32)


def case(name, path, height, width, spec, *, target="maps", channels="rgb", layout="nchw", batch=1, applied=None):
    """`spec` is what model.json says; `applied` are mean and deviation where the file decides them."""
    model = onnx.load(path)
    if target not in [o.name for o in model.graph.output]:
        model.graph.output.append(helper.make_tensor_value_info(target, TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(model.SerializeToString())
    node = session.get_inputs()[0]
    pictures = {}
    for picture, where in PICTURES.items():
        values = prepared(Image.open(where).convert("RGB"), height, width, channels, {**spec, **(applied or {})})
        value = values
        if layout == "nhwc":
            value = value.transpose(1, 2, 0)
        if len(node.shape or [0] * 4) == 4:
            value = np.repeat(value[None], batch, 0)
        if "uint8" in node.type:
            value = np.round(value).astype(np.uint8)
        (maps,) = session.run([target], {node.name: value})
        n = values.size
        pictures[picture] = {
            "input": [round(float(values.flat[(2654435761 * i) % n]), 5) for i in range(48)],
            "maps": list(maps.shape[-2:]),
            "mean": [round(float(v), 6) for v in maps[0].reshape(maps.shape[1], -1).mean(1, dtype=np.float64)],
        }
    return {
        "name": name,
        "file": str(path.relative_to(HERE.parent)),
        "spec": spec,
        "height": height,
        "width": width,
        "channels": channels,
        "target": target,
        "pictures": pictures,
    }


def main():
    node = helper.make_node
    scalar = lambda *v: np.array(v, np.float32).reshape(-1, 1, 1) if len(v) > 1 else np.array(v[0], np.float32)
    mean, std = scalar(123.675, 116.28, 103.53), scalar(58.395, 57.12, 57.375)
    network("plate_24x94", [1, 3, 24, 94])
    network("strip_32x_free", [1, 3, 32, "W"])
    network("batch_of_8", [8, 3, 48, 64], tail=[8, -1])
    network("no_batch", [3, 64, 48], unbatched=True)
    network("no_shape", None)
    network("free_nhwc", ["N", "H", "W", "C"], turned=True)
    network("hwc_no_batch", [40, 56, 3], unbatched=True, turned=True)
    network("rgba", [1, 4, 64, 64], channels=4)
    network("inside_bytes", [1, 3, 64, 64], before=[node("Sub", ["image", "m"], ["s"]), node("Div", ["s", "d"], ["p"])],
            constants={"m": mean, "d": std})
    network("inside_unit", [1, 3, 64, 64], before=[node("Sub", ["image", "m"], ["s"]), node("Div", ["s", "d"], ["p"])],
            constants={"m": mean / 255, "d": std / 255})
    network("inside_scaled", [1, 3, 64, 64], before=[node("Mul", ["image", "m"], ["s"])],
            constants={"m": scalar(1 / 255)})
    raw, unit = {"mean": 0, "std": 1}, {"mean": 0, "std": 255}
    own = lambda name: HERE / f"{name}.onnx"
    cases = [
        case("rectangle", CASES / "rectangular_256x128.onnx", 256, 128, IMAGENET, target="m2"),
        case("rectangle_crop", CASES / "rectangular_256x128.onnx", 256, 128, {**IMAGENET, "geometry": "crop"}, target="m2"),
        case("rectangle_letterbox", CASES / "rectangular_256x128.onnx", 256, 128,
             {**IMAGENET, "geometry": "letterbox", "fill": [114, 100, 20]}, target="m2"),
        case("rectangle_centre", CASES / "rectangular_256x128.onnx", 256, 128,
             {**IMAGENET, "geometry": "crop", "resize": 288}, target="m2"),
        case("bgr", CASES / "rectangular_256x128.onnx", 256, 128,
             {"channels": "bgr", "mean": [103.939, 116.779, 123.68], "std": 1}, target="m2", channels="bgr"),
        case("grey", CASES / "grey_1x64x64.onnx", 64, 64, {"mean": 127.5, "std": 127.5}, target="m2", channels="grey"),
        case("plate", own("plate_24x94"), 24, 94, IMAGENET),
        case("strip", own("strip_32x_free"), 32, 320, {**IMAGENET, "height": 32, "width": 320}),
        case("batch", own("batch_of_8"), 48, 64, IMAGENET, batch=8),
        case("no_batch", own("no_batch"), 64, 48, IMAGENET),
        case("hwc_no_batch", own("hwc_no_batch"), 40, 56, IMAGENET, layout="nhwc"),
        case("no_shape", own("no_shape"), 96, 40, {**IMAGENET, "height": 96, "width": 40}),
        case("free_nhwc", own("free_nhwc"), 80, 80, {**IMAGENET, "size": 80}, layout="nhwc"),
        case("rgba", own("rgba"), 64, 64, IMAGENET, channels="rgba"),
        case("inside_bytes", own("inside_bytes"), 64, 64, {}, applied=raw),
        case("inside_unit", own("inside_unit"), 64, 64, {}, applied=unit),
        case("inside_scaled", own("inside_scaled"), 64, 64, {}, applied=raw),
        case("uint8", CASES / "uint8_input.onnx", 64, 64, {}, target="r2", layout="nhwc", applied=raw),
        case("uint8_nhwc", CASES / "uint8_nhwc_preprocessing.onnx", 64, 64, IMAGENET, target="m2", layout="nhwc", applied=raw),
        case("nothing_said", CASES / "rectangular_256x128.onnx", 256, 128, {}, target="m2", applied=IMAGENET),
    ]
    lines = ",\n".join(json.dumps(entry) for entry in cases)
    (HERE / "index.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
