"""More networks of the kinds that people bring: detectors, segmentation and poses, text, several inputs, timm's and grey ones."""

import timm
import torch
from timm.models.nfnet import NfCfg, NormFreeNet
from torch import nn
from torch.nn import functional as F

from people import Gated, Residual, body, conv, separable

# --- detectors -------------------------------------------------------------------------------------------------------


class Darknet(nn.Module):
    """YOLOv3: Darknet blocks with leaky units, two scales, the cells of each as raw maps."""

    def __init__(self):
        super().__init__()
        leaky = lambda: nn.LeakyReLU(0.1)
        c = lambda *a, **k: conv(*a, act=leaky, **k)
        self.one = nn.Sequential(c(3, 8), c(8, 12, 3, 2), Residual(12, 12, 1, leaky), c(12, 16, 3, 2), c(16, 16, 3, 2))
        self.maps = nn.Sequential(c(16, 24, 3, 2), Residual(24, 24, 1, leaky))
        self.neck, self.up = c(24, 12, 1), c(12, 8, 1)
        self.big = nn.Sequential(c(12, 24), nn.Conv2d(24, 24, 1))
        self.small = nn.Sequential(c(24, 16), nn.Conv2d(16, 24, 1))

    def forward(self, x):
        one = self.one(x)
        y = self.neck(self.maps(one))
        return self.big(y), self.small(torch.cat([F.interpolate(self.up(y), scale_factor=2.0), one], 1))


class C3(nn.Module):
    """YOLOv5's cross-stage block; with `chunked`, YOLOv8's C2f."""

    def __init__(self, i, o, chunked, shortcut=True):
        super().__init__()
        c = lambda *a: conv(*a, act=nn.SiLU)
        half = o // 2
        self.chunked, self.shortcut = chunked, shortcut
        self.one, self.two = c(i, o if chunked else half, 1), None if chunked else c(i, half, 1)
        self.inner, self.last = nn.Sequential(c(half, half, 3), c(half, half, 3)), c(half * (3 if chunked else 2), o, 1)

    def forward(self, x):
        if self.chunked:
            a, b = self.one(x).chunk(2, 1)
            return self.last(torch.cat([a, b, b + self.inner(b) if self.shortcut else self.inner(b)], 1))
        a = self.one(x)
        return self.last(torch.cat([a + self.inner(a) if self.shortcut else self.inner(a), self.two(x)], 1))


