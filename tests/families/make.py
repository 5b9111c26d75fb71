#!/usr/bin/env python3
"""Makes the small networks beside this script, NAME.onnx, and what ONNX Runtime computes in them, NAME.npy and index.json.

For maintainers; tests/families.rs reads the files only.

    pip install -r models/requirements.txt timm onnxscript
    python tests/families/make.py [NAME ...]        # all of them, or only these (index.json keeps the others)

zoo.py has the classifiers and encoders of torchvision and timm, brought.py what people bring besides (re-identification, faces,
detectors, segmentation, text, several inputs, Keras, quantised and optimised files). Every network is given random weights under which activations neither vanish nor explode (Kaiming's rule, batch
statistics measured on noise, layer scales near one), and is exported by one of torch's two exporters at one opset. Weights of
more than 256 values are rounded to 16 bits and stored so, behind a Cast; values and nodes are renamed to OPERATOR + number.

The input is noise in -1..1 by SplitMix64 with seed 7 (Steele, Lea and Flood 2014), the same here and in the suite.
A golden has a row for each tap, which is the output of a node that computes floats (not one that only moves them):
  its number of elements, the mean, the largest absolute value, then the elements at (2654435761 i) mod n, i = 0..47.
index.json lists for each network: name, exporter, opset, input shape, taps in the order of the rows, target (the layer that
famlens must choose; where brought.py does not derive it from a module it is kept from one run to the next), end (the tap that must
be reached where that is not the output), and "exact" or "rounded":
networks with rounded activations may differ by one step of the rounding, for which the suite allows.

ONNX Runtime has no bfloat16 kernels and rounds to float16 after every node where famlens does not: the goldens of half_* and
bfloat16 are those of the same weights in float32.
"""

import io
import json
import logging
import sys
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

import zoo
from zoo import tv

HERE = Path(__file__).resolve().parent
SAMPLES = 48
MOVES = {"Identity", "Cast", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Constant", "Shape", "Slice", "Split",
         "Expand", "ConstantOfShape", "Gather", "Range", "Dropout", "Tile", "QuantizeLinear", "DynamicQuantizeLinear"}
Old, New = False, True

