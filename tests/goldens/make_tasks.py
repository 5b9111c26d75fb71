#!/usr/bin/env python3
"""Makes tasks/: what numpy and torchvision say of pairs of images and of views, for tests/tasks.rs to compare with.

For maintainers; the tests read the files only. Needs numpy, pillow, torch and torchvision.

tasks/
  where_to_where.npy, where_to_where_centred.npy [49, 45]
      T_ij = (A_i - m).(B_j - m) / (n k |f - m| |g - m|), m = 0 or fam/mu.npy, A = engine/int8_features_dog.npy (7 x 7 cells),
      B = engine/int8_features_wide.npy (5 x 9 cells), f and g their means over cells; in double precision
  photo.png                      64 x 48 pixels of a photo of tests/photos
  jitter_N.png, grey.png, blur_N.png   the photo after torchvision's functional transforms; the parameters are in index.json
"""

import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torchvision.transforms import functional as F

HERE = Path(__file__).parent
OUT = HERE / "tasks"


def cells(name):
    maps = np.load(HERE / f"{name}.npy").astype(np.float64)
    return maps.reshape(maps.shape[0], -1)


def where_to_where(a, b, mean):
    a, b = a - mean[:, None], b - mean[:, None]
    f, g = a.mean(1), b.mean(1)
    return a.T @ b / (a.shape[1] * b.shape[1] * np.linalg.norm(f) * np.linalg.norm(g))


def save(name, pixels):
    levels = (pixels * 255).round().clamp(0, 255).to(torch.uint8)
    Image.fromarray(levels.permute(1, 2, 0).numpy()).save(OUT / name, optimize=True)


def main():
    OUT.mkdir(exist_ok=True)
    a, b = cells("engine/int8_features_dog"), cells("engine/int8_features_wide")
    mu = np.load(HERE / "fam/mu.npy").astype(np.float64)
    for name, mean in [("where_to_where", np.zeros_like(mu)), ("where_to_where_centred", mu)]:
        np.save(OUT / f"{name}.npy", where_to_where(a, b, mean).astype(np.float32))

    photo = Image.open(HERE.parent / "photos/bird/scarlet_macaw.jpg").convert("RGB").resize((64, 48), Image.BILINEAR)
    photo.save(OUT / "photo.png", optimize=True)
    pixels = F.to_tensor(photo)
    jitters = [(0.6, 1.4, 1.3, 0.1), (1.4, 0.7, 0.6, -0.1), (1.1, 1.2, 0.0, 0.35)]
    for n, (brightness, contrast, saturation, hue) in enumerate(jitters):
        changed = F.adjust_saturation(F.adjust_contrast(F.adjust_brightness(pixels, brightness), contrast), saturation)
        save(f"jitter_{n}.png", F.adjust_hue(changed, hue))
    save("grey.png", F.rgb_to_grayscale(pixels, num_output_channels=3))
    blurs = [0.5, 2.0]
    for n, sigma in enumerate(blurs):
        # Deviations are in pixels of a view whose shorter side has 224; this one has 48.
        own = sigma * 224 / 48
        save(f"blur_{n}.png", F.gaussian_blur(pixels, 2 * int(np.ceil(4 * sigma)) + 1, sigma))
        blurs[n] = own
    index = {"jitters": jitters, "blurs": blurs}
    (OUT / "index.json").write_text(json.dumps(index, indent=1) + "\n")


if __name__ == "__main__":
    main()
