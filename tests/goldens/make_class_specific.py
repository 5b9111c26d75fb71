#!/usr/bin/env python3
"""Makes tests/goldens/class_specific: whitened and discriminative FAM in numpy, apart from famlens.

For maintainers; what it makes is in the repository. Needs numpy, Pillow, onnx and onnxruntime:

    python tests/goldens/make_class_specific.py

The figures behind the choices are in docs/results.md.

Equations
---------
Layer. `blocks.15.project.conv` of models/efficientnet_lite0/model.onnx (int8 weights): the output of the last block,
C = 320 channels, signed, no activation, the input of `head.conv`. Input 3 x 320 x 320, the whole photo squashed
(Pillow's antialiased bilinear), (x - 127) / 128. A [C, 10, 10]; A_i in R^C is the vector of cell i = y * 10 + x, n = 100.

Statistics. Over all cells of all images (weight 1 each):
    mu = mean A_i,  Sigma = mean (A_i - mu)(A_i - mu)'     (divided by the number of cells, not by it less one)
    S = (1 - LAMBDA) Sigma + LAMBDA tr(Sigma)/C I,   W = S^-1
    R = the lower Cholesky factor of S (S = R R'),  P = R^-1 (lower triangular),  so W = P' P.
    z_i = P (A_i - mu): whitened cells. (A - mu)' W (B - mu) = z_A . z_B, so all that follows is Euclidean in z.

Class vector, once a class, with `ring` = the cells of the first and last row and of the first and last column (36 of
10 x 10; all cells where a side has fewer than 3). First over a support's cells, then over the supports, equally weighted:
    g_c = mean over supports of mean over cells of A_i, less mu
    e_c = mean over supports of mean over the ring's cells of A_i, less mu
    d_c = g_c                  without the border term
    d_c = g_c - e_c / 2        with it
    w_c = W d_c / sqrt(d_c' W d_c)  =  P' u_c,   u_c = P d_c / |P d_c|

Evidence of the query's cell i for class c. r belongs to the query alone, it is the same for every class:
    r = sqrt(mean_i (A_i - mu)' W (A_i - mu)) = sqrt(mean_i |z_i|^2)
    s_ci = (A_i - mu)' w_c / r = z_i . u_c / r             (|s_ci| <= |z_i| / r)

Whitened FAM (K >= 1):          map_ci = max(s_ci - WHITENED_OFFSET, 0)
    score_c = z_bar . u_c / |z_bar|, z_bar = mean_i z_i: the Mahalanobis cosine between the mean cell less mu and d_c.
Discriminative FAM (K >= 2):    map_ci = max(s_ci - DISCRIMINATIVE_OFFSET, 0) softmax_c(TAU s_ci)^2
    score_c = E_c = mean_i map_ci

Two layers ("both"; needs the head, for localisation as good as plain FAM's). The same with B [1280, 10, 10], the output of `features`
(after ReLU6), its mean nu over the cells of the same images, and no whitening (P = 1, W = 1):
    h_c = mean support cell - nu, less half of (mean ring cell - nu) with the border term;  v_c = h_c / |h_c|
    q^2 = mean_i |B_i - nu|^2,  t_ci = (B_i - nu) . v_c / q,  both_ci = (s_ci + t_ci) / 2
and both_ci takes the place of s_ci in offset, ReLU, share and E_c of discriminative FAM.

LAMBDA, the offsets and TAU are SETTINGS below. Ranking: by E_c; classes with equal E_c (all of them zero, where no cell passes the
offset) by mean_i s_ci, which orders the classes as the Mahalanobis cosine does.

Identities (asserted below, and unit tests in famlens)
    mean_i s_ci = score_c |z_bar| / r for whitened FAM: before offset and ReLU the map's mean is the Mahalanobis cosine
        times a factor |z_bar| / r <= 1 that is the query's own and the same for every class. It is NOT the cosine itself:
        that would need |z_bar| in place of r, and r is what makes the offsets mean the same on every image.
    sum_i map_ci / n = E_c for discriminative FAM;  the class shares of a cell sum to 1.
    adding a constant to every s_i. of a cell leaves its shares alone; K = 1 would make the share 1 (so K >= 2 is asked for).

The statistics file (statistics.bin; all numbers little endian)
    bytes 0..8    magic "FAMSTAT1"
    bytes 8..12   u32: length H of the header, a multiple of 4 (padded with spaces)
    12..12+H      header, UTF-8 JSON: {"layer": text, "channels": C, "width": 320, "height": 320, "images": N,
                  "cells": N n, "model_sha256": of model.onnx, "source": text}
    then          mu   f32 [C]
    then          sigma f32 [C]: standard deviation of each channel, sqrt(Sigma_jj); 0 for a dead channel
    then          rho  i16 [C (C - 1) / 2]: correlations, round(32767 Sigma_jk / (sigma_j sigma_k)) (half to even; 0 where
                  a channel is dead), the strictly lower triangle row by row: (1,0), (2,0), (2,1), (3,0), ...
    then          nu   f32 [D], only if the header holds "head": {"layer": text, "channels": D}
    and nothing else. Sigma_jk = sigma_j sigma_k rho_jk / 32767, Sigma_jj = sigma_j^2. 110.1 KB for C = 320, D = 1280. LAMBDA is
    not in the file: it is applied when the file is read, so files can be merged and LAMBDA changed. The goldens rest on the file as read.

What is written (npy, little-endian f32, C order)
    NAME.webp                     lossless 320 x 320 network inputs: the query and nine supports of the "Animals" example
    index.json                    {"layer", "size", "query", "classes", "settings": {NAME: {"lambda", "whitened_offset", "discriminative_offset",
                                  "tau", "r", "predicted": {FORM: [without, with the border term]}}}}
    statistics.bin                from the photos of tests/photos, which the rest uses
    episode_statistics.bin        from the ten inputs here, for `famlens statistics`: compare mu and Sigma read back
    query_cells    [320, 10, 10]  A
    query_whitened [320, 10, 10]  z, with the lambda of "chosen"
    support_means  [9, 320]       each support's mean cell (mu not subtracted), in the order of index.json
    support_rings  [9, 320]       each support's mean ring cell
    class_vectors  [2, 3, 320]    d_c: [0] without, [1] with the border term; so everywhere the leading axis is 2
    both_directions [2, 3, 1280]  v_c;  both_head_evidence [2, 3, 10, 10] t_ci;  both_evidence [2, 3, 10, 10] both_ci, with "chosen"
    both_discriminative [2, 3, 10, 10] maps;  both_discriminative_scores [2, 3]     (index.json: "head_layer", "q")
  and for each setting S, "chosen" and "initial":
    S_directions     [2, 3, 320]     u_c, for z          S_weights [2, 3, 320]  w_c, for A - mu
    S_evidence       [2, 3, 10, 10]  s_ci
    S_whitened       [2, 3, 10, 10]  maps                S_whitened_scores      [2, 3]
    S_discriminative [2, 3, 10, 10]  maps                S_discriminative_scores [2, 3]  E_c
"""