# name: (network, exporter, opset, input height, input width, whether the batch and the size are left free)
NETWORKS = {
    "alexnet": (zoo.narrowed(32, lambda **o: tv.AlexNet(**o)), Old, 11, 224, 224, False),
    "alexnet_lrn": (zoo.LrnNet, Old, 13, 127, 127, False),
    "vgg11": (zoo.narrowed(32, lambda **o: tv.VGG(tv.vgg.make_layers(tv.vgg.cfgs["A"]), **o)), Old, 12, 224, 224, False),
    "vgg11_bn": (zoo.narrowed(32, lambda **o: tv.VGG(tv.vgg.make_layers(tv.vgg.cfgs["A"], batch_norm=True), **o)), New, 18, 224, 224, False),
    "googlenet": (zoo.narrowed(8, lambda **o: tv.GoogLeNet(aux_logits=False, transform_input=True, init_weights=False, **o)), Old, 14, 64, 64, True),
    "googlenet_new": (zoo.narrowed(8, lambda **o: tv.GoogLeNet(aux_logits=False, init_weights=False, **o)), New, 19, 64, 64, False),
    "inception_v3": (zoo.narrowed(16, lambda **o: tv.Inception3(aux_logits=False, transform_input=False, init_weights=False, **o)), Old, 15, 80, 96, False),
    "resnet18": (zoo.resnet(tv.resnet.BasicBlock, [1, 1, 1, 1], 8), Old, 11, 64, 48, True),
    "resnet50": (zoo.resnet(tv.resnet.Bottleneck, [1, 1, 1, 1], 16), New, 20, 64, 64, False),
    "resnext": (zoo.resnet(tv.resnet.Bottleneck, [1, 1, 1, 1], 16, groups=4, width_per_group=32), Old, 16, 64, 64, False),
    "resnext_new": (zoo.resnet(tv.resnet.Bottleneck, [1, 1, 1, 1], 16, groups=8, width_per_group=16), New, 18, 64, 64, True),
    "wide_resnet": (zoo.resnet(tv.resnet.Bottleneck, [1, 1, 1, 1], 16, width_per_group=128), Old, 17, 64, 64, False),
    "densenet": (lambda: tv.DenseNet(4, (2, 2, 2, 2), 8, 2, num_classes=zoo.CLASSES), Old, 12, 64, 64, True),
    "densenet_new": (lambda: tv.DenseNet(5, (2, 2, 2), 10, 2, num_classes=zoo.CLASSES), New, 20, 64, 64, False),
    "squeezenet1_0": (zoo.narrowed(16, lambda **o: tv.SqueezeNet("1_0", **o)), Old, 13, 64, 64, False),
    "squeezenet1_1": (zoo.narrowed(16, lambda **o: tv.SqueezeNet("1_1", **o)), New, 18, 64, 64, False),
    "mobilenet_v2": (zoo.mobilenet_v2, Old, 20, 64, 64, True),
    "mobilenet_v2_new": (zoo.mobilenet_v2, New, 20, 64, 64, True),
    "mobilenet_v3_small": (zoo.mobilenet_v3("mobilenet_v3_small"), Old, 14, 64, 64, False),
    "mobilenet_v3_large": (zoo.mobilenet_v3("mobilenet_v3_large"), New, 19, 64, 64, False),
    "shufflenet_v2": (lambda: tv.ShuffleNetV2([2, 2, 1], [8, 12, 20, 28, 40], zoo.CLASSES), Old, 11, 64, 64, False),
    "shufflenet_v2_free": (lambda: tv.ShuffleNetV2([2, 2, 1], [8, 12, 20, 28, 40], zoo.CLASSES), Old, 18, 64, 64, True),
    "shufflenet_v2_new": (lambda: tv.ShuffleNetV2([2, 2, 1], [8, 16, 24, 32, 40], zoo.CLASSES), New, 18, 64, 64, True),
    "mnasnet": (zoo.mnasnet, Old, 13, 64, 64, True),
    "regnet_x": (zoo.regnet(None), Old, 15, 64, 64, False),
    "regnet_y": (zoo.regnet(0.25), New, 18, 64, 64, True),
    "efficientnet": (zoo.efficientnet, Old, 11, 64, 64, True),
    "efficientnet_new": (zoo.efficientnet, New, 19, 64, 64, True),
    "efficientnet_v2": (zoo.efficientnet_v2, Old, 16, 64, 64, False),
    "convnext": (zoo.convnext, Old, 13, 64, 64, False),
    "convnext_17": (zoo.convnext, Old, 17, 64, 64, True),
    "convnext_new": (zoo.convnext, New, 20, 64, 64, False),
    "vit": (zoo.vit, Old, 14, 32, 32, False),
    "vit_new": (zoo.vit, New, 18, 32, 32, True),
    "swin": (zoo.swin(1), Old, 12, 64, 64, False),
    "swin_new": (zoo.swin(1), New, 18, 64, 64, False),
    "swin_v2": (zoo.swin(2), Old, 16, 64, 64, False),
    "swin_v2_new": (zoo.swin(2), New, 20, 64, 64, False),
    "timm_vit": (zoo.timm_vit(), Old, 17, 32, 32, True),
    "timm_vit_gap": (zoo.timm_vit(class_token=False, global_pool="avg"), Old, 19, 32, 32, False),
    "deit": (zoo.deit, Old, 13, 32, 32, True),
    "deit_new": (zoo.deit, New, 18, 32, 32, False),
    "timm_swin": (zoo.timm_swin, Old, 16, 32, 32, False),
    "dino_vit": (zoo.timm_vit(num_classes=0, depth=3), Old, 14, 32, 32, False),
    "dino_vit_any_size": (zoo.timm_vit(num_classes=0, dynamic_img_size=True), Old, 17, 32, 32, False),
    "dino_v2_registers": (zoo.timm_vit(num_classes=0, reg_tokens=4, init_values=0.8, no_embed_class=True), New, 20, 32, 32, False),
    "dino_v2_swiglu": (zoo.timm_vit(num_classes=0, reg_tokens=2, init_values=0.8, mlp_layer=zoo.timm.layers.SwiGLUPacked, act_layer=nn.SiLU), Old, 18, 32, 32, True),
    "coatnet": (zoo.coatnet, Old, 17, 64, 64, False),
    "mobilevit": (zoo.mobilevit, Old, 15, 64, 64, False),
    "levit": (zoo.levit, Old, 13, 64, 64, False),
    "levit_new": (zoo.levit, New, 18, 64, 64, False),
    "conv64f": (zoo.Conv64F, Old, 11, 84, 84, False),
    "resnet12": (zoo.ResNet12, Old, 12, 84, 84, True),
    "resnet12_new": (zoo.ResNet12, New, 18, 84, 84, False),
    "projected_resnet": (zoo.Projected, Old, 17, 64, 64, True),
    "projected_resnet_new": (zoo.Projected, New, 20, 64, 64, False),
    "clip_resnet": (zoo.ClipResNet, Old, 14, 64, 64, False),
    "clip_resnet_new": (zoo.ClipResNet, New, 18, 64, 64, False),
    "clip_vit": (lambda: zoo.ClipViT(written_out=True), Old, 13, 32, 32, True),
    "clip_vit_new": (zoo.ClipViT, New, 18, 32, 32, True),
    "decoder": (zoo.UNetLike, Old, 16, 34, 30, False),
    "decoder_new": (zoo.UNetLike, New, 18, 34, 30, False),
}


