"""The networks of tests/families at a size that fits a repository: torchvision's and timm's own classes, narrow and shallow,
and the few-shot and contrastive image towers that neither has, written out here.

A network is built by a function without arguments; `narrow` divides every channel count of a class that has them built in.
"""

import contextlib
import functools

import timm
import timm.layers
import torch
import torchvision.models as tv
from torch import nn
from torch.nn import functional as F


@contextlib.contextmanager
def narrow(divisor, keep=(3,)):
    """Within it, torch's layers are made with a `divisor`-th of the channels asked for; counts in `keep` stay."""

    def less(n):
        if not isinstance(n, int) or n in keep:
            return n
        assert n % divisor == 0, f"{n} channels are no multiple of {divisor}"
        return n // divisor

    originals = {cls: cls.__init__ for cls in (nn.Conv2d, nn.Linear, nn.BatchNorm2d)}

    def wrap(cls, count):
        original = originals[cls]

        @functools.wraps(original)
        def init(self, *args, **kwargs):
            names = ("in_channels", "out_channels", "in_features", "out_features", "num_features")
            if kwargs.get("groups", 1) > 1 and kwargs["groups"] in (args[0] if args else None, kwargs.get("in_channels")):
                kwargs["groups"] = less(kwargs["groups"])
            kwargs = {k: less(v) if k in names else v for k, v in kwargs.items()}
            original(self, *[less(a) for a in args[:count]], *args[count:], **kwargs)

        cls.__init__ = init

    try:
        wrap(nn.Conv2d, 2), wrap(nn.Linear, 2), wrap(nn.BatchNorm2d, 1)
        yield
    finally:
        for cls, original in originals.items():
            cls.__init__ = original


CLASSES = 6


def narrowed(divisor, build, **options):
    def make():
        with narrow(divisor):
            return build(num_classes=CLASSES * divisor, **options)

    return make


# --- torchvision -----------------------------------------------------------------------------------------------------


def resnet(block, layers, divisor, **options):
    return narrowed(divisor, lambda **o: tv.resnet.ResNet(block, layers, **o), **options)


def mobilenet_v3(kind):
    def make():
        settings, _ = tv.mobilenetv3._mobilenet_v3_conf(kind, width_mult=0.15)
        return tv.MobileNetV3(settings, 24, num_classes=CLASSES)

    return make


def mobilenet_v2():
    net = tv.MobileNetV2(CLASSES, 0.15)
    net.features[-1] = tv.mobilenetv2.Conv2dNormActivation(48, 40, kernel_size=1, activation_layer=nn.ReLU6)
    net.classifier[1] = nn.Linear(40, CLASSES)
    return net


def mnasnet():
    net = tv.MNASNet(0.12, CLASSES)
    net.layers[-3], net.layers[-2], net.classifier[1] = nn.Conv2d(40, 48, 1, bias=False), nn.BatchNorm2d(48), nn.Linear(48, CLASSES)
    return net


def efficientnet():
    block = tv.efficientnet.MBConvConfig
    settings = [block(1, 3, 1, 8, 8, 1), block(6, 3, 2, 8, 16, 2), block(6, 5, 2, 16, 24, 1)]
    return tv.EfficientNet(settings, dropout=0.2, num_classes=CLASSES, last_channel=40)


def efficientnet_v2():
    fused, block = tv.efficientnet.FusedMBConvConfig, tv.efficientnet.MBConvConfig
    settings = [fused(1, 3, 1, 8, 8, 1), fused(4, 3, 2, 8, 16, 2), block(4, 3, 2, 16, 24, 2)]
    return tv.EfficientNet(settings, 0.2, num_classes=CLASSES, last_channel=40, norm_layer=functools.partial(nn.BatchNorm2d, eps=1e-3))


def regnet(se):
    def make():
        parameters = tv.regnet.BlockParams([1, 2, 1], [8, 16, 24], [4, 8, 8], [1, 1, 1], [2, 2, 2], se)
        return tv.RegNet(parameters, num_classes=CLASSES, stem_width=8)

    return make


def convnext():
    block = tv.convnext.CNBlockConfig
    return tv.ConvNeXt([block(8, 16, 1), block(16, 24, 2)], layer_scale=0.8, num_classes=CLASSES)


