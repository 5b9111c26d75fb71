#!/usr/bin/env python3
"""Makes tests/goldens/decisions/index.json: how sure few-shot decisions are, in numpy, apart from famlens.

For maintainers; the tests read the file only. Needs numpy, Pillow, onnx and onnxruntime:

    python tests/goldens/make_decisions.py

Photos are the inputs in class_specific/ (320 x 320) and fam/ (224 x 224); statistics are class_specific/statistics.bin.

Equations, with what make_class_specific.py and make.py say of directions, evidence s_ki and scores
----------------------------------------------------------------------------------------------------
Class-specific forms (unit: times the evidence of photos in general), o the offset, n cells:
    raw_k = mean_i max(s_ki - o, 0)
    sigma_k^2 = w_k' Sigma w_k / tr(W Sigma),  t = o / sigma_k
    general_k = sigma_k phi(t) - o (1 - Phi(t))
    evidence_k = raw_k / general_k
    lead of a over b = (x_a - x_b) / mean_k general_k, with x the score (discriminative) or raw (whitened)
Cosine (unit: between the other classes' photos, 0, and its own, 1), with g_k the mean of the supports' embeddings:
    none_k = mean cosine to g_k of the other classes' supports,  own_k = the same of its own
    evidence_k = (cos(f, g_k) - none_k) / (own_k - none_k)
    lead of a over b = (cos_a - cos_b) / mean_k (own_k - none_k)
Left out in turn, where a class has another photo: the class's direction is made without the photo, the others stay;
general, none and own of its class are those of the direction without it, the unit of leads stays.
    bound = exp((3 ln prior + m ln max(factor median, prior / 4)) / (3 + m)) over the m photos' evidence for their own class
    clear = the same over max(lead of their own class over the best other, 0)
"""

import argparse
import json
from math import erf, exp, log, pi, sqrt

import numpy as np
from make_class_specific import HEAD, HERE, LAYER, export, make, make_unit, read_statistics, ring, softmax, whitening
from PIL import Image

SETTING = {"lambda": 0.75, "whitened": 0.1, "discriminative": 0.05, "tau": 20.0}
BLENDS = {"general": ((2.0, 0.4), (1.0, 0.3)), "between": ((0.2, 0.6), (0.1, 0.25))}


def bound(blend, values):
    prior, factor = blend
    if len(values) == 0:
        return prior
    tends = max(factor * float(np.median(values)), prior / 4)
    return exp((3 * log(prior) + len(values) * log(tends)) / (3 + len(values)))


def passing(sigma, offset):
    t = offset / sigma
    return sigma * exp(-t * t / 2) / sqrt(2 * pi) - offset * (1 - (1 + erf(t / sqrt(2))) / 2)


class Cells:
    """A class-specific form. A photo is its cells at the block and at the head."""

    unit = "general"

    def __init__(self, form):
        self.form, self.offset = form, SETTING[form]
        _, self.mu, self.sigma, self.nu = read_statistics(HERE / "class_specific" / "statistics.bin")
        self.P = whitening(self.sigma, SETTING["lambda"])
        self.W = self.P.T @ self.P
        self.total = np.trace(self.W @ self.sigma)

    def direction(self, supports):
        edge = ring(10, 10)
        both = []
        for layer, centre in ((0, self.mu), (1, self.nu)):
            cells = np.stack([s[layer] for s in supports]).astype(np.float64)
            mean, border = cells.mean((0, 2, 3)), cells[:, :, edge].mean((0, 2))
            both.append((mean - centre) - (border - centre) / 2)
        w = self.W @ both[0] / sqrt(both[0] @ self.W @ both[0])
        return w, make_unit(both[1][None])[0]

    def general(self, direction):
        return passing(sqrt(direction[0] @ self.sigma @ direction[0] / self.total), self.offset)

    def read(self, photo, directions):
        """score and raw evidence of each class."""
        a = photo[0].reshape(320, -1).astype(np.float64) - self.mu[:, None]
        r = np.sqrt(((self.P @ a) ** 2).sum(0).mean())
        s = np.stack([w for w, _ in directions]) @ a / r
        if self.form == "whitened":
            mean = a.mean(1)
            scores = np.stack([w for w, _ in directions]) @ mean / np.linalg.norm(self.P @ mean)
            return scores, np.maximum(s - self.offset, 0).mean(1)
        b = photo[1].reshape(1280, -1).astype(np.float64) - self.nu[:, None]
        s = (s + np.stack([v for _, v in directions]) @ b / np.sqrt((b**2).sum(0).mean())) / 2
        passed = np.maximum(s - self.offset, 0)
        return (passed * softmax(SETTING["tau"] * s) ** 2).mean(1), passed.mean(1)

    def places(self, classes, directions):
        return [(0.0, self.general(d)) for d in directions]

    def told(self, scores, raw):
        return scores if self.form == "discriminative" else raw