class Sppf(nn.Module):
    def __init__(self, i):
        super().__init__()
        self.one, self.last, self.pool = conv(i, i // 2, 1, act=nn.SiLU), conv(2 * i, i, 1, act=nn.SiLU), nn.MaxPool2d(5, 1, 2)

    def forward(self, x):
        x = self.one(x)
        a = self.pool(x)
        b = self.pool(a)
        return self.last(torch.cat([x, a, b, self.pool(b)], 1))


class Yolo(nn.Module):
    """YOLOv5 (anchors, sigmoid, grids) or YOLOv8 (no anchors, distances by a softmax over bins)."""

    def __init__(self, version):
        super().__init__()
        new, c = version == 8, lambda *a: conv(*a, act=nn.SiLU)
        self.new, self.classes, self.bins = new, 3, 4
        self.one = nn.Sequential(conv(3, 8, 6 if not new else 3, 2, act=nn.SiLU, p=2 if not new else 1), c(8, 8, 3, 2), C3(8, 8, new), c(8, 12, 3, 2), C3(12, 12, new))
        self.two = nn.Sequential(c(12, 16, 3, 2), C3(16, 16, new))
        self.three = nn.Sequential(c(16, 24, 3, 2), C3(24, 24, new))
        self.maps = Sppf(24)
        self.up1, self.up2 = C3(24 + 16, 16, new, False), C3(16 + 12, 12, new, False)
        self.down1, self.out1 = c(12, 12, 3, 2), C3(12 + 16, 16, new, False)
        self.down2, self.out2 = c(16, 16, 3, 2), C3(16 + 24, 24, new, False)
        if new:
            head = lambda i, o: nn.Sequential(c(i, 8, 3), nn.Conv2d(8, o, 1))
            self.boxes = nn.ModuleList(head(i, 4 * self.bins) for i in (12, 16, 24))
            self.scores = nn.ModuleList(head(i, self.classes) for i in (12, 16, 24))
        else:
            self.heads = nn.ModuleList(nn.Conv2d(i, 2 * (5 + self.classes), 1) for i in (12, 16, 24))

    def grid(self, v):
        height, width = v.shape[-2:]
        y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        return torch.stack([x, y], -1).float()

    def forward(self, x):
        one = self.one(x)
        two = self.two(one)
        three = self.maps(self.three(two))
        up = lambda v: F.interpolate(v, scale_factor=2.0, mode="nearest")
        mid = self.up1(torch.cat([up(three), two], 1))
        small = self.up2(torch.cat([up(mid), one], 1))
        mid = self.out1(torch.cat([self.down1(small), mid], 1))
        levels = (small, mid, self.out2(torch.cat([self.down2(mid), three], 1)))
        if not self.new:
            found = []
            for level, head, stride in zip(levels, self.heads, (8, 16, 32)):
                y = head(level)
                n, _, h, w = y.shape
                y = y.view(n, 2, 5 + self.classes, h, w).permute(0, 1, 3, 4, 2).sigmoid()
                place = (y[..., :2] * 2 - 0.5 + self.grid(level)) * stride
                size = (y[..., 2:4] * 2) ** 2 * (4.0 * stride)
                found.append(torch.cat([place, size, y[..., 4:]], -1).view(n, -1, 5 + self.classes))
            return torch.cat(found, 1)
        all = torch.cat([torch.cat([b(v), s(v)], 1).flatten(2) for v, b, s in zip(levels, self.boxes, self.scores)], 2)
        boxes, scores = all.split((4 * self.bins, self.classes), 1)
        n, _, cells = boxes.shape
        bins = torch.arange(self.bins).float()
        distances = (boxes.view(n, 4, self.bins, cells).transpose(2, 1).softmax(1) * bins.view(1, -1, 1, 1)).sum(1)
        centres = torch.cat([self.grid(v).reshape(-1, 2) + 0.5 for v in levels]).T.unsqueeze(0)
        near, far = distances.chunk(2, 1)
        near, far = centres - near, centres + far
        return torch.cat([(near + far) / 2, far - near, scores.sigmoid()], 1)


class YoloX(nn.Module):
    """YOLOX (arXiv 2107.08430): focus stem and decoupled heads."""

    def __init__(self):
        super().__init__()
        c = lambda *a: conv(*a, act=nn.SiLU)
        self.focus, self.one = c(12, 8), nn.Sequential(c(8, 8, 3, 2), C3(8, 12, False))
        self.two, self.maps = nn.Sequential(c(12, 16, 3, 2), C3(16, 16, False)), nn.Sequential(c(16, 24, 3, 2), Sppf(24), C3(24, 24, False))
        self.lateral, self.merge = c(24, 16, 1), C3(32, 16, False, False)
        part = lambda o: nn.Conv2d(8, o, 1)
        self.heads = nn.ModuleList(nn.ModuleList([c(i, 8, 1), c(8, 8), c(8, 8), part(3), part(4), part(1)]) for i in (16, 24))

    def forward(self, x):
        x = torch.cat([x[..., ::2, ::2], x[..., 1::2, ::2], x[..., ::2, 1::2], x[..., 1::2, 1::2]], 1)
        two = self.two(self.one(self.focus(x)))
        three = self.maps(two)
        two = self.merge(torch.cat([F.interpolate(self.lateral(three), scale_factor=2.0), two], 1))
        found = []
        for level, (stem, classes, boxes, a, b, o) in zip((two, three), self.heads):
            level = stem(level)
            c, r = classes(level), boxes(level)
            found.append(torch.cat([b(r), o(r).sigmoid(), a(c).sigmoid()], 1).flatten(2))
        return torch.cat(found, 2).permute(0, 2, 1)


class EfficientDet(nn.Module):
    """EfficientDet (arXiv 1911.09070): inverted residuals, weighted pyramid with normalised fusion, separable heads."""

    def __init__(self):
        super().__init__()
        swish = nn.SiLU
        mb = lambda i, o, s: nn.Sequential(conv(i, 3 * i, 1, act=swish), conv(3 * i, 3 * i, 3, s, 3 * i, swish), Gated(3 * i), conv(3 * i, o, 1, act=None))
        self.one = nn.Sequential(conv(3, 8, 3, 2, act=swish), mb(8, 8, 2), mb(8, 12, 2))
        self.two, self.maps = mb(12, 16, 2), mb(16, 24, 2)
        self.sides = nn.ModuleList(conv(i, 8, 1, act=None) for i in (12, 16, 24))
        self.gamma = nn.ParameterList(nn.Parameter(torch.ones(n)) for n in (2, 2, 3, 2))
        self.blend = nn.ModuleList(separable(8, 8, act=swish) for _ in range(4))
        self.scores, self.boxes = nn.Sequential(separable(8, 8, act=swish), nn.Conv2d(8, 6, 3, 1, 1)), nn.Sequential(separable(8, 8, act=swish), nn.Conv2d(8, 8, 3, 1, 1))

    def fuse(self, i, *values):
        w = F.relu(self.gamma[i])
        w = w / (w.sum() + 1e-4)
        return self.blend[i](F.silu(sum(w[j] * v for j, v in enumerate(values))))

    def forward(self, x):
        one = self.one(x)
        two = self.two(one)
        p3, p4, p5 = [side(v) for side, v in zip(self.sides, (one, two, self.maps(two)))]
        up, down = lambda v: F.interpolate(v, scale_factor=2.0), lambda v: F.max_pool2d(v, 3, 2, 1)
        mid = self.fuse(0, p4, up(p5))
        p3 = self.fuse(1, p3, up(mid))
        p4 = self.fuse(2, p4, mid, down(p3))
        p5 = self.fuse(3, p5, down(p4))
        flat = lambda head, n: torch.cat([head(v).permute(0, 2, 3, 1).reshape(v.shape[0], -1, n) for v in (p3, p4, p5)], 1)
        return flat(self.scores, 3).sigmoid(), flat(self.boxes, 4)


class Detr(nn.Module):
    """DETR (arXiv 2005.12872): maps as tokens through an encoder, queries through a decoder."""

    def __init__(self):
        super().__init__()
        self.maps, self.project = body((8, 16)), nn.Conv2d(16, 16, 1)
        self.place, self.queries = nn.Parameter(torch.rand(1, 48, 16)), nn.Parameter(torch.rand(1, 5, 16))
        layer = dict(d_model=16, nhead=2, dim_feedforward=32, batch_first=True)
        self.encoder, self.decoder = nn.TransformerEncoderLayer(**layer), nn.TransformerDecoderLayer(**layer)
        self.classes, self.boxes = nn.Linear(16, 4), nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 4))

    def forward(self, x):
        memory = self.encoder(self.project(self.maps(x)).flatten(2).transpose(1, 2) + self.place)
        y = self.decoder(self.queries.expand(x.shape[0], -1, -1), memory)
        return self.classes(y).softmax(-1), self.boxes(y).sigmoid()