def vit():
    return tv.VisionTransformer(image_size=32, patch_size=8, num_layers=2, num_heads=3, hidden_dim=24, mlp_dim=48, num_classes=CLASSES)


def swin(version):
    def make():
        options = {"block": tv.swin_transformer.SwinTransformerBlockV2, "downsample_layer": tv.swin_transformer.PatchMergingV2}
        return tv.SwinTransformer([4, 4], 12, [2, 2], [2, 4], [4, 4], num_classes=CLASSES, **(options if version == 2 else {}))

    return make


class Lrn(torch.autograd.Function):
    """Local response normalisation as the one ONNX operator, which torch's own export takes apart."""

    @staticmethod
    def forward(ctx, x, size, alpha, beta, k):
        return F.local_response_norm(x, size, alpha, beta, k)

    @staticmethod
    def symbolic(g, x, size, alpha, beta, k):
        return g.op("LRN", x, size_i=size, alpha_f=alpha, beta_f=beta, bias_f=k).setType(x.type())


class LrnNet(nn.Module):
    """AlexNet as first published: local response normalisation and grouped convolutions."""

    class Normalise(nn.Module):
        def __init__(self, *settings):
            super().__init__()
            self.settings = settings

        def forward(self, x):
            return Lrn.apply(x, *self.settings)

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 11, 4, 2), nn.ReLU(), self.Normalise(5, 1e-2, 0.75, 2.0), nn.MaxPool2d(3, 2),
            nn.Conv2d(8, 16, 5, 1, 2, groups=2), nn.ReLU(), self.Normalise(3, 1e-1, 0.5, 1.0), nn.MaxPool2d(3, 2),
            nn.Conv2d(16, 12, 3, 1, 1), nn.ReLU(),
        )
        self.classifier = nn.Sequential(nn.Flatten(), nn.Linear(12 * 7 * 7, 20), nn.ReLU(), nn.Linear(20, CLASSES))

    def forward(self, x):
        return self.classifier(self.features(x))


class UNetLike(nn.Module):
    """What decoders add to a backbone: upsampling in every usual mode, reflected and replicated borders, group and instance
    normalisation, PReLU, transposed grids joined again."""

    def __init__(self):
        super().__init__()
        self.down = nn.Sequential(
            nn.ReflectionPad2d(1), nn.Conv2d(3, 8, 3, 2), nn.GroupNorm(2, 8), nn.ELU(),
            nn.ReplicationPad2d((1, 0, 1, 0)), nn.Conv2d(8, 12, 3, 2, 1), nn.InstanceNorm2d(12, affine=True), nn.PReLU(12),
        )
        self.merge = nn.Conv2d(36, 10, 3, padding=1)

    def forward(self, x):
        x = self.down(x)
        nearest = F.interpolate(x, scale_factor=2, mode="nearest")
        linear = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        corners = F.interpolate(x, size=(nearest.shape[2], nearest.shape[3]), mode="bilinear", align_corners=True)
        x = F.softplus(self.merge(torch.cat([nearest, linear, corners], 1)))
        return F.normalize(x.mean((2, 3)), dim=1)


# --- timm ------------------------------------------------------------------------------------------------------------


