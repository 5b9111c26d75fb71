#!/usr/bin/env python3
"""Makes looks/: thresholds at a share of the energy, and maps with a second look in their place, by numpy and scipy.

For maintainers; the tests read the file only.

    pip install numpy scipy
    python tests/goldens/make_looks.py

looks/index.json:
    "energy": maps, photo sizes and shares of the energy, with the level (share of the range) of the smallest region of the
        bilinearly upsampled map that holds that share of its positive part, sampled at 160 points along the photo's longer
        side or at its pixels; and the box of the largest 8-connected region over that level, at the photo's pixels.
    "merge": a coarse map over a photo, a part of the photo, the map of a second look at that part, and the merged map of four
        times the cells: at the centre of each cell the second look's bilinear value if the part holds the centre, else the
        coarse map's.
"""

import json
from pathlib import Path

import numpy as np
from scipy import ndimage

HERE = Path(__file__).resolve().parent


def sample(cells, x, y):
    """Bilinear values at points of the unit square (rows y, columns x), constant beyond the outermost centres."""
    h, w = cells.shape

    def along(t, n):
        t = np.clip(np.asarray(t) * n - 0.5, 0, n - 1)
        low = np.floor(t).astype(int)
        return low, np.minimum(low + 1, n - 1), t - low

    (x0, x1, u), (y0, y1, v) = along(x, w), along(y, h)
    left = cells[y0][:, x0] * (1 - u) + cells[y0][:, x1] * u
    right = cells[y1][:, x0] * (1 - u) + cells[y1][:, x1] * u
    return left * (1 - v)[:, None] + right * v[:, None]


def centres(n):
    return (np.arange(n) + 0.5) / n


def energy(rng, case):
    h, w = rng.integers(3, 12, 2)
    cells = ndimage.gaussian_filter(rng.normal(0, 3, (h, w)), 0.8)
    # Some maps begin at zero, as behind a ReLU; some lie above it; some reach below.
    cells = [np.maximum(cells, 0), cells - cells.min() + 0.5, cells][case % 3].astype(np.float32)
    width, height = (int(n) for n in rng.integers(40, 400, 2))
    share = [0.5, 0.8, 0.94, 0.97][case % 4]
    exact = cells.astype(np.float64)
    shrink = max(max(width, height) / 160, 1)
    columns, rows = (max(int(np.floor(side / shrink + 0.5)), 1) for side in (width, height))
    values = np.sort(np.maximum(sample(exact, centres(columns), centres(rows)), 0).ravel())[::-1]
    held = np.cumsum(values)
    level = values[np.searchsorted(held, share * held[-1])]
    fine = sample(exact, centres(width), centres(height))
    labels, _ = ndimage.label(fine >= level, structure=np.ones((3, 3)))
    region = labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
    ys, xs = np.nonzero(region)
    return {
        "map": [float(v) for v in cells.ravel()], "width": int(w), "height": int(h), "photo": [width, height],
        "share": share, "level": float((level - exact.min()) / (exact.max() - exact.min())),
        "box": [int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1],
    }


def merge(rng):
    (h, w), (sh, sw) = rng.integers(4, 11, 2), rng.integers(4, 11, 2)
    coarse, second = rng.normal(0, 1, (h, w)).astype(np.float32), rng.normal(0, 1, (sh, sw)).astype(np.float32)
    width, height = (int(n) for n in rng.integers(100, 700, 2))
    x0, y0 = rng.uniform(0, 0.6, 2)
    part = [x0 * width, y0 * height, (x0 + rng.uniform(0.3, 0.4)) * width, (y0 + rng.uniform(0.3, 0.4)) * height]
    xs, ys = centres(4 * w) * width, centres(4 * h) * height
    merged = sample(coarse.astype(np.float64), xs / width, ys / height)
    columns = (xs >= part[0]) & (xs < part[2])
    rows = (ys >= part[1]) & (ys < part[3])
    inside = sample(second.astype(np.float64), (xs[columns] - part[0]) / (part[2] - part[0]),
                    (ys[rows] - part[1]) / (part[3] - part[1]))
    merged[np.ix_(rows, columns)] = inside
    grid = lambda cells: {"width": cells.shape[1], "height": cells.shape[0], "data": [float(v) for v in cells.ravel()]}
    return {"photo": [width, height], "part": part, "coarse": grid(coarse), "second": grid(second),
            "merged": [round(float(v), 6) for v in merged.ravel()]}


def main():
    rng = np.random.default_rng(1)
    found = {"energy": [energy(rng, case) for case in range(24)], "merge": [merge(rng) for _ in range(6)]}
    folder = HERE / "looks"
    folder.mkdir(exist_ok=True)
    lines = [f'"{name}": [\n' + ",\n".join(json.dumps(case) for case in cases) + "\n]" for name, cases in found.items()]
    (folder / "index.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