def noise(*shape):
    """SplitMix64 from seed 7, the upper 24 bits as -1..1."""
    with np.errstate(over="ignore"):
        z = np.uint64(7) + np.uint64(0x9E3779B97F4A7C15) * np.arange(1, int(np.prod(shape)) + 1, dtype=np.uint64)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return ((z >> np.uint64(40)).astype(np.float32) / np.float32(1 << 23) - np.float32(1)).reshape(shape)


def initialise(net, height, width, seed, others=(), channels=3):
    """Random weights under which activations keep their size; `others` are the shapes of further inputs."""
    torch.manual_seed(seed)
    norms = (nn.BatchNorm2d, nn.BatchNorm1d, nn.LayerNorm, nn.GroupNorm, nn.InstanceNorm2d)
    handled = set()
    for module in net.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu" if isinstance(module, nn.Conv2d) else "linear")
        elif isinstance(module, norms) and module.weight is not None:
            module.weight.data.uniform_(0.7, 1.3)
        else:
            continue
        handled.add(id(module.weight))
        if module.bias is not None:
            module.bias.data.uniform_(-0.3, 0.3)
            handled.add(id(module.bias))
    for name, parameter in net.named_parameters():
        if id(parameter) in handled:
            continue
        if any(word in name for word in ("gamma", "layer_scale")):
            parameter.data.uniform_(0.5, 1.0)
        elif "logit_scale" in name:
            parameter.data.uniform_(1.5, 2.5)
        elif "in_proj_weight" in name or name.endswith("projection"):
            parameter.data.normal_(0, parameter.shape[0 if name.endswith("projection") else -1] ** -0.5)
        else:
            parameter.data.normal_(0, 0.3)
    batch_norms = [m for m in net.modules() if isinstance(m, (nn.BatchNorm2d, nn.BatchNorm1d))]
    net.eval()
    for module in batch_norms:
        module.momentum = 1.0
        module.train()
    with torch.no_grad():
        net(torch.from_numpy(noise(8, channels, height, width)), *(torch.from_numpy(noise(8, *o[1:])) for o in others))
        net.eval()
        for module in batch_norms:  # one sees more than eight vectors, and a variance near zero is none
            module.running_var.clamp_(min=0.05).mul_(torch.empty_like(module.running_var).uniform_(0.7, 1.4))
    return net