# --- segmentation and poses ------------------------------------------------------------------------------------------


class UNet(nn.Module):
    """U-Net (arXiv 1505.04597) with transposed convolutions, for grey pictures."""

    def __init__(self, channels):
        super().__init__()
        two = lambda i, o: nn.Sequential(conv(i, o), conv(o, o))
        self.one, self.two, self.maps = two(channels, 8), two(8, 12), two(12, 24)
        self.up2, self.join2 = nn.ConvTranspose2d(24, 12, 2, 2), two(24, 12)
        self.up1, self.join1 = nn.ConvTranspose2d(12, 8, 2, 2), two(16, 8)
        self.last = nn.Conv2d(8, 1, 1)

    def forward(self, x):
        one = self.one(x)
        two = self.two(F.max_pool2d(one, 2))
        y = self.maps(F.max_pool2d(two, 2))
        y = self.join2(torch.cat([self.up2(y), two], 1))
        return self.last(self.join1(torch.cat([self.up1(y), one], 1))).sigmoid()


class DeepLab(nn.Module):
    """DeepLabv3 (arXiv 1706.05587): dilated branches and a pooled one, resized back, ArgMax."""

    def __init__(self):
        super().__init__()
        self.maps = body((8, 16, 24))
        dilated = lambda d: nn.Sequential(nn.Conv2d(24, 8, 3, 1, d, d, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.branches, self.pooled = nn.ModuleList([conv(24, 8, 1), dilated(2), dilated(3)]), nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(24, 8, 1), nn.ReLU())
        self.last = nn.Sequential(conv(32, 8, 1), nn.Conv2d(8, 5, 1))

    def forward(self, x):
        y = self.maps(x)
        pooled = F.interpolate(self.pooled(y), size=y.shape[-2:], mode="bilinear", align_corners=False)
        y = self.last(torch.cat([b(y) for b in self.branches] + [pooled], 1))
        return F.interpolate(y, size=x.shape[-2:], mode="bilinear", align_corners=False).argmax(1)


class Pose(nn.Module):
    """Simple baselines for poses (arXiv 1804.06208): transposed convolutions to heat maps of an upright person."""

    def __init__(self):
        super().__init__()
        up = lambda i, o: nn.Sequential(nn.ConvTranspose2d(i, o, 4, 2, 1, bias=False), nn.BatchNorm2d(o), nn.ReLU())
        self.maps, self.head = body((8, 16, 24)), nn.Sequential(up(24, 8), up(8, 8), nn.Conv2d(8, 4, 1))

    def forward(self, x):
        return self.head(self.maps(x))


# --- text ------------------------------------------------------------------------------------------------------------


class Crnn(nn.Module):
    """CRNN (arXiv 1507.05717): grey strips, uneven pools, one cell high, two LSTMs behind it."""

    def __init__(self):
        super().__init__()
        self.maps = nn.Sequential(conv(1, 8), nn.MaxPool2d(2), conv(8, 12), nn.MaxPool2d(2), conv(12, 16), nn.MaxPool2d((2, 1)), conv(16, 24), nn.MaxPool2d((2, 1)), conv(24, 24, 2, p=0))
        self.lstm, self.last = nn.LSTM(24, 8, bidirectional=True), nn.Linear(16, 11)

    def forward(self, x):
        y = self.maps(x).squeeze(2).permute(2, 0, 1)
        return F.log_softmax(self.last(self.lstm(y)[0]), 2)


class PaddleText(nn.Module):
    """A recogniser as PP-OCRv3's: depthwise blocks with hard swish, mixing over the sequence, softmax of every place."""

    def __init__(self):
        super().__init__()
        hard = nn.Hardswish
        block = lambda i, o, s: nn.Sequential(nn.Conv2d(i, i, 3, s, 1, groups=i, bias=False), nn.BatchNorm2d(i), hard(), conv(i, o, 1, act=hard))
        self.maps = nn.Sequential(conv(3, 8, 3, 2, act=hard), block(8, 12, (2, 1)), block(12, 16, (2, 1)), Gated(16, nn.Hardsigmoid), block(16, 24, (2, 1)), nn.AvgPool2d(2))
        self.attention, self.norm = nn.MultiheadAttention(24, 2, batch_first=True), nn.LayerNorm(24)
        self.mlp, self.last = nn.Sequential(nn.LayerNorm(24), nn.Linear(24, 48), nn.SiLU(), nn.Linear(48, 24)), nn.Linear(24, 13)

    def forward(self, x):
        y = self.maps(x).flatten(2).transpose(1, 2)
        n = self.norm(y)
        y = y + self.attention(n, n, n, need_weights=False)[0]
        return F.softmax(self.last(y + self.mlp(y)), 2)


class PaddleFound(nn.Module):
    """A text detector as PaddleOCR's DB (arXiv 1911.08947): hard swish, a summed pyramid, transposed convolutions."""

    def __init__(self):
        super().__init__()
        hard = nn.Hardswish
        self.one, self.two, self.maps = nn.Sequential(conv(3, 8, 3, 2, act=hard), separable(8, 8, 2, hard)), separable(8, 12, 2, hard), nn.Sequential(separable(12, 16, 2, hard), Gated(16, nn.Hardsigmoid))
        self.sides, self.smooth = nn.ModuleList(nn.Conv2d(i, 12, 1, bias=False) for i in (8, 12, 16)), nn.ModuleList(nn.Conv2d(12, 4, 3, 1, 1, bias=False) for _ in range(3))
        self.head = nn.Sequential(conv(12, 4), nn.ConvTranspose2d(4, 4, 2, 2), nn.BatchNorm2d(4), nn.ReLU(), nn.ConvTranspose2d(4, 1, 2, 2), nn.Sigmoid())

    def forward(self, x):
        one = self.one(x)
        two = self.two(one)
        up = lambda v, n: F.interpolate(v, scale_factor=float(n), mode="nearest")
        one, two, three = [side(v) for side, v in zip(self.sides, (one, two, self.maps(two)))]
        two = two + up(three, 2)
        one = one + up(two, 2)
        levels = [up(s(v), n) for s, v, n in zip(self.smooth, (three, two, one), (4, 2, 1))]
        return self.head(torch.cat(levels, 1))


# --- several inputs, grey, timm --------------------------------------------------------------------------------------


class Siamese(nn.Module):
    """Two photos through one network; the file answers with a score."""

    def __init__(self):
        super().__init__()
        self.maps, self.fc, self.score = body((8, 16)), nn.Linear(16, 12), nn.Linear(12, 1)

    def embed(self, x):
        return self.fc(self.maps(x).mean((2, 3)))

    def forward(self, a, b):
        return self.score((self.embed(a) - self.embed(b)).abs()).sigmoid()


class Triplet(Siamese):
    def forward(self, a, b, c):
        return tuple(F.normalize(self.embed(v)) for v in (a, b, c))


class Towers(nn.Module):
    """A photo and a sketch: two different networks into one space; the photo's is the deeper one."""

    def __init__(self):
        super().__init__()
        self.maps, self.other = body((8, 16, 24)), nn.Sequential(conv(1, 8, 3, 4), conv(8, 24, 3, 4))

    def forward(self, photo, sketch):
        return F.cosine_similarity(self.maps(photo).mean((2, 3)), self.other(sketch).mean((2, 3)))


class WithNumbers(nn.Module):
    """A photo and a row of numbers, joined behind the network."""

    def __init__(self):
        super().__init__()
        self.maps, self.last = body((8, 16)), nn.Sequential(nn.Linear(16 + 3, 8), nn.ReLU(), nn.Linear(8, 1))

    def forward(self, x, numbers):
        return self.last(torch.cat([F.adaptive_avg_pool2d(self.maps(x), 1).flatten(1), numbers], 1))


class LeNet(nn.Module):
    """Digits: convolutions and pools, then linear layers over all cells."""

    def __init__(self):
        super().__init__()
        self.maps = nn.Sequential(nn.Conv2d(1, 6, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2))
        self.last = nn.Sequential(nn.Flatten(), nn.Linear(256, 24), nn.ReLU(), nn.Linear(24, 10))

    def forward(self, x):
        return self.last(self.maps(x))


def chest():
    """A grey DenseNet with many independent findings, as for chest X-rays."""
    import torchvision.models as tv

    net = tv.DenseNet(4, (2, 2), 8, 2, num_classes=14)
    net.features.conv0 = nn.Conv2d(1, 8, 7, 2, 3, bias=False)
    return nn.Sequential(net, nn.Sigmoid())


def nf():
    """A network without normalisation: weights are standardised in the graph (arXiv 2102.06171)."""
    cfg = NfCfg(depths=(1, 1), channels=(16, 32), stem_type="3x3", stem_chs=8, group_size=8, bottle_ratio=0.5, attn_layer="se", attn_kwargs=dict(rd_ratio=0.5), num_features=40, extra_conv=True, gamma_in_act=True, act_layer="silu", alpha=0.2)
    return NormFreeNet(cfg, num_classes=6)