import argparse
import json
import struct
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import make  # noqa: E402  (goldens of plain FAM: file writers, example episode)
from make import export  # noqa: E402

FOLDER = "class_specific"
LAYER = "blocks.15.project.conv"
HEAD = "features"
SIZE = 320
SETTINGS = {
    # Chosen on the development classes of docs/results.md.
    "chosen": {"lambda": 0.75, "whitened_offset": 0.1, "discriminative_offset": 0.05, "tau": 20.0},
    # The recipe that study began with; a second point on the same code.
    "initial": {"lambda": 0.1, "whitened_offset": 0.15, "discriminative_offset": 0.1, "tau": 20.0},
}
MAGIC = b"FAMSTAT1"


def statistics(cells):
    """mu [C], Sigma [C, C] over cells [N, C], float64, two passes."""
    mu = cells.mean(0, dtype=np.float64)
    centred = cells - mu
    return mu, centred.T @ centred / len(cells)


def write_statistics(path, mu, sigma, nu, header):
    std = np.sqrt(np.diag(sigma))
    safe = np.where(std > 0, std, 1)
    rho = np.rint(32767 * sigma / np.outer(safe, safe))
    text = json.dumps(header, ensure_ascii=False).encode()
    text += b" " * (-len(text) % 4)
    lower = rho[np.tril_indices(len(mu), -1)]
    assert np.abs(lower).max() <= 32767
    parts = (mu.astype("<f4"), std.astype("<f4"), lower.astype("<i2"), nu.astype("<f4"))
    path.write_bytes(MAGIC + struct.pack("<I", len(text)) + text + b"".join(part.tobytes() for part in parts))


