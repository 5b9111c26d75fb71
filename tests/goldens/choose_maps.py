#!/usr/bin/env python3
"""Compares class shares, thresholds and second looks in numpy, apart from famlens: how docs/results.md chose them.

For maintainers. Needs numpy, scipy, Pillow, onnx and onnxruntime, and takes a quarter of an hour:

    python tests/goldens/choose_maps.py

Every boxed photo of tests/photos is pasted on eight other photos, with a side of 12 to 85 % of the picture's, and a query never
meets another picture of its own photo among its supports. Mosaics are of photos; half of them show animals alone.
"""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from make_class_specific import HEAD, LAYER, read_statistics, ring, whitening
from PIL import Image
from scipy import ndimage

ROOT = Path(__file__).resolve().parents[2]
PHOTOS, MODEL = ROOT / "tests/photos", ROOT / "models/efficientnet_lite0"
GROUNDS = ("castle", "landmark", "pyramid", "solar_panel")
ANIMALS = ["bird", "fish", "hoofed_animal", "other_animal", "reptile", "cat", "bear"]
SIZE, OFFSET, SHRINKAGE, SIDE = 320, 0.05, 0.75, 96
_, MU, SIGMA, NU = read_statistics(MODEL / "statistics.bin")
P, RING = whitening(SIGMA, SHRINKAGE), ring(10, 10).ravel()


def session():
    model = onnx.load(MODEL / "model.onnx")
    for name in (LAYER, HEAD):
        model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    return onnxruntime.InferenceSession(model.SerializeToString())


RUN = session()


class Look:
    """What the two layers see of a picture: whitened cells of the block, centred cells of the head, each over its radius."""

    def __init__(self, seen, **about):
        pixels = (np.asarray(seen, np.float32) - 127) / 128
        block, head = RUN.run([LAYER, HEAD], {"image": pixels.transpose(2, 0, 1)[None]})
        rows = [maps[0].reshape(maps.shape[1], -1).T.astype(np.float64) for maps in (block, head)]
        self.cells = [(rows[0] - MU) @ P.T, rows[1] - NU]
        self.radii = [np.sqrt((cells**2).sum(1).mean()) for cells in self.cells]
        self.pooled = [cells.mean(0) - cells[RING].mean(0) / 2 for cells in self.cells]
        self.__dict__.update(about)


def squash(picture, box=None):
    return picture.convert("RGB").resize((SIZE, SIZE), Image.BILINEAR, box=box)


def compose(ground, photo, box, side, rng):
    width, height, margin = 640, 480, 0.08
    x0, y0, x1, y1 = box
    w, h = x1 - x0, y1 - y0
    zoom = min(side * np.sqrt(width * height / (w * h)), 0.98 * width / w, 0.98 * height / h)
    cut = (max(0, x0 - margin * w), max(0, y0 - margin * h), min(photo.width, x1 + margin * w), min(photo.height, y1 + margin * h))
    size = [max(2, round((cut[2 + i] - cut[i]) * zoom)) for i in (0, 1)]
    inner = [(x0 - cut[0]) * zoom, (y0 - cut[1]) * zoom, (x1 - cut[0]) * zoom, (y1 - cut[1]) * zoom]
    left, top = round(rng.uniform(-inner[0], width - inner[2])), round(rng.uniform(-inner[1], height - inner[3]))

    def fade(n, before, after):
        t = np.arange(n) + 0.5
        return np.minimum(np.clip(t / max(before, 1e-6), 0, 1), np.clip((n - t) / max(n - after, 1e-6), 0, 1))

    mask = Image.fromarray(np.uint8(255 * np.outer(fade(size[1], inner[1], inner[3]), fade(size[0], inner[0], inner[2]))))
    picture = ground.resize((width, height), Image.BILINEAR)
    picture.paste(photo.resize(size, Image.BILINEAR, box=cut), (left, top), mask)
    at = np.array([left + inner[0], top + inner[1], left + inner[2], top + inner[3]]) / [width, height, width, height]
    return picture, np.clip(at, 0, 1)