def timm_vit(**options):
    from timm.models.vision_transformer import VisionTransformer

    return lambda: VisionTransformer(
        **{"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 3, "mlp_ratio": 2, "num_classes": CLASSES} | options
    )


def deit():
    from timm.models.deit import VisionTransformerDistilled

    return VisionTransformerDistilled(img_size=32, patch_size=8, embed_dim=24, depth=2, num_heads=3, mlp_ratio=2, num_classes=CLASSES)


def timm_swin():
    from timm.models.swin_transformer import SwinTransformer

    return SwinTransformer(img_size=32, patch_size=2, embed_dim=12, depths=(2, 2), num_heads=(2, 4), window_size=4, num_classes=CLASSES)


def named(name, **options):
    return lambda: timm.create_model(name, pretrained=False, num_classes=CLASSES, **options)


def coatnet():
    from timm.models.maxxvit import MaxxVit, MaxxVitCfg, MaxxVitConvCfg, MaxxVitTransformerCfg

    config = MaxxVitCfg(
        embed_dim=(8, 12, 16, 24), depths=(1, 1, 1, 1), block_type=("C", "C", "T", "T"), stem_width=8, head_hidden_size=24,
        transformer_cfg=MaxxVitTransformerCfg(dim_head=8, expand_ratio=2, rel_pos_type="bias"), conv_cfg=MaxxVitConvCfg(expand_ratio=2),
    )
    return MaxxVit(config, img_size=64, num_classes=CLASSES)


def levit():
    from timm.models.levit import Levit

    return Levit(img_size=64, embed_dim=(16, 24, 32), key_dim=8, depth=(1, 1, 1), num_heads=(2, 3, 4), num_classes=CLASSES)


def mobilevit():
    from timm.models import mobilevit as mv
    from timm.models.byobnet import ByobNet

    blocks = (
        mv._inverted_residual_block(d=1, c=8, s=1, br=2.0), mv._inverted_residual_block(d=2, c=12, s=2, br=2.0),
        mv._mobilevit_block(d=1, c=16, s=2, transformer_dim=16, transformer_depth=1, br=2.0),
        mv._mobilevit_block(d=1, c=20, s=2, transformer_dim=20, transformer_depth=2, br=2.0),
    )
    config = mv.ByoModelCfg(blocks=blocks, stem_chs=8, stem_type="3x3", stem_pool="", num_features=32, act_layer="silu")
    return ByobNet(config, num_classes=CLASSES)


# --- few-shot and contrastive networks ---------------------------------------------------------------------------------


class Conv64F(nn.Module):
    """Four blocks of 64 channels (Vinyals et al., arXiv 1606.04080), here 16."""

    def __init__(self, width=16):
        super().__init__()
        block = lambda i: (nn.Conv2d(i, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2))
        self.blocks = nn.Sequential(*block(3), *block(width), *block(width), *block(width))

    def forward(self, x):
        return self.blocks(x).flatten(1)


class ResNet12(nn.Module):
    """Four blocks of three convolutions with LeakyReLU(0.1) and pooling (Lee et al., arXiv 1904.03758)."""

    class Block(nn.Module):
        def __init__(self, i, o):
            super().__init__()
            conv = lambda a: (nn.Conv2d(a, o, 3, padding=1, bias=False), nn.BatchNorm2d(o))
            self.body = nn.Sequential(*conv(i), nn.LeakyReLU(0.1), *conv(o), nn.LeakyReLU(0.1), *conv(o))
            self.skip = nn.Sequential(nn.Conv2d(i, o, 1, bias=False), nn.BatchNorm2d(o))

        def forward(self, x):
            return F.max_pool2d(F.leaky_relu(self.body(x) + self.skip(x), 0.1), 2)

    def __init__(self, widths=(6, 10, 12, 20)):
        super().__init__()
        self.blocks = nn.Sequential(*[self.Block(i, o) for i, o in zip((3, *widths), widths)])

    def forward(self, x):
        return self.blocks(x).mean((2, 3))


class Projected(nn.Module):
    """A backbone with SimCLR's or MoCo v2's two-layer head and its normalised output (arXiv 2002.05709, 2003.04297)."""

    def __init__(self):
        super().__init__()
        with narrow(16):
            self.backbone = tv.resnet.ResNet(tv.resnet.Bottleneck, [1, 1, 1, 1], num_classes=80)
        width = self.backbone.fc.in_features
        self.backbone.fc = nn.Sequential(nn.Linear(width, 48), nn.BatchNorm1d(48), nn.ReLU(), nn.Linear(48, 16))

    def forward(self, x):
        return F.normalize(self.backbone(x), dim=1)


class AttentionPool(nn.Module):
    """CLIP's attention pooling: the mean of the cells, with them as keys and values (arXiv 2103.00020, section 2.4)."""

    def __init__(self, cells, width, heads, out):
        super().__init__()
        self.position = nn.Parameter(torch.zeros(cells + 1, width))
        self.heads = heads
        self.q, self.k, self.v, self.out = (nn.Linear(width, o) for o in (width, width, width, out))

    def forward(self, x):
        x = x.flatten(2).permute(2, 0, 1)
        x = torch.cat([x.mean(0, keepdim=True), x]) + self.position[:, None, :]
        pooled, _ = F.multi_head_attention_forward(
            x[:1], x, x, x.shape[-1], self.heads, None, torch.cat([self.q.bias, self.k.bias, self.v.bias]), None, None, False, 0.0,
            self.out.weight, self.out.bias, training=False, need_weights=False, use_separate_proj_weight=True,
            q_proj_weight=self.q.weight, k_proj_weight=self.k.weight, v_proj_weight=self.v.weight,
        )
        return pooled.squeeze(0)


class ClipResNet(nn.Module):
    """CLIP's modified ResNet: a stem of three convolutions, average pools before strides, attention pooling."""

    class Block(nn.Module):
        def __init__(self, i, planes, stride):
            super().__init__()
            norm, pool = nn.BatchNorm2d, (nn.AvgPool2d(stride) if stride > 1 else nn.Identity())
            conv = lambda a, b, k: nn.Conv2d(a, b, k, padding=k // 2, bias=False)
            self.body = nn.Sequential(
                conv(i, planes, 1), norm(planes), nn.ReLU(), conv(planes, planes, 3), norm(planes), nn.ReLU(), pool, conv(planes, planes * 4, 1), norm(planes * 4)
            )
            self.skip = nn.Sequential(nn.AvgPool2d(stride), conv(i, planes * 4, 1), norm(planes * 4))

        def forward(self, x):
            return F.relu(self.body(x) + self.skip(x))

    def __init__(self, size=64, width=8, out=12):
        super().__init__()
        half = width // 2
        conv = lambda i, o, s: (nn.Conv2d(i, o, 3, s, 1, bias=False), nn.BatchNorm2d(o), nn.ReLU())
        self.stem = nn.Sequential(*conv(3, half, 2), *conv(half, half, 1), *conv(half, width, 1), nn.AvgPool2d(2))
        self.blocks = nn.Sequential(self.Block(width, 4, 1), self.Block(16, 6, 2), self.Block(24, 8, 2))
        self.pool = AttentionPool((size // 16) ** 2, 32, 4, out)

    def forward(self, x):
        return self.pool(self.blocks(self.stem(x)))


class ClipViT(nn.Module):
    """CLIP's ViT image tower: QuickGELU, norms before and after, a bare projection of the class token.

    `written_out`: attention by bare products and a softmax instead of torch's fused function."""

    class Block(nn.Module):
        def __init__(self, width, heads, written_out):
            super().__init__()
            self.written_out = written_out
            self.attention = nn.MultiheadAttention(width, heads)
            self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.fc1, self.fc2 = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

        def forward(self, x):
            y = self.norm1(x)
            x = x + self.attention(y, y, y, need_weights=self.written_out)[0]
            y = self.fc1(self.norm2(x))
            return x + self.fc2(y * torch.sigmoid(1.702 * y))

    def __init__(self, size=32, patch=8, width=24, heads=3, out=12, written_out=False):
        super().__init__()
        self.patches = nn.Conv2d(3, width, patch, patch, bias=False)
        self.token = nn.Parameter(torch.zeros(width))
        self.position = nn.Parameter(torch.zeros((size // patch) ** 2 + 1, width))
        self.pre, self.post = nn.LayerNorm(width), nn.LayerNorm(width)
        self.blocks = nn.Sequential(*[self.Block(width, heads, written_out) for _ in range(2)])
        self.projection = nn.Parameter(torch.zeros(width, out))

    def forward(self, x):
        x = self.patches(x).flatten(2).permute(0, 2, 1)
        token = self.token + torch.zeros(x.shape[0], 1, x.shape[-1], dtype=x.dtype, device=x.device)
        x = self.pre(torch.cat([token, x], 1) + self.position).permute(1, 0, 2)
        x = self.post(self.blocks(x).permute(1, 0, 2)[:, 0])
        return x @ self.projection


class Tiny(nn.Module):
    """What the quantised and half-precision variants are made of: a stem, a depthwise block, a residual, a pool, a layer."""

    def __init__(self):
        super().__init__()
        conv = lambda i, o, k, s, g=1: nn.Sequential(nn.Conv2d(i, o, k, s, k // 2, groups=g, bias=False), nn.BatchNorm2d(o))
        self.stem, self.depth, self.point = conv(3, 12, 3, 2), conv(12, 12, 3, 1, 12), conv(12, 12, 1, 1)
        self.last, self.fc = conv(12, 20, 3, 2), nn.Linear(20, CLASSES)

    def forward(self, x):
        x = F.relu6(self.stem(x))
        x = x + self.point(F.relu6(self.depth(x)))
        x = F.relu(self.last(x))
        return self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1))
