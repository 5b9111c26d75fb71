#!/usr/bin/env python3
"""Compares scores by which photos of unknown classes are told, and bounds on them, on two halves of the photos' classes.

For maintainers; docs/results.md quotes what it prints. Needs numpy, Pillow, onnx and onnxruntime:

    python tests/goldens/choose_decisions.py

Constants are chosen by the lines "choose"; the lines "held out" are classes that took no part. Episodes show three classes
with 1 or 5 photos each; queries are one more photo of each, and photos of four classes that are not shown. Photos of the
classes with too few to be shown are strangers in both halves. The statistics are those of the model, which rest on the same
photos (without their classes).
"""

import argparse
from math import erf, exp, pi, sqrt

import numpy as np
from make_class_specific import HEAD, LAYER, export, make, make_unit, read_statistics, ring, whitening

HALVES = {
    "choose": ["windmill", "hammer", "castle", "tape_measure", "bird", "solar_panel"],
    "held out": ["fish", "hoofed_animal", "pliers", "scissors", "pyramid", "reptile"],
}
STRANGERS = ["misc", "other_animal", "cup", "bear", "cat", "dog"]
OFFSET, LAMBDA, EPISODES = 0.05, 0.75, 200


def area(known, unknown):
    known, unknown = np.asarray(known)[:, None], np.asarray(unknown)[None]
    return (known > unknown).mean() + (known == unknown).mean() / 2


def rejected(known, unknown):
    return (np.asarray(unknown) < np.quantile(known, 0.1)).mean()


def main():
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    _, mu, sigma, nu = read_statistics(export.HERE / make.NAME / "statistics.bin")
    run = export.session(export.HERE / make.NAME / "model.onnx", (LAYER, HEAD))
    P = whitening(sigma, LAMBDA)
    spread, edge = P @ sigma @ P.T, ring(10, 10).ravel()
    paths = [path for path in export.photos() if path.parent.name in sum(HALVES.values(), STRANGERS)]
    labels = np.array([path.parent.name for path in paths])
    z, b, f = [], [], []
    for path in paths:
        rgb = export.load_rgb(path)
        block, head = (value[0].astype(np.float64) for value in run(export.normalise(export.squash(rgb, 320), make.MODEL)))
        z.append(P @ (block.reshape(320, -1) - mu[:, None]))
        b.append(head.reshape(1280, -1) - nu[:, None])
        f.append(run(export.normalise(export.squash(rgb, 224), make.MODEL))[1][0].mean((1, 2), dtype=np.float64))
    z, b, f = np.stack(z), np.stack(b), np.stack(f)
    length = [np.sqrt((x**2).sum(1).mean(1))[:, None, None] for x in (z, b)]
    vectors = [x.mean(2) - x[:, :, edge].mean(2) / 2 for x in (z, b)]
    cells = [x / r for x, r in zip((z, b), length)]

    def directions(supports):
        return [make_unit(v[supports].mean(0)[None])[0] for v in vectors]

    def evidence(query, u):
        return np.maximum((u[0] @ cells[0][query] + u[1] @ cells[1][query]) / 2 - OFFSET, 0).mean()

    def general(u):
        s = sqrt(u[0] @ spread @ u[0] / np.trace(spread))
        t = OFFSET / s
        return s * exp(-t * t / 2) / sqrt(2 * pi) - OFFSET * (1 - (1 + erf(t / sqrt(2))) / 2)

    def cosine(a, c):
        return a @ c / np.linalg.norm(a) / np.linalg.norm(c)

    for half, classes in HALVES.items():
        for shots in (1, 5):
            random = np.random.default_rng(1)
            able = [c for c in classes if (labels == c).sum() > shots]
            found = {name: ([], []) for name in ("cosine", "whitened cosine", "mean evidence", "evidence / general")}
            ratios = ([], [])
            for _ in range(EPISODES):
                shown = random.choice(able, min(3, len(able)), replace=False)
                drawn = [random.permutation(np.where(labels == c)[0]) for c in shown]
                supports = [d[:shots] for d in drawn]
                others = random.choice([c for c in classes + STRANGERS if c not in shown], 4, replace=False)
                queries = [(d[shots], 0) for d in drawn] + [(random.choice(np.where(labels == c)[0]), 1) for c in others]
                us = [directions(s) for s in supports]
                unit = [general(u) for u in us]
                left = [
                    evidence(s[i], d) / general(d)
                    for s in supports
                    for i in range(shots if shots > 1 else 0)
                    for d in [directions(np.delete(s, i))]
                ]
                median = np.median(left) if left else None
                for query, side in queries:
                    raw = np.array([evidence(query, u) for u in us])
                    scores = {
                        "cosine": max(cosine(f[query], f[s].mean(0)) for s in supports),
                        "whitened cosine": max(cosine(z[query].mean(1), u[0]) for u in us),
                        "mean evidence": raw.max(),
                        "evidence / general": (raw / unit).max(),
                    }
                    for name, score in scores.items():
                        found[name][side].append(score)
                    ratios[side].append((scores["evidence / general"], median, len(left)))
            for name, (known, unknown) in found.items():
                print(f"{half}, {shots} shots, {name}: area {area(known, unknown):.3f}, rejected {rejected(known, unknown):.2f}")
            for prior in (1.5, 2.0, 3.0):
                for factor in (0.3, 0.4, 0.5) if shots > 1 else (0.4,):

                    def bound(median, n):
                        return prior if n == 0 else exp((3 * np.log(prior) + n * np.log(max(factor * median, prior / 4))) / (3 + n))

                    reached = [np.mean([score >= bound(m, n) for score, m, n in ratios[side]]) for side in (0, 1)]
                    print(f"  prior {prior}, factor {factor}: accepts {reached[0]:.2f} known, rejects {1 - reached[1]:.2f} unknown")

    gallery(f, labels)


def gallery(f, labels):
    """Queries of a class that a gallery has, and of one that it lacks: how many spreads over the middle the best hit is."""
    for tools in ("hammer", "pliers", "scissors", "tape_measure"):
        labels = np.where(labels == tools, "tools", labels)
    labels = np.where(np.isin(labels, ["castle", "pyramid"]), "buildings", labels)
    random = np.random.default_rng(1)
    asked = [c for c in np.unique(labels) if (labels == c).sum() >= 4 and c not in STRANGERS]
    known, unknown = [], []

    def spreads(query, images):
        mean = f[images].mean(0)
        rows, q = make_unit(f[images] - mean), make_unit((f[query] - mean)[None])[0]
        cosines = (rows @ rows.T)[np.triu_indices(len(rows), 1)]
        middle = np.median(cosines)
        below = middle - cosines[cosines < middle]
        return ((rows @ q).max() - middle) / np.sqrt((below**2).mean())

    for _ in range(600):
        images = random.choice(len(f), random.choice([20, 40, 80]), replace=False)
        c = random.choice(asked)
        query = random.choice(np.where(labels == c)[0])
        images = images[images != query]
        own = labels[images] == c
        if own.any():
            known.append(spreads(query, images))
        if (~own).sum() >= 12:
            unknown.append(spreads(query, images[~own]))
    known, unknown = np.array(known), np.array(unknown)
    print(f"gallery: area {area(known, unknown):.3f}")
    for bound in (3, 4, 5):
        print(f"  {bound} spreads: {np.mean(known >= bound):.2f} known are like it, {np.mean(unknown < bound):.2f} unknown are not")


if __name__ == "__main__":
    main()