def directions(supports):
    """Unit class vectors at both layers."""
    for layer in (0, 1):
        rows = np.stack([np.mean([s.pooled[layer] for s in of_class], 0) for of_class in supports])
        yield rows / np.linalg.norm(rows, axis=1, keepdims=True)


def maps_of(look, vectors, sharpness, power):
    s = sum(v @ cells.T / r for v, cells, r in zip(vectors, look.cells, look.radii, strict=True)) / 2
    e = np.exp(sharpness * (s - s.max(0)))
    return np.maximum(s - OFFSET, 0) * (e / e.sum(0)) ** power


def sample(cells, x, y):
    def along(t):
        t = np.clip(t * 10 - 0.5, 0, 9)
        low = np.floor(t).astype(int)
        return low, np.minimum(low + 1, 9), t - low

    cells = cells.reshape(10, 10)
    (x0, x1, u), (y0, y1, v) = along(x), along(y)
    rows = cells[y0] * (1 - v)[:, None] + cells[y1] * v[:, None]
    return rows[:, x0] * (1 - u) + rows[:, x1] * u


CENTRES = (np.arange(SIDE) + 0.5) / SIDE


def box_over(mask):
    labels, count = ndimage.label(mask, np.ones((3, 3)))
    if count == 0:
        return None
    ys, xs = ndimage.find_objects(labels)[np.bincount(labels.ravel())[1:].argmax()]
    return np.array([xs.start, ys.start, xs.stop, ys.stop]) / SIDE


def box_of(fine, kind, share):
    if fine.max() <= 0:
        return None
    if kind == "range":
        return box_over((fine - fine.min()) / (fine.max() - fine.min()) >= share)
    values = np.sort(fine.ravel())[::-1]
    held = np.cumsum(values)
    return box_over(fine >= values[min(np.searchsorted(held, share * held[-1]), len(values) - 1)])


def area(b):
    return (b[2] - b[0]) * (b[3] - b[1])


def iou(a, b):
    if a is None:
        return 0.0
    common = max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))
    return common / (area(a) + area(b) - common)


def second_look(query, vectors, fine, share, small, setting):
    """The map with the second look in its place, where the box is small."""
    box = box_of(fine, "energy", share)
    if box is None or area(box) >= small:
        return fine
    edges = []
    for low, high in ((box[0], box[2]), (box[1], box[3])):
        length = min(max((high - low) * 1.3, 0.3), 1)
        start = min(max((low + high - length) / 2, 0), 1 - length)
        edges.append((start, start + length))
    (x0, x1), (y0, y1) = edges
    width, height = query.picture.size
    again = Look(squash(query.picture, (x0 * width, y0 * height, x1 * width, y1 * height)))
    xs, ys = (CENTRES >= x0) & (CENTRES < x1), (CENTRES >= y0) & (CENTRES < y1)
    merged = fine.copy()
    values = maps_of(again, vectors, *setting)[0]
    merged[np.ix_(ys, xs)] = sample(values, (CENTRES[xs] - x0) / (x1 - x0), (CENTRES[ys] - y0) / (y1 - y0))
    return merged


def pictures(rng):
    """Photos and composed pictures, each with its class, its photo and its box."""
    lines = [line.split("\t") for line in (PHOTOS / "boxes.tsv").read_text().splitlines()[1:]]
    boxes = {line[0]: [float(v) for v in line[1:5]] for line in lines}
    files = sorted(str(path.relative_to(PHOTOS)) for path in PHOTOS.rglob("*.jpg"))
    opened = {file: Image.open(PHOTOS / file).convert("RGB") for file in files}
    found = []
    for file, photo in opened.items():
        box = np.array(boxes[file]) / (photo.size * 2) if file in boxes else None
        found.append(Look(squash(photo), kind="photo", source=file, name=file.split("/")[0], picture=photo, box=box))
    grounds = [file for file in files if file.split("/")[0] in GROUNDS]
    for file, box in boxes.items():
        for at, ground in enumerate(rng.permutation(grounds)[:8]):
            side = np.linspace(0.12, 0.85, 8)[at] + rng.uniform(-0.04, 0.04)
            picture, placed = compose(opened[ground], opened[file], box, side, rng)
            found.append(Look(squash(picture), kind="composed", source=file, name=file.split("/")[0], picture=picture, box=placed))
    return found