def export(net, new, opset, shape, free, others=()):
    file = io.BytesIO()
    x = torch.from_numpy(noise(*shape)).to(next(net.parameters()).dtype)
    images = (x, *(torch.from_numpy(noise(*o)) for o in others))
    options = {"input_names": ["x", "x2", "x3"][: len(images)], "output_names": ["y"], "opset_version": opset}
    if new:
        sizes = ({0: torch.export.Dim("batch")},) if free else None
        program = torch.onnx.export(net, images, dynamo=True, dynamic_shapes=sizes, verbose=False, **options)
        return program.model_proto
    axes = {"x": {0: "batch", 2: "height", 3: "width"}} if free else None
    torch.onnx.export(net, images, file, dynamo=False, dynamic_axes=axes, **options)
    return onnx.load_from_string(file.getvalue())


def tidy(model, shrink=True, outputs=1):
    """Short telling names, no notes about the machine that exported it, large weights in 16 bits behind a Cast."""
    graph, names, counts = model.graph, {"": "", "x": "x", "y": "y"}, Counter()
    assert not any(a.type == onnx.AttributeProto.GRAPH for n in graph.node for a in n.attribute)
    numbered = lambda letter, i: letter if i == 0 else f"{letter}{i + 1}"
    names |= {v.name: numbered("x", i) for i, v in enumerate(graph.input)} | {v.name: numbered("y", i) for i, v in enumerate(graph.output[:outputs])}
    del graph.output[outputs:], graph.value_info[:]
    if not any(n.domain == "blocks" for n in graph.node):
        del model.functions[:]
    for i, tensor in enumerate(graph.initializer):
        names[tensor.name] = f"w{i}"
        tensor.name = f"w{i}"
    casts = []
    for node in graph.node:
        kind = node.op_type.lower()
        for o in node.output:
            if o and o not in names:
                names[o] = f"{kind}{counts[kind]}"
                counts[kind] += 1
        node.name = names[next(o for o in node.output if o)]
        for field in (node.input, node.output):
            field[:] = [names[n] for n in field]
    for value in (*graph.input, *graph.output):
        value.name = names[value.name]
    graph.name = "net"
    for item in [model, graph, *graph.node, *graph.initializer, *graph.input, *graph.output]:
        item.doc_string = ""
        del item.metadata_props[:]
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        if shrink and values.dtype == np.float32 and values.size > 256:
            casts.append(helper.make_node("Cast", [f"{tensor.name}h"], [tensor.name], to=TensorProto.FLOAT, name=tensor.name))
            tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{tensor.name}h"))
    rest = list(graph.node)
    del graph.node[:]
    graph.node.extend(casts + rest)
    onnx.checker.check_model(model)
    return model


def runtime(model):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def taps_of(model):
    """The values worth comparing, and what each is."""
    inferred = onnx.shape_inference.infer_shapes(model).graph
    types = {v.name: v.type.tensor_type.elem_type for v in [*inferred.value_info, *inferred.output]}
    weights = {t.name for t in model.graph.initializer}
    known = set(weights)
    for node in model.graph.node:  # what depends on no image is folded by every reader
        if all(i in known or not i for i in node.input):
            known.update(node.output)
    floats = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, 0)
    outputs = [(n.op_type, o) for n in model.graph.node for o in n.output[:1]]
    return [o for kind, o in outputs if o not in known and types.get(o, 0) in floats and (kind not in MOVES or o == "y")]