class Cosine:
    """The cosine of pooled features. A photo is its embedding."""

    unit = "between"

    def direction(self, supports):
        return np.mean(supports, 0)

    def read(self, photo, directions):
        scores = np.array([photo @ g / np.linalg.norm(photo) / np.linalg.norm(g) for g in directions])
        return scores, scores

    def places(self, classes, directions):
        found = []
        for k, g in enumerate(directions):
            cosines = [[self.read(photo, [g])[0][0] for photo in supports] for supports in classes]
            none = np.mean([c for j, row in enumerate(cosines) if j != k for c in row])
            found.append((none, np.mean(cosines[k]) - none))
        return found

    def told(self, scores, _raw):
        return scores


def decide(form, query, names, classes):
    directions = [form.direction(supports) for supports in classes]
    places = form.places(classes, directions)
    unit = np.mean([unit for _, unit in places])

    def lead(told, own):
        return (told[own] - max(np.delete(told, own))) / unit

    evidence, leads = [], []
    strongest = [max(form.read(photo, directions)[0][k] for photo in supports) for k, supports in enumerate(classes)]
    for k, supports in enumerate(classes):
        for i in range(len(supports) if len(supports) > 1 else 0):
            rest = [list(s) for s in classes]
            photo = rest[k].pop(i)
            without = list(directions)
            without[k] = form.direction(rest[k])
            scores, raw = form.read(photo, without)
            none, one = form.places(rest, without)[k]
            evidence.append((raw[k] - none) / one)
            leads.append(max(lead(form.told(scores, raw), k), 0))
    known, clear = (bound(blend, values) for blend, values in zip(BLENDS[form.unit], (evidence, leads)))
    scores, raw = form.read(query, directions)
    first = int(np.argmax(scores))
    second = int(np.argmax(np.where(np.arange(len(scores)) == first, -np.inf, scores)))
    told = form.told(scores, raw)
    found = (raw[first] - places[first][0]) / places[first][1]
    margin = (told[first] - told[second]) / unit
    closeness = "clear" if margin >= clear else "close" if margin >= clear / 2 else "too close"
    accepted = bool(found >= known)
    return {
        "class": names[first] if accepted and closeness != "too close" else None,
        "known": accepted,
        "closeness": closeness,
        "first": names[first],
        "second": names[second],
        "evidence": found,
        "bound": known,
        "margin": margin,
        "clear": clear,
        "strongest": strongest,
        "scores": scores.tolist(),
    }


def main():
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    run = export.session(export.HERE / make.NAME / "model.onnx", (LAYER, HEAD))
    episode = json.loads((HERE / "class_specific" / "index.json").read_text(encoding="utf-8"))
    files = [episode["query"], *(file for entry in episode["classes"] for file in entry["supports"])]
    cells, embeddings = {}, {}
    for file in files:
        pixels = np.asarray(Image.open(HERE / "class_specific" / file).convert("RGB"))
        cells[file] = [value[0] for value in run(export.normalise(pixels, make.MODEL))]
        pixels = np.asarray(Image.open(HERE / "fam" / file).convert("RGB"))
        embeddings[file] = run(export.normalise(pixels, make.MODEL))[1][0].mean((1, 2), dtype=np.float64)
    by_name = {entry["name"]: entry["supports"] for entry in episode["classes"]}
    cases = {
        "a bird among three classes": (episode["query"], by_name),
        "one photo a class": (episode["query"], {name: supports[:1] for name, supports in by_name.items()}),
        "a bison among birds and fish": ("bison.webp", {name: by_name[name] for name in ("Bird", "Fish")}),
        "a sheep among birds and fish, one photo a class": ("sheep.webp", {name: by_name[name][:1] for name in ("Bird", "Fish")}),
    }
    found = {}
    for name, (query, classes) in cases.items():
        found[name] = {"query": query, "classes": classes, "forms": {}}
        for form, how, photos in (
            ("discriminative", Cells("discriminative"), cells),
            ("whitened", Cells("whitened"), cells),
            ("fam", Cosine(), embeddings),
        ):
            supports = [[photos[file] for file in files] for files in classes.values()]
            decision = decide(how, photos[query], list(classes), supports)
            found[name]["forms"][form] = decision
            print(name, form, {k: round(v, 4) if isinstance(v, float) else v for k, v in decision.items()})
    (HERE / "decisions").mkdir(exist_ok=True)
    make.save_json("decisions", {"source": "make_decisions.py", "cases": found})


if __name__ == "__main__":
    main()
