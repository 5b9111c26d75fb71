#!/usr/bin/env python3
"""The study behind whitened and discriminative FAM (docs/notes/class_specific.md), on the photos of tests/photos.

    python docs/notes/class_specific_study.py CACHE_DIR main|few|test|ablations|statistics [K ...]

For maintainers; needs numpy, scipy, onnxruntime, onnx, Pillow. CACHE_DIR keeps activations between runs. The equations
are those of tests/goldens/make_class_specific.py, in float64, vectorised over classes.

Protocol
  * Classes: the folders of tests/photos that name one kind of thing and hold at least K + 1 photos.
  * Statistics: every photo of tests/photos but those of the episode at hand, unless a row says otherwise.
  * Mosaic: 2x2 photos of four classes, each squashed to half the side. Four classes with K supports each, supports
    disjoint from the tiles. Energy: the share of max(map, 0) within the class's own tile. Argmax: whether the map's
    highest pixel lies there. AUC: area under the ROC curve of the map's values, own tile against the rest.
  * Boxes: 2-way K-shot episodes around each boxed photo, the map of its own class. IoU as in FAM: min-max on the cells,
    bilinear upsampling, threshold, box of the largest 8-connected component. The threshold is chosen per form on the
    other half of the boxed photos. EPG: share of max(map, 0) in the box.
  * Accuracy: N-way K-shot, by the score that belongs to the form.
  * Intervals: 95 %, bootstrap over the photos explained (tiles, boxed photos, queries), each photo's episodes averaged.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
import sys  # noqa: E402
import time  # noqa: E402
from functools import lru_cache  # noqa: E402
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402
from scipy import linalg, ndimage, stats as sstats  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "models"))
import export  # noqa: E402

MODEL = export.MODELS["efficientnet_lite0"]
LAYER = "blocks.15.project.conv"
NOT_ONE_KIND = {"misc", "other_animal", "landmark"}
GRID = 80  # maps are measured on GRID x GRID pixels
CACHE = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("/tmp/famlens/cache")

FILES = [p.relative_to(export.PHOTOS).as_posix() for p in export.photos()]
FOLDER = [f.split("/")[0] for f in FILES]
MEMBERS = {k: [i for i, f in enumerate(FOLDER) if f == k] for k in dict.fromkeys(FOLDER)}
CLASSES = [k for k, m in MEMBERS.items() if len(m) >= 4 and k not in NOT_ONE_KIND]
DEV = ["bird", "hammer", "pliers", "pyramid", "solar_panel", "windmill"]
TEST = [k for k in CLASSES if k not in DEV]


@lru_cache(None)
def runner():
    return export.session(str(export.HERE / "efficientnet_lite0/model.onnx"), (LAYER, "features"))


def forward(pixels):
    a, f = runner()(export.normalise(pixels, MODEL))
    return a[0], f[0]


@lru_cache(None)
def photo_pixels(i, w, h=None):
    return export.squash(export.load_rgb(export.PHOTOS / FILES[i]), w, h)


@lru_cache(None)
def activations(size):
    path = CACHE / f"photos{size}.npz"
    if not path.exists():
        out = [forward(photo_pixels(i, size)) for i in range(len(FILES))]
        np.savez(path, A=np.stack([o[0] for o in out]), F=np.stack([o[1] for o in out]))
    z = np.load(path)
    return z["A"].astype(np.float64), z["F"].astype(np.float64)


# ---- statistics ----


@lru_cache(None)
def moments(size):
    A = activations(size)[0]
    X = A.reshape(len(A), 320, -1)
    return X.sum(2), np.einsum("nci,ndi->ncd", X, X), X.shape[2]


@lru_cache(None)
def means(size, which):
    """Mean cell and mean border cell of each photo; which: 0 the last block, 1 the head."""
    X = activations(size)[which]
    return X.mean((2, 3)), X[..., ring(*X.shape[2:])].mean(2)


class Statistics:
    """mu, Sigma, W and P (W = P'P, lower triangular) over the cells of `images`."""

    def __init__(self, size, images, shrink=0.1, diagonal=False, power=1.0):
        S1, S2, n = moments(size)
        rest = [i for i in range(len(S1)) if i not in set(images)]
        t1, t2 = totals(size)
        if len(rest) < len(images):
            s1, s2 = t1 - S1[rest].sum(0), t2 - S2[rest].sum(0)
        else:
            s1, s2 = S1[list(images)].sum(0), S2[list(images)].sum(0)
        count = n * len(images)
        self.mu = s1 / count
        sigma = s2 / count - np.outer(self.mu, self.mu)
        self.sigma = (sigma + sigma.T) / 2
        if diagonal:
            sigma = np.diag(np.diag(self.sigma))
        else:
            sigma = self.sigma
        c = len(sigma)
        self.shrunk = (1 - shrink) * sigma + shrink * np.trace(sigma) / c * np.eye(c)
        if power == 1:
            R = linalg.cholesky(self.shrunk, lower=True)
            self.P = linalg.solve_triangular(R, np.eye(c), lower=True)
        else:
            e, u = linalg.eigh(self.shrunk)
            self.P = (u * e ** (-power / 2)) @ u.T

    def z(self, A):
        """Whitened cells, [320, h, w] -> [320, h, w]"""
        return np.tensordot(self.P, A - self.mu[:, None, None], 1)


@lru_cache(None)
def totals(size):
    S1, S2, _ = moments(size)
    return S1.sum(0), S2.sum(0)


def ring(h, w):
    m = np.ones((h, w), bool)
    m[1:-1, 1:-1] = False
    return m


# ---- forms: query, supports -> maps [N, h, w], scores [N] ----
# q: dict size -> (A, F); sup: list per class of lists of photo indices; ex: photos left out of the statistics


def unit(v):
    return v / np.linalg.norm(v, axis=-1, keepdims=True)


def head_form(kind, size):
    def form(q, sup, stat):
        F = q[size][1]
        f = F.mean((1, 2))
        g = np.stack([means(size, 1)[0][s].mean(0) for s in sup])
        cos = unit(g) @ unit(f)
        if kind == "plain":
            w, score = unit(f) * unit(g), cos
        elif kind == "cam":
            w, score = unit(g), cos
        elif kind == "centred":
            mu = stat.head_mean(size)
            w = unit(f - mu) * unit(g - mu)
            score = w.sum(1)
        elif kind == "contrastive":
            n = len(g)
            w = f * (unit(g) - (unit(g).sum(0) - unit(g)) / (n - 1))
            score = cos
        elif kind == "gradcam":
            w = unit(g) / np.linalg.norm(f) - cos[:, None] * f / (f @ f)
            score = cos
        m = np.tensordot(w, F, 1)
        return (np.maximum(m, 0) if kind == "gradcam" else m), score

    return form


def evidence(q, sup, stat, size, border=0.0, shots=None, **kw):
    st = stat(size, **kw)
    z = st.z(q[size][0])
    r = np.sqrt((z**2).sum(0).mean())
    m, e = means(size, 0)
    d = np.stack([(m[s] - st.mu - border * (e[s] - st.mu)).mean(0) for s in sup]) @ st.P.T
    if shots:
        d = shots(d, st)
    return np.tensordot(unit(d), z, 1) / r


def head_cells(size=320, border=0.5, offset=0.05, tau=20.0):
    """The same on the head's 1280 channels: centred cells, no whitening (P = 1)."""

    def form(q, sup, stat):
        mu = stat.head_mean(size)
        z = q[size][1] - mu[:, None, None]
        m, e = means(size, 1)
        d = [(m[s] - mu - border * (e[s] - mu)).mean(0) for s in sup]
        s = np.tensordot(unit(np.stack(d)), z, 1) / np.sqrt((z**2).sum(0).mean())
        if offset is None:
            return s, None
        m = np.maximum(s - offset, 0) * softmax(tau * s)
        return m, m.mean((1, 2))

    return form


def both_layers(border=0.5, offset=0.05, tau=20.0, size=320, shrink=0.75):
    """Discriminative FAM on the mean of both layers' evidence."""
    block = discriminative(size, None, share=False, relu=False, border=border, shrink=shrink)
    head = head_cells(size, border, None)

    def form(q, sup, stat):
        s = (block(q, sup, stat)[0] + head(q, sup, stat)[0]) / 2
        m = np.maximum(s - offset, 0) * softmax(tau * s)
        return m, m.mean((1, 2))

    return form


def softmax(x):
    e = np.exp(x - x.max(0))
    return e / e.sum(0)


def whitened(size=320, offset=0.15, **kw):
    def form(q, sup, stat):
        s = evidence(q, sup, stat, size, **kw)
        return np.maximum(s - offset, 0) if offset is not None else s, s.mean((1, 2))

    return form


def discriminative(size=320, offset=0.1, tau=20.0, relu=True, share=True, **kw):
    def form(q, sup, stat):
        s = evidence(q, sup, stat, size, **kw)
        m = np.maximum(s - offset, 0) if relu else s
        if share:
            m = m * softmax(tau * s)
        return m, m.mean((1, 2))

    return form


class Stat:
    """Statistics of an episode: everything but the photos in `out`; or a fixed list of images."""

    def __init__(self, out=(), images=None):
        self.images = [i for i in range(len(FILES)) if i not in set(out)] if images is None else list(images)
        self.cache = {}

    def __call__(self, size, **kw):
        key = (size, tuple(sorted(kw.items())))
        if key not in self.cache:
            self.cache[key] = Statistics(size, self.images, **kw)
        return self.cache[key]

    def head_mean(self, size):
        return means(size, 1)[0][self.images].mean(0)


LAMBDA, OFFSET, OFFSET_ONE = 0.75, 0.05, 0.1  # chosen on the classes DEV

ISSUE = dict(shrink=0.1, offset=0.1)  # the recipe the study began with
OURS = dict(shrink=LAMBDA, offset=OFFSET)
FORMS = {
    "plain FAM 224": head_form("plain", 224),
    "plain FAM 320": head_form("plain", 320),
    "centred 224": head_form("centred", 224),
    "centred 320": head_form("centred", 320),
    "contrastive 224": head_form("contrastive", 224),
    "contrastive 320": head_form("contrastive", 320),
    "Grad-CAM of cosine 224": head_form("gradcam", 224),
    "Grad-CAM of cosine 320": head_form("gradcam", 320),
    "whitened 320 (0.1, 0.15)": whitened(),
    "whitened 224, border": whitened(224, border=0.5, shrink=LAMBDA, offset=OFFSET_ONE),
    "whitened 320": whitened(shrink=LAMBDA, offset=OFFSET_ONE),
    "whitened 320, border": whitened(border=0.5, shrink=LAMBDA, offset=OFFSET_ONE),
    "discriminative 320 (0.1, 0.1)": discriminative(**ISSUE),
    "discriminative 320 (0.1, 0.1), border": discriminative(border=0.5, **ISSUE),
    "discriminative 224": discriminative(224, **OURS),
    "discriminative 224, border": discriminative(224, border=0.5, **OURS),
    "discriminative 320": discriminative(**OURS),
    "discriminative 320, border": discriminative(border=0.5, **OURS),
    "discriminative, head cells 224, border": head_cells(224),
    "discriminative, head cells 320, border": head_cells(),
    "discriminative, both layers 320, border": both_layers(),
}
FEW = ["plain FAM 224", "contrastive 320", "Grad-CAM of cosine 320", "whitened 320 (0.1, 0.15)", "whitened 320, border", "discriminative 320 (0.1, 0.1), border",
       "discriminative 320, border", "discriminative, head cells 320, border", "discriminative, both layers 320, border"]  # fmt: skip
ABLATIONS = {
    "discriminative 320, border": discriminative(border=0.5, **OURS),
    "no border term": discriminative(**OURS),
    "lambda 0.1": discriminative(border=0.5, shrink=0.1, offset=OFFSET),
    "lambda 0.9": discriminative(border=0.5, shrink=0.9, offset=OFFSET),
    "lambda 1 (no whitening)": discriminative(border=0.5, shrink=1.0, offset=OFFSET),
    "diagonal whitening": discriminative(border=0.5, diagonal=True, shrink=0.1, offset=OFFSET),
    "offset 0": discriminative(border=0.5, shrink=LAMBDA, offset=0.0),
    "offset 0.1": discriminative(border=0.5, shrink=LAMBDA, offset=0.1),
    "no class share": discriminative(border=0.5, share=False, **OURS),
    "no offset, no class share": discriminative(border=0.5, share=False, shrink=LAMBDA, offset=0.0),
    "tau 10": discriminative(border=0.5, tau=10, **OURS),
    "tau 40": discriminative(border=0.5, tau=40, **OURS),
}


# ---- measures ----


@lru_cache(None)
def interp(n, grid=GRID):
    """[grid, n] bilinear upsampling with half-pixel centres, clamped at the ends."""
    x = np.clip((np.arange(grid) + 0.5) * n / grid - 0.5, 0, n - 1)
    lo = np.minimum(np.floor(x).astype(int), n - 2)
    m = np.zeros((grid, n))
    m[np.arange(grid), lo] = 1 - (x - lo)
    m[np.arange(grid), lo + 1] += x - lo
    return m


def upsample(m, grid=GRID):
    return interp(m.shape[-2], grid) @ m @ interp(m.shape[-1], grid).T


def auc(values, positive):
    r = sstats.rankdata(values.ravel())
    p = positive.ravel()
    n1, n0 = p.sum(), (~p).sum()
    return (r[p].sum() - n1 * (n1 + 1) / 2) / (n1 * n0)


def energy(m, region):
    m = np.maximum(m, 0)
    t = m.sum()
    return m[region].sum() / t if t > 0 else region.mean()


THRESHOLDS = np.round(np.concatenate([[0.01, 0.025], np.arange(0.05, 0.75, 0.05)]), 3)


def iou_curve(low, box):
    """IoU at each threshold; box in units of the image side."""
    m = low - low.min()
    m = m / m.max() if m.max() > 0 else m
    up = upsample(m, 160)
    out = []
    for t in THRESHOLDS:
        lab, n = ndimage.label(up > t, np.ones((3, 3)))
        if n == 0:
            out.append(0.0)
            continue
        k = 1 + np.argmax(np.bincount(lab.ravel())[1:])
        ys, xs = np.where(lab == k)
        b = (xs.min() / 160, ys.min() / 160, (xs.max() + 1) / 160, (ys.max() + 1) / 160)
        iw = max(0, min(b[2], box[2]) - max(b[0], box[0]))
        ih = max(0, min(b[3], box[3]) - max(b[1], box[1]))
        a = (b[2] - b[0]) * (b[3] - b[1]) + (box[2] - box[0]) * (box[3] - box[1])
        out.append(iw * ih / (a - iw * ih))
    return out


def boxes():
    from PIL import Image

    rows = {}
    for line in (export.PHOTOS / "boxes.tsv").read_text().splitlines()[1:]:
        file, *xy = line.split("\t")[:5]
        w, h = Image.open(export.PHOTOS / file).size
        x0, y0, x1, y1 = map(float, xy)
        rows[FILES.index(file)] = (x0 / w, y0 / h, x1 / w, y1 / h)
    return rows


def interval(photo, value, n=2000):
    """mean over photos of each photo's mean, with a bootstrap over photos"""
    ph = np.asarray(photo)
    v = np.asarray(value, float)
    means = np.array([v[ph == p].mean() for p in np.unique(ph)])
    rng = np.random.default_rng(0)
    b = means[rng.integers(0, len(means), (n, len(means)))].mean(1)
    return means.mean(), np.quantile(b, 0.025), np.quantile(b, 0.975)


def show(row, scale=100, digits=1):
    return f"{row[0]*scale:.{digits}f} [{row[1]*scale:.{digits}f}, {row[2]*scale:.{digits}f}]"


# ---- episodes ----


def mosaic_episodes(k, classes=CLASSES, seeds=range(5), per_seed=40, members=MEMBERS):
    """(tiles [4], supports [4][k]) with every photo as tile about equally often"""
    classes = [c for c in classes if len(members[c]) > k]
    out = []
    for seed in seeds:
        rng = np.random.default_rng(1000 + seed)
        use = {i: rng.random() for c in classes for i in members[c]}
        for _ in range(per_seed):
            # least used photos first, from four different classes
            order = sorted(use, key=use.get)
            tiles, seen = [], set()
            for i in order:
                if FOLDER[i] not in seen:
                    tiles.append(i)
                    seen.add(FOLDER[i])
                if len(tiles) == 4:
                    break
            for i in tiles:
                use[i] += 1 + 0.01 * rng.random()
            rng.shuffle(tiles)
            sup = [list(rng.choice([j for j in members[FOLDER[i]] if j != i], k, replace=False)) for i in tiles]
            out.append(([int(i) for i in tiles], [[int(j) for j in s] for s in sup]))
    return out


_mosaics = {}


def mosaic_features(tiles, size):
    key = (tuple(tiles), size)
    if not _mosaics:
        for p in CACHE.glob("mosaics_*.npz"):
            z = np.load(p)
            for name in z.files:
                if name.startswith("A"):
                    _, s, *t = name.split("_")
                    _mosaics[(tuple(map(int, t)), int(s))] = (z[name], z["F" + name[1:]])
    if key not in _mosaics:
        h = size // 2
        a, b, c, d = (photo_pixels(i, h) for i in tiles)
        _mosaics[key] = forward(np.block([[[a], [b]], [[c], [d]]]) if False else np.concatenate([np.concatenate([a, b], 1), np.concatenate([c, d], 1)], 0))
        _mosaics["dirty"] = True
    A, F = _mosaics[key]
    return A.astype(np.float64), F.astype(np.float64)


QUARTER = []
for k in range(4):
    m = np.zeros((GRID, GRID), bool)
    m[(k // 2) * GRID // 2 : (k // 2 + 1) * GRID // 2, (k % 2) * GRID // 2 : (k % 2 + 1) * GRID // 2] = True
    QUARTER.append(m)


def run_mosaics(forms, episodes, stat_of=None):
    sizes = (224, 320)
    rows = {name: [] for name in forms}
    bx = boxes()
    for tiles, sup in episodes:
        q = {s: mosaic_features(tiles, s) for s in sizes}
        out = set(tiles) | {j for s in sup for j in s}
        stat = stat_of(out) if stat_of else Stat(out)
        for name, form in forms.items():
            maps, _ = form(q, sup, stat)
            for k, i in enumerate(tiles):
                up = upsample(maps[k])
                small = [np.nan] * len(THRESHOLDS)
                if i in bx:
                    x0, y0, x1, y1 = bx[i]
                    dx, dy = k % 2, k // 2
                    small = iou_curve(maps[k], ((x0 + dx) / 2, (y0 + dy) / 2, (x1 + dx) / 2, (y1 + dy) / 2))
                rows[name].append([i, energy(up, QUARTER[k]), QUARTER[k].ravel()[up.argmax()], auc(up, QUARTER[k])] + small)
    return {n: np.array(r, float) for n, r in rows.items()}


def box_episodes(k, classes=CLASSES, repeats=6, members=MEMBERS):
    rng = np.random.default_rng(7)
    out = []
    for i in boxes():
        if FOLDER[i] in classes and len(members[FOLDER[i]]) > k:
            for _ in range(repeats):
                other = rng.choice([c for c in classes if c != FOLDER[i] and len(members[c]) > k])
                sup = [[int(j) for j in rng.choice([j for j in members[c] if j != i], k, replace=False)] for c in (FOLDER[i], other)]
                out.append((i, sup))
    return out


def run_boxes(forms, episodes, stat_of=None):
    bx = boxes()
    rows = {name: [] for name in forms}
    for i, sup in episodes:
        q = {s: tuple(x[i] for x in activations(s)) for s in (224, 320)}
        stat = (stat_of or Stat)({i} | {j for s in sup for j in s})
        box = bx[i]
        for name, form in forms.items():
            maps, score = form(q, sup, stat)
            up = upsample(maps[0])
            g = (np.arange(GRID) + 0.5) / GRID
            region = ((g > box[1]) & (g < box[3]))[:, None] & ((g > box[0]) & (g < box[2]))[None]
            flat = maps.reshape(2, -1)
            corr = np.corrcoef(flat)[0, 1] if (flat.std(1) > 0).all() else np.nan
            rows[name].append([i, energy(up, region), region.ravel()[up.argmax()], corr] + iou_curve(maps[0], box))
    return {n: np.array(r, float) for n, r in rows.items()}


def iou_two_fold(r):
    """[photo, IoU] with the threshold from the other half of the photos"""
    ids = np.unique(r[:, 0])
    half = {p: n % 2 for n, p in enumerate(ids)}  # photos are in the order of their files: every other one
    h = np.array([half[p] for p in r[:, 0]])
    v = np.zeros(len(r))
    ts = []
    for a in (0, 1):
        t = r[h != a, 4:].mean(0).argmax()
        ts.append(THRESHOLDS[t])
        v[h == a] = r[h == a, 4 + t]
    return v, ts


def run_accuracy(forms, n_way, k, classes=CLASSES, episodes=60, seed=3, members=MEMBERS, stat_of=None):
    """each episode: n classes, k supports, one query a class"""
    classes = [c for c in classes if len(members[c]) > k]
    rng = np.random.default_rng(seed)
    rows = {name: [] for name in forms}
    for _ in range(episodes):
        cs = list(rng.choice(classes, n_way, replace=False))
        pick = [[int(j) for j in rng.choice(members[c], k + 1, replace=False)] for c in cs]
        sup = [p[1:] for p in pick]
        stat = (stat_of or Stat)({j for p in pick for j in p})
        for n, p in enumerate(pick):
            q = {s: tuple(x[p[0]] for x in activations(s)) for s in (224, 320)}
            for name, form in forms.items():
                rows[name].append((p[0], form(q, sup, stat)[1].argmax() == n))
    return {n: np.array(r, float) for n, r in rows.items()}


def save_mosaics():
    if _mosaics.pop("dirty", None):
        data = {}
        for (t, s), (A, F) in _mosaics.items():
            tag = f"_{s}_" + "_".join(map(str, t))
            data["A" + tag], data["F" + tag] = A.astype(np.float32), F.astype(np.float16)
        np.savez(CACHE / "mosaics_all.npz", **data)


def table(forms, k=3, classes=CLASSES, acc=True, mos=None, box=None, stat_of=None, acc_k=None):
    t0 = time.time()
    M = run_mosaics(forms, mos or mosaic_episodes(k, classes), stat_of)
    save_mosaics()
    t1 = time.time()
    B = run_boxes(forms, box or box_episodes(k, classes), stat_of)
    t2 = time.time()
    n5 = min(5, len([c for c in classes if len(MEMBERS[c]) > k]))
    A2 = run_accuracy(forms, 2, k, classes, 100, stat_of=stat_of) if acc else None
    A5 = run_accuracy(forms, n5, k, classes, 60, stat_of=stat_of) if acc else None
    if command_json := os.environ.get("ROWS"):
        np.savez(command_json, **{f"{t}|{n}": r[n] for t, r in (("M", M), ("B", B), ("A2", A2), ("A5", A5)) if r for n in forms})
    print(f"# K={k}, {len(next(iter(M.values())))} (mosaic, class) pairs, {len(next(iter(B.values())))} boxed episodes; {t1-t0:.0f} s, {t2-t1:.0f} s, {time.time()-t2:.0f} s")
    head = ["form", "mosaic energy %", "argmax %", "AUC %", "IoU in mosaic %", "IoU %", "EPG %", "pointing %", "right-wrong r"] + ([f"2-way %", f"{n5}-way %"] if acc else []) + ["thr"]
    print("| " + " | ".join(head) + " |\n|" + "---|" * len(head))
    for n in forms:
        m, b = M[n], B[n]
        v, ts = iou_two_fold(b)
        cells = [n] + [show(interval(m[:, 0], m[:, c])) for c in (1, 2, 3)]
        has = ~np.isnan(m[:, 4])
        small, _ = iou_two_fold(m[has])
        cells += [show(interval(m[has, 0], small))]
        cells += [show(interval(b[:, 0], v)), show(interval(b[:, 0], b[:, 1])), show(interval(b[:, 0], b[:, 2]))]
        ok = ~np.isnan(b[:, 3])
        cells += [f"{b[ok, 3].mean():.2f}"]
        if acc:
            cells += [show(interval(a[n][:, 0], a[n][:, 1])) for a in (A2, A5)]
        print("| " + " | ".join(cells + ["/".join(map(str, ts))]) + " |", flush=True)
    return M, B, A2, A5


def without_classes(out):
    """Statistics from the folders that the episode does not touch."""
    folders = {FOLDER[i] for i in out}
    return Stat([i for i in range(len(FILES)) if FOLDER[i] in folders])


def any_photo(out):
    """Statistics from all photos, the episode's own among them."""
    return Stat()


def some(n, seed=0, classes_out=True):
    order = list(np.random.default_rng(seed).permutation(len(FILES)))

    def stat_of(out):
        folders = {FOLDER[i] for i in out} if classes_out else set()
        return Stat(images=[i for i in order if i not in out and FOLDER[i] not in folders][:n])

    return stat_of


if __name__ == "__main__":
    command, numbers = sys.argv[2], [int(a) for a in sys.argv[3:]]
    if command == "main":  # all classes
        for k in numbers or [3]:
            table(FORMS, k)
    elif command == "test":  # the classes on which nothing was chosen
        for k in numbers or [3]:
            few = {n: FORMS[n] for n in FEW}
            table(few, k, TEST, mos=mosaic_episodes(k, TEST, range(2), 25))
    elif command == "few":  # all classes, the main forms
        for k in numbers or [1, 5]:
            table({n: FORMS[n] for n in FEW}, k, mos=mosaic_episodes(k, seeds=range(2), per_seed=30), box=box_episodes(k, repeats=3))
    elif command == "ablations":
        table(ABLATIONS, 3, mos=mosaic_episodes(3, seeds=range(2), per_seed=30), box=box_episodes(3, repeats=3))
    elif command == "statistics":
        few = {f"lambda {v}": discriminative(border=0.5, shrink=v, offset=OFFSET) for v in (0.1, 0.5, 0.75, 0.9)}
        mos, box = mosaic_episodes(3, seeds=[0, 1], per_seed=30), box_episodes(3, repeats=2)
        for title, stat_of in [("all photos, the episode's among them", any_photo), ("all but the episode's photos", Stat), ("all but the episode's classes", without_classes)] + [
            (f"{n} photos, {'not' if o else 'also'} of the episode's classes", some(n, classes_out=o)) for n in (10, 30, 55) for o in (True, False)
        ]:
            print("##", title)
            table(few, 3, mos=mos, box=box, acc=False, stat_of=stat_of)