def read_statistics(path):
    data = path.read_bytes()
    assert data[:8] == MAGIC
    (length,) = struct.unpack_from("<I", data, 8)
    header = json.loads(data[12 : 12 + length])
    c, at = header["channels"], 12 + length
    mu = np.frombuffer(data, "<f4", c, at).astype(np.float64)
    std = np.frombuffer(data, "<f4", c, at + 4 * c).astype(np.float64)
    lower = np.frombuffer(data, "<i2", c * (c - 1) // 2, at + 8 * c)
    at += 8 * c + 2 * len(lower)
    nu = np.frombuffer(data, "<f4", header["head"]["channels"], at).astype(np.float64)
    assert at + 4 * len(nu) == len(data)
    rho = np.zeros((c, c))
    rho[np.tril_indices(c, -1)] = lower / 32767
    return header, mu, (rho + rho.T + np.eye(c)) * np.outer(std, std), nu


def whitening(sigma, shrinkage):
    """P, lower triangular, with P' P = W."""
    c = len(sigma)
    shrunk = (1 - shrinkage) * sigma + shrinkage * np.trace(sigma) / c * np.eye(c)
    return np.tril(np.linalg.inv(np.linalg.cholesky(shrunk)))


def ring(h, w):
    mask = np.ones((h, w), bool)
    if h > 2 and w > 2:
        mask[1:-1, 1:-1] = False
    return mask


def softmax(x):
    e = np.exp(x - x.max(0))
    return e / e.sum(0)


def explain(cells, means, rings, mu, P, border, setting):
    """cells [C, h, w] of the query; means, rings [K, C] of the classes (mu not subtracted)."""
    W = P.T @ P
    d = (means - mu) - (rings - mu) / 2 if border else means - mu
    w = d @ W / np.sqrt(np.einsum("kc,cd,kd->k", d, W, d))[:, None]
    c, height, width = cells.shape
    a = cells.reshape(c, -1).astype(np.float64) - mu[:, None]
    r = np.sqrt(np.einsum("ci,cd,di->i", a, W, a).mean())
    s = w @ a / r
    whitened = np.maximum(s - setting["whitened_offset"], 0)
    discriminative = np.maximum(s - setting["discriminative_offset"], 0) * softmax(setting["tau"] * s) ** 2

    # The same by whitened cells, and the identities.
    z = P @ a
    u = make_unit(d @ P.T)
    mean = z.mean(1)
    score = u @ mean / np.linalg.norm(mean)
    assert np.allclose(np.sqrt((z**2).sum(0).mean()), r)
    assert np.allclose(u @ z / r, s) and np.allclose(u @ P, w)
    assert np.allclose(s.mean(1), score * np.linalg.norm(mean) / r) and np.linalg.norm(mean) <= r
    assert np.allclose((a.mean(1) @ W @ d.T) / np.sqrt(a.mean(1) @ W @ a.mean(1)) / np.sqrt(np.einsum("kc,cd,kd->k", d, W, d)), score)

    def grid(x):
        return x.reshape(len(d), height, width)

    return {
        "r": r,
        "z": z.reshape(c, height, width),
        "class_vectors": d,
        "directions": u,
        "weights": w,
        "evidence": grid(s),
        "whitened": grid(whitened),
        "whitened_scores": score,
        "discriminative": grid(discriminative),
        "discriminative_scores": discriminative.mean(1),
    }


def explain_both(evidence, cells, means, rings, nu, border, setting):
    """Discriminative FAM on the mean of two layers' evidence: [K, h, w] and that of the head's cells [D, h, w]."""
    b = cells.astype(np.float64) - nu[:, None, None]
    q = np.sqrt((b**2).sum(0).mean())
    v = make_unit((means - nu) - (rings - nu) / 2 if border else means - nu)
    t = np.tensordot(v, b, 1) / q
    s = (evidence + t) / 2
    maps = np.maximum(s - setting["discriminative_offset"], 0) * softmax(setting["tau"] * s) ** 2
    return {"q": q, "directions": v, "head_evidence": t, "evidence": s, "discriminative": maps, "discriminative_scores": maps.mean((1, 2))}


def make_unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def main():
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    folder = HERE / FOLDER
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.*"):
        old.unlink()
    model_file = export.HERE / make.NAME / "model.onnx"
    run = export.session(model_file, (LAYER, HEAD))

    def cells_of(pixels):
        return [value[0] for value in run(export.normalise(pixels, make.MODEL))]

    def flat(cells):
        return cells.reshape(len(cells), -1).T

    def save_statistics(name, images, source):
        cells = np.concatenate([flat(image[0]) for image in images])
        nu = np.mean([image[1].mean((1, 2), dtype=np.float64) for image in images], axis=0)
        mu, sigma = statistics(cells)
        header = {
            "layer": LAYER, "channels": len(mu), "width": SIZE, "height": SIZE, "images": len(images), "cells": len(cells),
            "model_sha256": export.sha256(model_file), "source": source, "head": {"layer": HEAD, "channels": len(nu)},
        }  # fmt: skip
        write_statistics(folder / name, mu, sigma, nu, header)
        _, read_mu, read_sigma, read_nu = read_statistics(folder / name)
        error = np.abs(read_sigma - sigma).max() / np.abs(sigma).max()
        print(f"{name}: {(folder / name).stat().st_size} bytes, error of Sigma {error:.1e} of its largest value")
        return read_mu, read_sigma, read_nu

    photos = [cells_of(export.squash(export.load_rgb(path), SIZE)) for path in export.photos()]
    mu, sigma, nu = save_statistics("statistics.bin", photos, "tests/photos of famlens")

    episode = json.loads((make.EXAMPLES / "examples.json").read_text(encoding="utf-8"))["sets"][0]
    inputs = {}

    def load(file):
        pixels = export.squash(export.load_rgb(make.EXAMPLES / file), SIZE)
        name = f"{Path(file).stem}.webp"
        make.save_webp(FOLDER, Path(file).stem, pixels)
        inputs[name] = cells_of(pixels)
        return name

    query = load(episode["query"])
    classes = [{"name": entry["name"], "supports": [load(file) for file in entry["supports"]]} for entry in episode["classes"]]
    save_statistics("episode_statistics.bin", list(inputs.values()), "the ten inputs of this folder")

    border = ring(10, 10)
    def pooled(layer):
        """Mean cell and mean ring cell of each support, and their means over each class's supports."""
        supports = np.stack([inputs[name][layer] for entry in classes for name in entry["supports"]]).astype(np.float64)
        rows = supports.mean((2, 3)), supports[:, :, border].mean(2)
        return rows, [row.reshape(len(classes), -1, row.shape[1]).mean(1) for row in rows]

    (means, rings), by_class = pooled(0)
    names = [entry["name"] for entry in classes]
    make.save(FOLDER, "query_cells", inputs[query][0])
    make.save(FOLDER, "support_means", means)
    make.save(FOLDER, "support_rings", rings)
    index = {"layer": LAYER, "size": SIZE, "query": query, "classes": classes, "settings": {}}
    keys = ("directions", "weights", "evidence", "whitened", "whitened_scores", "discriminative", "discriminative_scores")
    for name, setting in SETTINGS.items():
        P = whitening(sigma, setting["lambda"])
        out = [explain(inputs[query][0], *by_class, mu, P, with_border, setting) for with_border in (False, True)]
        if name == "chosen":
            make.save(FOLDER, "class_vectors", np.stack([o["class_vectors"] for o in out]))
            make.save(FOLDER, "query_whitened", out[0]["z"])
            _, head = pooled(1)
            both = [explain_both(o["evidence"], inputs[query][1], *head, nu, b, setting) for b, o in enumerate(out)]
            for key in ("directions", "head_evidence", "evidence", "discriminative", "discriminative_scores"):
                make.save(FOLDER, f"both_{key}", np.stack([o[key] for o in both]))
            index |= {"head_layer": HEAD, "q": both[0]["q"]}
            print("both", np.round([o["discriminative_scores"] for o in both], 4).tolist())
        for key in keys:
            make.save(FOLDER, f"{name}_{key}", np.stack([o[key] for o in out]))
        predicted = {key: [names[int(np.argmax(o[f"{key}_scores"]))] for o in out] for key in ("whitened", "discriminative")}
        index["settings"][name] = setting | {"r": out[0]["r"], "predicted": predicted}

        # How far float32 is from these goldens, done as an engine does it: P as a 1x1 convolution, then unit directions.
        a32, P32 = inputs[query][0].reshape(len(mu), -1), P.astype(np.float32)
        z32 = P32 @ a32 - (P @ mu).astype(np.float32)[:, None]
        s32 = out[1]["directions"].astype(np.float32) @ z32 / np.sqrt((z32**2).sum(0).mean())
        error = np.abs(s32.reshape(3, 10, 10) - out[1]["evidence"]).max()
        print(name, "r", out[0]["r"], "max |evidence|", np.abs(out[1]["evidence"]).max(), "float32 error", error)
        print("  scores", {key: np.round(np.stack([o[f"{key}_scores"] for o in out]), 4).tolist() for key in predicted}, predicted)
    make.save_json(FOLDER, index)
    print(sum(path.stat().st_size for path in folder.glob("*.*")), "bytes in", folder)


if __name__ == "__main__":
    main()
