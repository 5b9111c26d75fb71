"""Networks of the kinds that people bring, written out here: re-identification, faces, detectors, segmentation, text, two photos.

Each is small, with the operators and the structure of its kind. `NETWORKS` lists them with what a user would expect: the layer
to explain (a module whose output it is), the shapes of the inputs, and the module whose output the golden must reach.
"""

import torch
from torch import nn
from torch.nn import functional as F


def conv(i, o, k=3, s=1, groups=1, act=nn.ReLU, p=None):
    """Convolution, batch normalisation and an activation."""
    layers = [nn.Conv2d(i, o, k, s, k // 2 if p is None else p, groups=groups, bias=False), nn.BatchNorm2d(o)]
    return nn.Sequential(*layers, act() if act is not nn.PReLU else act(o)) if act else nn.Sequential(*layers)


def separable(i, o, s=1, act=nn.ReLU):
    return nn.Sequential(conv(i, i, 3, s, i, act), conv(i, o, 1, act=act))


class Residual(nn.Module):
    def __init__(self, i, o, s=1, act=nn.ReLU):
        super().__init__()
        self.body = nn.Sequential(conv(i, o, 3, s, act=act), conv(o, o, act=None))
        self.skip = conv(i, o, 1, s, act=None) if s > 1 or i != o else nn.Identity()
        self.last = act()

    def forward(self, x):
        return self.last(self.body(x) + self.skip(x))


def body(widths=(8, 16, 24), channels=3, act=nn.ReLU):
    """A small residual network: a stem, then a stage that halves the sides for each width."""
    layers, i = [conv(channels, widths[0], 3, 2, act=act)], widths[0]
    for o in widths:
        layers.append(Residual(i, o, 2, act))
        i = o
    return nn.Sequential(*layers)


class Gated(nn.Module):
    """Squeeze and excitation."""

    def __init__(self, c, gate=nn.Sigmoid):
        super().__init__()
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(c, c // 4, 1), nn.ReLU(), nn.Conv2d(c // 4, c, 1), gate())

    def forward(self, x):
        return x * self.gate(x)


# --- re-identification and retrieval ---------------------------------------------------------------------------------


class OsBlock(nn.Module):
    """Omni-scale block (arXiv 1905.00953): streams of growing depth under one shared gate."""

    def __init__(self, i, o):
        super().__init__()
        light = lambda: nn.Sequential(nn.Conv2d(4, 4, 1, bias=False), nn.Conv2d(4, 4, 3, 1, 1, groups=4, bias=False), nn.BatchNorm2d(4), nn.ReLU())
        self.first = conv(i, 4, 1)
        self.streams = nn.ModuleList(nn.Sequential(*[light() for _ in range(n)]) for n in (1, 2, 3))
        self.gate, self.last = Gated(4), conv(4, o, 1, act=None)
        self.skip = conv(i, o, 1, act=None) if i != o else nn.Identity()

    def forward(self, x):
        y = self.first(x)
        y = sum(self.gate(stream(y)) for stream in self.streams)
        return F.relu(self.last(y) + self.skip(x))


class OsNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(conv(3, 8, 7, 2), nn.MaxPool2d(3, 2, 1), OsBlock(8, 16), conv(16, 16, 1), nn.AvgPool2d(2), OsBlock(16, 24))
        self.maps = conv(24, 24, 1)
        self.fc = nn.Sequential(nn.Linear(24, 20), nn.BatchNorm1d(20), nn.ReLU())

    def forward(self, x):
        x = self.maps(self.stem(x))
        return self.fc(F.adaptive_avg_pool2d(x, 1).view(x.shape[0], -1))


class GeM(nn.Module):
    """Generalised mean (arXiv 1711.02512)."""

    def forward(self, x):
        return F.avg_pool2d(x.clamp(min=1e-6).pow(3.0), (x.shape[-2], x.shape[-1])).pow(1.0 / 3)


class Strong(nn.Module):
    """The strong baseline of re-identification: last stride 1, GeM, BNNeck, unit length."""

    def __init__(self):
        super().__init__()
        self.maps, self.pool, self.neck = nn.Sequential(body(), Residual(24, 32)), GeM(), nn.BatchNorm1d(32)

    def forward(self, x):
        return F.normalize(self.neck(self.pool(self.maps(x)).flatten(1)))


class Parts(nn.Module):
    """Part-based: horizontal stripes, each with its own reduction."""

    def __init__(self):
        super().__init__()
        self.maps = body((8, 16))
        self.reductions = nn.ModuleList(nn.Sequential(nn.Conv2d(16, 8, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU()) for _ in range(4))

    def forward(self, x):
        stripes = F.adaptive_avg_pool2d(self.maps(x), (4, 1))
        return torch.cat([r(stripes[:, :, i : i + 1]) for i, r in enumerate(self.reductions)], 1).flatten(1)


class Retrieval(nn.Module):
    """GeM, a whitening layer, unit length, with a free size."""

    def __init__(self):
        super().__init__()
        self.maps, self.whiten = body((8, 16, 32)), nn.Linear(32, 24)

    def forward(self, x):
        x = self.maps(x).clamp(min=1e-6).pow(2.5).mean((-2, -1)).pow(1 / 2.5)
        return F.normalize(self.whiten(F.normalize(x)))


class Vlad(nn.Module):
    """Place recognition by NetVLAD (arXiv 1511.07247): residuals to soft-assigned centres."""

    def __init__(self):
        super().__init__()
        self.maps, self.assign, self.centres = body((8, 16)), nn.Conv2d(16, 4, 1), nn.Parameter(torch.rand(4, 16))

    def forward(self, x):
        x = F.normalize(self.maps(x))
        soft, cells = F.softmax(self.assign(x).flatten(2), 1), x.flatten(2)
        vlad = torch.bmm(soft, cells.transpose(1, 2)) - soft.sum(-1, keepdim=True) * self.centres
        return F.normalize(F.normalize(vlad, dim=2).flatten(1))


# --- faces -----------------------------------------------------------------------------------------------------------


class MobileFace(nn.Module):
    """MobileFaceNet (arXiv 1804.07573): PReLU bottlenecks, then a global depthwise convolution."""

    def __init__(self):
        super().__init__()
        bottleneck = lambda i, o, s: nn.Sequential(conv(i, 2 * i, 1, act=nn.PReLU), conv(2 * i, 2 * i, 3, s, 2 * i, nn.PReLU), conv(2 * i, o, 1, act=None))
        self.stem = nn.Sequential(conv(3, 8, 3, 2, act=nn.PReLU), conv(8, 8, 3, 1, 8, nn.PReLU), bottleneck(8, 12, 2))
        self.block = bottleneck(12, 12, 1)
        self.down = bottleneck(12, 16, 2)
        self.maps = conv(16, 32, 1, act=nn.PReLU)
        self.gdc, self.last = conv(32, 32, 7, groups=32, act=None, p=0), nn.Sequential(nn.Linear(32, 24, bias=False), nn.BatchNorm1d(24))

    def forward(self, x):
        x = self.stem(x)
        x = self.maps(self.down(x + self.block(x)))
        return F.normalize(self.last(self.gdc(x).flatten(1)))


class IrBlock(nn.Module):
    def __init__(self, i, o, s, gated):
        super().__init__()
        layers = [nn.BatchNorm2d(i), nn.Conv2d(i, o, 3, 1, 1, bias=False), nn.BatchNorm2d(o), nn.PReLU(o), nn.Conv2d(o, o, 3, s, 1, bias=False), nn.BatchNorm2d(o)]
        self.body = nn.Sequential(*layers, *([Gated(o)] if gated else []))
        self.skip = nn.MaxPool2d(1, s) if i == o else conv(i, o, 1, s, act=None)

    def forward(self, x):
        return self.body(x) + self.skip(x)


class ArcFace(nn.Module):
    """ArcFace's IR network (arXiv 1801.07698): the embedding is a linear layer over all cells."""

    def __init__(self, gated):
        super().__init__()
        blocks = [IrBlock(i, o, s, gated) for i, o, s in [(8, 8, 2), (8, 8, 1), (8, 16, 2), (16, 24, 2)]]
        self.maps = nn.Sequential(conv(3, 8, act=nn.PReLU), *blocks)
        self.norm = nn.BatchNorm2d(24)
        self.fc = nn.Sequential(nn.Dropout(0.4), nn.Flatten(), nn.Linear(24 * 49, 16), nn.BatchNorm1d(16))

    def forward(self, x):
        return self.fc(self.norm(self.maps(x)))


class FaceNet(nn.Module):
    """Inception-ResNet as in FaceNet: branches joined, scaled and added, mean, linear, unit length."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(conv(3, 8, 3, 2, p=0), conv(8, 16, p=0), nn.MaxPool2d(3, 2))
        self.branches = nn.ModuleList([conv(16, 4, 1), nn.Sequential(conv(16, 4, 1), conv(4, 4)), nn.Sequential(conv(16, 4, 1), conv(4, 4), conv(4, 4))])
        self.join, self.maps = nn.Conv2d(12, 16, 1), nn.ReLU()
        self.last, self.norm = nn.Linear(16, 12, bias=False), nn.BatchNorm1d(12)

    def forward(self, x):
        x = self.stem(x)
        x = self.maps(x + 0.17 * self.join(torch.cat([b(x) for b in self.branches], 1)))
        return F.normalize(self.norm(self.last(F.adaptive_avg_pool2d(x, 1).flatten(1))))


class RetinaFace(nn.Module):
    """RetinaFace (arXiv 1905.00641): a narrow MobileNet, a pyramid, context modules, three heads over all cells."""

    def __init__(self):
        super().__init__()
        leaky = lambda: nn.LeakyReLU(0.1)
        self.one = nn.Sequential(conv(3, 8, 3, 2, act=leaky), separable(8, 12, 2, leaky), separable(12, 12, 2, leaky))
        self.two, self.maps = separable(12, 16, 2, leaky), separable(16, 24, 2, leaky)
        self.sides = nn.ModuleList(conv(i, 8, 1, act=leaky) for i in (12, 16, 24))
        self.merge = nn.ModuleList(conv(8, 8, act=leaky) for _ in range(2))
        self.context = nn.ModuleList(nn.ModuleList([conv(8, 4, act=None), conv(8, 2, act=leaky), conv(2, 2, act=None), conv(2, 2, act=leaky), conv(2, 2, act=None)]) for _ in range(3))
        self.heads = nn.ModuleList(nn.ModuleList(nn.Conv2d(8, 2 * n, 1) for n in (4, 2, 10)) for _ in range(3))

    def forward(self, x):
        one = self.one(x)
        two = self.two(one)
        one, two, three = [side(v) for side, v in zip(self.sides, (one, two, self.maps(two)))]
        two = self.merge[1](two + F.interpolate(three, size=two.shape[-2:], mode="nearest"))
        one = self.merge[0](one + F.interpolate(two, size=one.shape[-2:], mode="nearest"))
        found = [[], [], []]
        for level, context, heads in zip((one, two, three), self.context, self.heads):
            a, b1, b2, c1, c2 = context
            b = b1(level)
            level = F.relu(torch.cat([a(level), b2(b), c2(c1(b))], 1))
            for values, head, n in zip(found, heads, (4, 2, 10)):
                values.append(head(level).permute(0, 2, 3, 1).reshape(level.shape[0], -1, n))
        boxes, classes, landmarks = (torch.cat(values, 1) for values in found)
        return boxes, F.softmax(classes, -1), landmarks


class Scrfd(nn.Module):
    """SCRFD (arXiv 2105.04714): a path-aggregation pyramid, scores, boxes and key points of three strides."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(conv(3, 8, 3, 2), Residual(8, 8, 2))
        self.c3, self.c4, self.maps = Residual(8, 12, 2), Residual(12, 16, 2), Residual(16, 24, 2)
        self.sides = nn.ModuleList(nn.Conv2d(i, 8, 1) for i in (12, 16, 24))
        self.down = nn.ModuleList(nn.Conv2d(8, 8, 3, 2, 1) for _ in range(2))
        self.towers = nn.ModuleList(nn.Sequential(nn.Conv2d(8, 8, 3, 1, 1, groups=8), nn.GroupNorm(2, 8), nn.ReLU()) for _ in range(3))
        self.heads = nn.ModuleList(nn.ModuleList(nn.Conv2d(8, 2 * n, 3, 1, 1) for n in (1, 4, 10)) for _ in range(3))

    def forward(self, x):
        c3 = self.c3(self.stem(x))
        c4 = self.c4(c3)
        p3, p4, p5 = [side(v) for side, v in zip(self.sides, (c3, c4, self.maps(c4)))]
        p4 = p4 + F.interpolate(p5, scale_factor=2.0)
        p3 = p3 + F.interpolate(p4, scale_factor=2.0)
        p4 = p4 + self.down[0](p3)
        p5 = p5 + self.down[1](p4)
        out = []
        for i, n in enumerate((1, 4, 10)):
            for level, tower, heads in zip((p3, p4, p5), self.towers, self.heads):
                y = heads[i](tower(level)).permute(0, 2, 3, 1).reshape(-1, n)
                out.append(y.sigmoid() if n == 1 else y)
        return tuple(out)


class UltraFace(nn.Module):
    """The ultra-light face detector: receptive field block, four scales, boxes decoded from constant priors."""

    def __init__(self):
        super().__init__()
        self.one = nn.Sequential(conv(3, 8, 3, 2), separable(8, 8, 2), separable(8, 12, 2))
        self.branches = nn.ModuleList(nn.Sequential(conv(12, 4, 1), nn.Conv2d(4, 4, 3, 1, d, d, bias=False), nn.BatchNorm2d(4)) for d in (2, 3, 5))
        self.join, self.skip = conv(12, 12, 1, act=None), conv(12, 12, 1, act=None)
        self.two, self.maps = separable(12, 16, 2), separable(16, 24, 2)
        self.heads = nn.ModuleList(nn.ModuleList(nn.Conv2d(i, 2 * n, 3, 1, 1) for n in (2, 4)) for i in (12, 16, 24))
        self.register_buffer("priors", torch.rand(1, 240, 4, generator=torch.Generator().manual_seed(5)))

    def forward(self, x):
        one = self.one(x)
        one = F.relu(self.join(torch.cat([b(one) for b in self.branches], 1)) + self.skip(one))
        two = self.two(one)
        levels = (one, two, self.maps(two))
        flat = lambda i, n: torch.cat([h[i](v).permute(0, 2, 3, 1).reshape(v.shape[0], -1, n) for v, h in zip(levels, self.heads)], 1)
        scores, boxes = F.softmax(flat(0, 2), 2), flat(1, 4)
        priors = self.priors[:, : boxes.shape[1]]
        centre, size = boxes[..., :2] * 0.1 * priors[..., 2:] + priors[..., :2], torch.exp(boxes[..., 2:] * 0.2) * priors[..., 2:]
        return scores, torch.cat([centre - size / 2, centre + size / 2], 2)