def answers(model, x, others=()):
    """The rows of the golden, the taps in their order, and the values of the taps."""
    taps = taps_of(model)
    asked = onnx.ModelProto()
    asked.CopyFrom(model)
    del asked.graph.output[:]
    asked.graph.output.extend(helper.make_empty_tensor_value_info(t) for t in taps)
    feeds = {"x": x} | {f"x{i + 2}": -noise(*o) / (i + 2) for i, o in enumerate(others)}
    found = dict(zip(taps, runtime(asked).run(taps, feeds)))
    kept = [t for t in taps if found[t].dtype == np.float32 and found[t].size]
    rows = []
    for tap in kept:
        flat = found[tap].ravel()
        assert np.isfinite(flat).all(), f"{tap} is not finite"
        at = (2654435761 * np.arange(SAMPLES)) % flat.size
        rows.append(np.concatenate([[flat.size, flat.mean(dtype=np.float64), np.abs(flat).max()], flat[at]]))
    sizes = [r[2] for r in rows]
    assert 1e-3 < np.median(sizes) and max(sizes) < 1e4, f"activations vanish or explode: {np.median(sizes)}, {max(sizes)}"
    return np.array(rows, np.float32), kept, found


def write(index, name, model, exporter, shape, twin=None, rounded=False, others=(), given=None, expect=None):
    """Stores a network and its goldens, which are those of `twin` if given; `given` is what the file itself takes where that is
    not the image as famlens has it, and `expect` gives target and end by the values of the taps."""
    rows, taps, values = answers(twin or model, noise(*shape) if given is None else given, others)
    more = expect(taps, values) if expect else {}
    (HERE / f"{name}.onnx").write_bytes(model.SerializeToString())
    np.save(HERE / f"{name}.npy", rows)
    opset = next(o.version for o in model.opset_import if o.domain == "")
    index[name] = {"name": name, "exporter": exporter, "opset": opset, "input": list(shape), "values": "rounded" if rounded else "exact", "taps": " ".join(taps)} | {k: v for k, v in index.get(name, {}).items() if k == "target"} | more
    order = sorted(index.values(), key=lambda e: e["name"])
    (HERE / "index.json").write_text("[\n" + ",\n".join(json.dumps(e) for e in order) + "\n]\n")
    size = (HERE / f"{name}.onnx").stat().st_size + (HERE / f"{name}.npy").stat().st_size
    print(f"{name}: opset {opset}, {len(model.graph.node)} nodes, {len(taps)} taps, {size / 1e3:.0f} kB, largest {rows[:, 2].max():.3g}", file=sys.stderr)


def main(chosen):
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    torch.backends.mha.set_fastpath_enabled(False)
    path = HERE / "index.json"
    index = {e["name"]: e for e in json.loads(path.read_text())} if path.exists() else {}
    failed = []
    for seed, (name, (build, new, opset, height, width, free)) in enumerate(NETWORKS.items()):
        if chosen and name not in chosen:
            continue
        try:
            torch.manual_seed(seed)
            zoo.timm.layers.set_fused_attn(opset >= 14)  # below, the exporter has no such operator
            shape = (1, 3, height, width)
            net = initialise(build(), height, width, seed)
            model = tidy(export(net, new, opset, shape, free))
            write(index, name, model, "torch.export" if new else "TorchScript", shape)
        except Exception as error:  # the others are made all the same, and the run fails at its end
            failed.append(name)
            print(f"{name}: {type(error).__name__}: {str(error)[:300]}", file=sys.stderr)
    from variants import variants

    if not chosen or any(n not in NETWORKS for n in chosen):
        variants(index, chosen, write, tidy, export, initialise, noise)
    from brought import brought

    failed += brought(index, chosen)
    print(f"{len(index)} networks, {sum(f.stat().st_size for f in HERE.iterdir() if f.is_file()) / 1e6:.1f} MB", file=sys.stderr)
    if failed:
        sys.exit(f"not made: {' '.join(failed)}")


if __name__ == "__main__":
    main(sys.argv[1:])