def supports_of(rng, looks, names, query_sources, shots):
    drawn = []
    for name in names:
        able = [look for look in looks if look.name == name and look.source not in query_sources]
        drawn.append([able[i] for i in rng.permutation(len(able))[:shots]])
    return drawn


def mosaics(rng, photos):
    names = sorted({p.name for p in photos if sum(q.name == p.name for q in photos) > 1})
    for at in range(40):
        chosen = list(rng.permutation(names if at % 2 else ANIMALS)[:4])
        tiles = [rng.choice([p for p in photos if p.name == name]) for name in chosen]
        picture = Image.new("RGB", (448, 448))
        for t, tile in enumerate(tiles):
            picture.paste(tile.picture.resize((224, 224), Image.BILINEAR), (t % 2 * 224, t // 2 * 224))
        yield chosen, {tile.source for tile in tiles}, Look(squash(picture))


def main():
    looks = pictures(np.random.default_rng(1))
    photos, boxed = [p for p in looks if p.kind == "photo"], [p for p in looks if p.box is not None]
    names = sorted({p.name for p in boxed if len({q.source for q in boxed if q.name == p.name}) > 1})
    tiled = list(mosaics(np.random.default_rng(3), photos))
    half = {name: at % 2 for at, name in enumerate(names)}
    for shots in (5, 1):
        print(f"\n{shots} shots\n\n| share | mosaic energy / argmax |\n|---|---|")
        for setting in ((20, 1), (40, 1), (15, 2), (20, 2), (30, 2), (20, 3)):
            rng, energy, hits = np.random.default_rng(5), [], []
            for chosen, sources, mosaic in tiled:
                maps = maps_of(mosaic, list(directions(supports_of(rng, photos, chosen, sources, shots))), *setting)
                for k, cells in enumerate(maps.reshape(4, 2, 5, 2, 5).sum((2, 4))):
                    energy.append(cells[k // 2, k % 2] / cells.sum() if cells.sum() > 0 else 0.25)
                    top = int(maps[k].argmax())
                    hits.append((top // 50, top % 10 // 5) == (k // 2, k % 2))
            print(f"| sharpness {setting[0]}, power {setting[1]} | {100 * np.mean(energy):.1f} / {100 * np.mean(hits):.1f} |")
        shares = [("range", 0.05), ("range", 0.2), ("energy", 0.8), ("energy", 0.9), ("energy", 0.94), ("energy", 0.97)]
        head = " | ".join(f"{kind} {share}" for kind, share in shares)
        print(f"\n| share, second look, half | {head} | small at energy .94 |\n|---|" + "---|" * (len(shares) + 1))
        for setting in ((20, 1), (20, 2)):
            for small in (0, 0.3, 0.4, 0.45):
                rng, rows = np.random.default_rng(0), []
                for query in (q for q in boxed if q.name in names):
                    chosen = [query.name, *list(rng.permutation([n for n in names if n != query.name])[:4])]
                    vectors = list(directions(supports_of(rng, looks, chosen, {query.source}, shots)))
                    fine = sample(maps_of(query, vectors, *setting)[0], CENTRES, CENTRES)
                    fine = second_look(query, vectors, fine, 0.94, small, setting)
                    rows.append((half[query.name], area(query.box), [iou(box_of(fine, *share), query.box) for share in shares]))
                for part in (0, 1):
                    of_half = [row for row in rows if row[0] == part]
                    means = 100 * np.mean([row[2] for row in of_half], 0)
                    little = 100 * np.mean([row[2][4] for row in of_half if row[1] < 0.3])
                    cells = " | ".join(f"{value:.1f}" for value in means)
                    print(f"| power {setting[1]}, box under {small}, {('first half', 'second half')[part]} | {cells} | {little:.1f} |", flush=True)


if __name__ == "__main__":
    main()
