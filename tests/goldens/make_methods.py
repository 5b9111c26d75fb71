#!/usr/bin/env python3
"""Makes methods/ beside this script: what pytorch-grad-cam and plain torch answer, for tests/methods.rs to compare with.

For maintainers; the tests read the files only. Deterministic on one version of torch.

    pip install -r models/requirements.txt grad-cam
    python tests/goldens/make_methods.py

net.onnx, net.json         a small network with random weights (max pooling, depthwise, a squeeze-and-excitation gate, SiLU), which
                           famlens and torch both run; its layers "early" [12, 16, 16] and "features" [32, 8, 8] are the targets
query.png, support.png     its inputs, 64x64
net_LAYER_OBJECTIVE.npy    [methods, h, w] raw maps; OBJECTIVE is "logit" (output LOGIT) or "cosine" (of the pooled features, to
                           those of the support). Methods in index.json's order
net_LAYER_OBJECTIVE_gradient.npy   torch's gradient of the objective, [C, h, w]
net_passes_OBJECTIVE.npy / _rise   occlusion [16, 16] and RISE [64, 64], in plain torch, since pytorch-grad-cam has neither
shown.npy                  [2, 64, 64] what pytorch-grad-cam shows in the end for Grad-CAM and LayerCAM at "features", logit
lite0_OBJECTIVE.npy        [methods, 7, 7] the shipped model: its features by ONNX Runtime, what comes after them in torch

Where this differs from pytorch-grad-cam's own output, and why:
  * It rectifies every map, scales it to 0..1 at the layer's resolution, resizes it bilinearly (cv2, half-pixel centres) and scales
    it to 0..1 again. famlens keeps maps raw, rectifies those that are rectified as published, and scales for display only, over the
    resized map. The goldens are the maps before all of that, which both have; shown.npy is after it.
  * Grad-CAM++: it adds 1e-6 to a denominator, which decides the result where gradients are as small as a cosine's. The goldens
    leave that out, in a subclass here.
  * Eigen-CAM's sign is whatever numpy's SVD gives; the test compares up to sign.
  * Score-CAM upsamples the masks with aligned corners there and with half-pixel centres in famlens.
  * Ablation-CAM divides by the score, famlens by its absolute value; the objectives here are positive.
"""

import io
import json
import sys
from pathlib import Path

import numpy as np
import onnx
import torch
from PIL import Image
from torch import nn

import pytorch_grad_cam as pgc

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
OUT = HERE / "methods"
sys.path.insert(0, str(ROOT / "models"))
import export  # noqa: E402  (models/export.py: preprocessing and ONNX Runtime, in one place)

LOGIT, SEED = 3, 1
SIZE = 64
WINDOW, STRIDE = 12, 4
MASKS, GRID, KEEP = 60, 7, 0.5


