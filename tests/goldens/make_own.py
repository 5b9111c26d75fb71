#!/usr/bin/env python3
"""Makes own/ beside this script: FAM of a network's own embedding, where attention or a class token makes it, by torch's autograd.

For maintainers; tests/own_embedding.rs reads the files only. Deterministic on one version of torch.

    pip install -r models/requirements.txt timm
    python tests/goldens/make_own.py

query.png, support.png     [64, 64]; the networks of 32 pixels see their upper left quarter
NAME_contributions.npy     [C]: sum over cells of activation times derivative of <f, g> / (|f| |g|), with |f|, the weights of attention and the
                           deviations of normalisations held fixed (arXiv 2202.07304)
NAME_slopes.npy            [C]: sum over cells of that derivative
NAME_map.npy               [H, W]: the contributions over the activation maps
index.json                 the networks of tests/families, each with the similarity and what is hooked

The networks are those of tests/families, made again from their seeds; that ONNX Runtime gives the same embedding for the file there is checked.
"""

import json
import sys
import warnings
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

HERE = Path(__file__).resolve().parent
OUT = HERE / "own"
FAMILIES = HERE.parent / "families"
sys.path.insert(0, str(FAMILIES))
import make  # noqa: E402
import zoo  # noqa: E402

# The module whose output is explained, and how its output lies: maps, or tokens with a class token first.
HOOKS = {
    "clip_resnet": (lambda net: net.blocks, "maps"),
    "clip_vit": (lambda net: net.blocks[-1].norm1, "sequence first"),
    "dino_vit": (lambda net: net.blocks[-1].norm1, "tokens"),
}


def fixed_layer_norm(x, shape, weight=None, bias=None, eps=1e-5):
    assert list(shape) == [x.shape[-1]]
    centred = x - x.mean(-1, keepdim=True)
    return centred / (centred.square().mean(-1, keepdim=True) + eps).sqrt().detach() * weight + bias


def fixed_attention(q, k, v, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, enable_gqa=False):
    assert attn_mask is None and not is_causal
    return ((q @ k.transpose(-2, -1)) * (scale or q.shape[-1] ** -0.5)).softmax(-1).detach() @ v


def network(name):
    seed = list(make.NETWORKS).index(name)
    build, _, opset, height, width, _ = make.NETWORKS[name]
    torch.manual_seed(seed)
    zoo.timm.layers.set_fused_attn(opset >= 14)
    net = make.initialise(build(), height, width, seed)
    # The file has the normalisations folded into the convolutions before them, and then its large weights rounded to 16 bits.
    for sequence in [m for m in net.modules() if isinstance(m, nn.Sequential)]:
        for i in range(len(sequence) - 1):
            if isinstance(sequence[i], nn.Conv2d) and isinstance(sequence[i + 1], nn.BatchNorm2d):
                sequence[i], sequence[i + 1] = fuse_conv_bn_eval(sequence[i], sequence[i + 1]), nn.Identity()
    for parameter in net.parameters():
        if parameter.numel() > 256:
            parameter.data = parameter.data.half().float()
    return net, height


def image(name, side):
    pixels = np.asarray(Image.open(OUT / name).convert("RGB"), np.float32)[:side, :side] / 127.5 - 1
    return torch.from_numpy(pixels.transpose(2, 0, 1)[None].copy())


def cells(values, layout):
    """[1, C, H, W] of a hooked output."""
    if layout == "maps":
        return values
    tokens = values.permute(1, 0, 2) if layout == "sequence first" else values
    side = int((tokens.shape[1] - 1) ** 0.5)
    return tokens[:, 1:].transpose(1, 2).reshape(1, -1, side, side)


def main():
    warnings.filterwarnings("ignore")
    torch.backends.mha.set_fastpath_enabled(False)
    F.layer_norm, F.scaled_dot_product_attention = fixed_layer_norm, fixed_attention
    F.softmax = lambda x, dim, **_: x.softmax(dim).detach()
    OUT.mkdir(exist_ok=True)
    for name in ("query", "support"):
        Image.open(HERE / "methods" / f"{name}.png").save(OUT / f"{name}.png")
    index = {}
    for name, (hook, layout) in HOOKS.items():
        net, side = network(name)
        query, support = image("query.png", side), image("support.png", side)
        kept = {}

        def keep(module, inputs, output):
            kept["layer"] = output
            output.retain_grad()

        with torch.no_grad():
            g = net(support)[0]
        hook(net).register_forward_hook(keep)
        f = net(query)[0]
        session = onnxruntime.InferenceSession(FAMILIES / f"{name}.onnx")
        (answer,) = session.run(None, {session.get_inputs()[0].name: query.numpy()})
        assert np.abs(answer[0] - f.detach().numpy()).max() < 1e-4, f"{name}: not the network of tests/families"
        direction = (g / (f.norm() * g.norm())).detach()
        (f @ direction).backward()
        a, slope = (cells(x.detach(), layout).double()[0] for x in (kept["layer"], kept["layer"].grad))
        contributions = (a * slope).sum((1, 2))
        for what, values in [("contributions", contributions), ("slopes", slope.sum((1, 2))), ("map", (contributions[:, None, None] * a).sum(0))]:
            np.save(OUT / f"{name}_{what}.npy", values.numpy().astype(np.float32))
        index[name] = {"similarity": float(f.detach() @ direction), "size": side, "shape": list(a.shape)}
        print(name, index[name], "carried", float(contributions.sum()))
    (OUT / "index.json").write_text(json.dumps(index, indent=1) + "\n")


if __name__ == "__main__":
    main()