class Gate(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.down, self.up = nn.Conv2d(channels, 4, 1), nn.Conv2d(4, channels, 1)

    def forward(self, x):
        return x * torch.sigmoid(self.up(torch.relu(self.down(x.mean((2, 3), keepdim=True)))))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.early = nn.Sequential(nn.Conv2d(3, 12, 3, 2, 1), nn.ReLU6(), nn.MaxPool2d(2))
        self.middle = nn.Sequential(nn.Conv2d(12, 12, 3, 1, 1, groups=12), nn.SiLU(), Gate(12), nn.Conv2d(12, 24, 1), nn.Hardswish())
        self.features = nn.Sequential(nn.Conv2d(24, 32, 3, 2, 1), nn.ReLU())
        self.classifier = nn.Linear(32, 6)

    def embed(self, x):
        return self.features(self.middle(self.early(x))).mean((2, 3))

    def forward(self, x):
        return self.classifier(self.embed(x))


class Embedding(nn.Module):
    """The same network, ending at the pooled features."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net.embed(x)


class GradCAMPlusPlus(pgc.GradCAMPlusPlus):
    """Without the addend to the denominator."""

    def get_cam_weights(self, input_tensor, target_layers, targets, activations, grads):
        g = grads.astype(np.float64)
        denominator = 2 * g**2 + activations.sum((2, 3), keepdims=True) * g**3
        alpha = np.where(g != 0, g**2 / np.where(denominator == 0, np.inf, denominator), 0)
        return (np.maximum(g, 0) * alpha).sum((2, 3))


METHODS = {
    "grad-cam": pgc.GradCAM,
    "grad-cam++": GradCAMPlusPlus,
    "layer-cam": pgc.LayerCAM,
    "hires-cam": pgc.HiResCAM,
    "xgrad-cam": pgc.XGradCAM,
    "eigen-cam": pgc.EigenCAM,
    "score-cam": pgc.ScoreCAM,
    "ablation-cam": pgc.AblationCAM,
}


def by_package(method, model, layer, target, x):
    """The map before it is rectified and resized, the one that is shown, and activations and gradient."""
    with METHODS[method](model, [layer]) as cam:
        shown = cam(x, [target])[0]
        if method in ("score-cam", "ablation-cam", "eigen-cam"):  # these take no gradients
            activations = cam.activations_and_grads.activations[0].numpy()
            gradient = None
        else:
            activations = cam.activations_and_grads.activations[0].numpy()
            gradient = cam.activations_and_grads.gradients[0].numpy()
        raw = cam.get_cam_image(x, layer, [target], activations, gradient, False)[0]
    return raw, shown, activations[0], None if gradient is None else gradient[0]


def uniform(seed):
    """SplitMix64 as numbers in 0..1, as famlens draws them."""
    mask = (1 << 64) - 1
    while True:
        seed = (seed + 0x9E3779B97F4A7C15) & mask
        z = ((seed ^ (seed >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        yield ((z ^ (z >> 31)) >> 11) / 2**53


def random_weights(channels):
    numbers = uniform(SEED)
    return np.array([2 * next(numbers) - 1 for _ in range(channels)])


def occlusion(score, x):
    places = [(STRIDE * i + STRIDE // 2) for i in range(-(-SIZE // STRIDE))]
    out = np.zeros((len(places), len(places)))
    whole = score(x)
    for i, cy in enumerate(places):
        for j, cx in enumerate(places):
            hidden = x.clone()
            top, left = max(cy - WINDOW // 2, 0), max(cx - WINDOW // 2, 0)
            hidden[:, :, top : cy + -(-WINDOW // 2), left : cx + -(-WINDOW // 2)] = 0
            out[i, j] = whole - score(hidden)
    return out


def rise(score, x):
    numbers = uniform(SEED)
    cell = -(-SIZE // GRID)
    large = (GRID + 1) * cell
    total = np.zeros((SIZE, SIZE))
    for _ in range(MASKS):
        grid = np.array([float(next(numbers) < KEEP) for _ in range(GRID * GRID)], np.float32).reshape(1, 1, GRID, GRID)
        mask = nn.functional.interpolate(torch.from_numpy(grid), (large, large), mode="bilinear", align_corners=False)
        top, left = int(next(numbers) * cell), int(next(numbers) * cell)
        mask = mask[:, :, top : top + SIZE, left : left + SIZE]
        total += score(x * mask) * mask[0, 0].numpy()
    return total / MASKS / KEEP


def cosine_to(prototype):
    return lambda output: nn.functional.cosine_similarity(output, prototype, dim=-1)


def photo(name, box):
    pixels = Image.open(ROOT / "tests" / "photos" / name).convert("RGB").resize((SIZE, SIZE), Image.Resampling.BILINEAR, box)
    return pixels


def tensor(image):
    pixels = np.asarray(image).astype(np.float32)
    return torch.from_numpy(np.ascontiguousarray(((pixels - 127) / 128).transpose(2, 0, 1)[None]))


def make_net():
    torch.manual_seed(0)
    net = Net().eval()
    # Gradients far from rounding, and activations on both sides of every kink.
    for parameter in net.parameters():
        parameter.data *= 2.0
    with torch.no_grad():
        net.classifier.weight *= 4
    return net


def save_net(net):
    class All(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net

        def forward(self, x):
            early = net.early(x)
            features = net.features(net.middle(early))
            return net.classifier(features.mean((2, 3))), features, early

    file = io.BytesIO()
    torch.onnx.export(
        All(), (torch.zeros(1, 3, SIZE, SIZE),), file, input_names=["image"], output_names=["logits", "features", "early"], opset_version=17, dynamo=False
    )
    proto = onnx.load_from_string(file.getvalue())
    del proto.graph.output[1:]
    for node in proto.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    proto.producer_name = "famlens tests/goldens/make_methods.py"
    (OUT / "net.onnx").write_bytes(proto.SerializeToString())
    card = {
        "format": 1,
        "name": "methods test net",
        "file": "net.onnx",
        "input": {"name": "image", "size": SIZE, "stride": 8, "geometry": "squash", "mean": [127] * 3, "std": [128] * 3},
        "target": "features",
        "pooling": "gap",
        "logits": "logits",
        "labels": ["ant", "bee", "cat", "dog", "eel", "fox"],
    }
    (OUT / "net.json").write_text(json.dumps(card, indent=2) + "\n")


def save(name, values):
    np.save(OUT / f"{name}.npy", np.ascontiguousarray(values, np.float32))


def main():
    OUT.mkdir(exist_ok=True)
    query, support = photo("bird/kingfisher.jpg", (0, 0, 400, 400)), photo("dog/dog.jpg", None)
    query.save(OUT / "query.png", optimize=True)
    support.save(OUT / "support.png", optimize=True)
    net = make_net()
    save_net(net)
    x = tensor(query)
    with torch.no_grad():
        prototype = net.embed(tensor(support))[0]
        logits = net(x)[0]
    assert logits[LOGIT] > 0, logits
    objectives = {"logit": (net, lambda output: output[..., LOGIT]), "cosine": (Embedding(net), cosine_to(prototype))}
    names = {}
    shown = {}
    scores = {}
    for objective, (model, target) in objectives.items():
        score = lambda image: float(target(model(image)[0]).detach())  # noqa: E731
        scores[objective] = score(x)
        for layer in ("early", "features"):
            rows, gradient = {}, None
            for method in METHODS:
                # Ablation puts another layer in the place of this one, so the layer is looked up each time.
                raw, final, activations, found = by_package(method, model, getattr(net, layer), target, x)
                rows[method] = raw
                gradient = gradient if found is None else found
                if layer == "features" and objective == "logit":
                    shown[method] = final
            rows["mean"] = activations.mean(0)
            rows["random"] = np.tensordot(random_weights(len(activations)), activations, 1)
            if layer == "features":
                f, g = activations.mean((1, 2)), prototype.numpy()
                # Weights whose sum with the pooled features is the score: the mean of the CAM is it (a logit's bias apart).
                cosine = g / np.linalg.norm(g) / np.linalg.norm(f)
                direction = net.classifier.weight[LOGIT].detach().numpy() if objective == "logit" else cosine
                rows["cam"] = np.tensordot(direction, activations, 1)
                rows["fam"] = np.tensordot(f * direction, activations, 1)
            names[layer] = list(rows)
            save(f"net_{layer}_{objective}", np.stack(list(rows.values())))
            save(f"net_{layer}_{objective}_gradient", gradient)
        save(f"net_occlusion_{objective}", occlusion(score, x))
        save(f"net_rise_{objective}", rise(score, x))
    save("shown", np.stack([shown["grad-cam"], shown["layer-cam"]]))
    lite0_label = make_lite0(names)
    index = {
        "methods": names,
        "logit": LOGIT,
        "scores": scores,
        "shown": ["grad-cam", "layer-cam"],
        "occlusion": {"window": WINDOW, "stride": STRIDE},
        "rise": {"masks": MASKS, "grid": GRID, "keep": KEEP, "seed": SEED},
        "lite0_label": lite0_label,
        "versions": {"torch": torch.__version__, "grad-cam": "1.5.7"},
    }
    (OUT / "index.json").write_text(json.dumps(index, indent=2) + "\n")
    print(json.dumps(scores), lite0_label)


class Head(nn.Module):
    """What comes after the target layer of the shipped model."""

    def __init__(self, weight, bias):
        super().__init__()
        self.layer = nn.Identity()
        self.classifier = nn.Linear(weight.shape[1], weight.shape[0]).eval()
        self.classifier.weight.data, self.classifier.bias.data = torch.from_numpy(weight), torch.from_numpy(bias)

    def forward(self, features):
        return self.classifier(self.layer(features * 1.0).mean((2, 3)))


class HeadEmbedding(Head):
    def forward(self, features):
        return self.layer(features * 1.0).mean((2, 3))


def make_lite0(names):
    """dog.png of engine/ under its predicted logit, and under the cosine to kingfisher.png."""
    file = ROOT / "models" / "efficientnet_lite0" / "model.onnx"
    run = export.session(file, ("features", "logits", "embedding", "classifier.weight", "classifier.bias"))
    image = lambda name: np.ascontiguousarray(tensor(Image.open(HERE / "engine" / name).convert("RGB")).numpy())  # noqa: E731
    features, logits, _, weight, bias = run(image("dog.png"))
    prototype = torch.from_numpy(run(image("kingfisher.png"))[2].reshape(-1))
    label = int(logits[0].argmax())
    x = torch.from_numpy(features).requires_grad_(True)
    chosen = ["grad-cam", "grad-cam++", "layer-cam", "hires-cam", "xgrad-cam", "eigen-cam", "ablation-cam"]
    for objective in ("logit", "cosine"):
        head = (Head if objective == "logit" else HeadEmbedding)(weight.copy(), bias.copy())
        target = (lambda output: output[..., label]) if objective == "logit" else cosine_to(prototype)
        save(f"lite0_{objective}", np.stack([by_package(m, head, head.layer, target, x)[0] for m in chosen]))
    names["lite0"] = chosen
    return json.loads((ROOT / "models" / "efficientnet_lite0" / "model.json").read_text())["labels"][label]


if __name__ == "__main__":
    main()
