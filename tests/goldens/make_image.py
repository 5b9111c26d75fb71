#!/usr/bin/env python3
"""Makes formats/ and localise/: image files with the pixels that Pillow reads from them, and what numpy and scipy localise.

For maintainers; the tests read the files only.

    pip install -r models/requirements.txt scipy
    python tests/goldens/make_image.py

formats/    NAME.EXT a small file of some variant of a format, NAME.EXT.expected.png what Pillow makes of it (upright, alpha
            composited on white), index.json the names with the greatest difference to be expected: 0 where decoding is
            exact, more where decoders may differ (chroma upsampling, rounding of 16 bits and of alpha).
            Files that begin with "foreign" are of formats that famlens does not read.
localise/   index.json: maps, photo sizes and thresholds, with the box and area of the largest 8-connected region over the
            threshold after min-max normalisation and bilinear upsampling with half-pixel centres, in f64.
"""

import json
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageOps
from scipy import ndimage

HERE = Path(__file__).resolve().parent
W, H = 40, 24


def picture():
    """Smooth, with a few edges and no symmetry."""
    y, x = np.mgrid[0:H, 0:W]
    rgb = np.stack([x * 255 // (W - 1), y * 255 // (H - 1), 255 - (x + y) * 255 // (W + H - 2)], -1).astype(np.uint8)
    image = Image.fromarray(rgb)
    draw = ImageDraw.Draw(image)
    draw.rectangle((4, 3, 13, 9), fill=(250, 240, 20))
    draw.ellipse((22, 8, 35, 20), fill=(10, 60, 200))
    return image


def alpha():
    y, x = np.mgrid[0:H, 0:W]
    a = ((x * 7 + y * 11) % 256).astype(np.uint8)
    a[:, :5], a[:, -5:] = 0, 255
    return Image.fromarray(a)


def upright_rgb(path):
    image = Image.open(path)
    image.seek(0)
    if image.mode.startswith("I;16"):
        grey = np.round(np.asarray(image).astype(np.float64) / 257).astype(np.uint8)
        return Image.fromarray(grey).convert("RGB")
    image = ImageOps.exif_transpose(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


def exif(orientation):
    data = Image.Exif()
    data[0x112] = orientation
    return data.tobytes()


def formats():
    folder = HERE / "formats"
    folder.mkdir(exist_ok=True)
    rgb, rgba = picture(), picture()
    rgba.putalpha(alpha())
    grey = rgb.convert("L")
    y, x = np.mgrid[0:H, 0:W]
    palette = rgb.quantize(16)
    clear = rgba.quantize(16)
    small = picture().crop((0, 0, 20, 10)).quantize(16)
    files = {
        "rgb.png": (rgb, {}, 0),
        "rgba.png": (rgba, {}, 1),
        "grey.png": (grey, {}, 0),
        "grey_alpha.png": (Image.merge("LA", (grey, alpha())), {}, 1),
        "grey16.png": (Image.fromarray((x * 1601 + y * 97).astype(np.uint16)), {}, 1),
        "bits1.png": (rgb.convert("1"), {}, 0),
        "palette.png": (palette, {}, 0),
        "palette_alpha.png": (clear, {}, 1),
        "exif6.png": (rgb, {"exif": exif(6)}, 0),
        "rgb.jpg": (rgb, {"quality": 95, "subsampling": 0}, 2),
        "chroma420.jpg": (rgb, {"quality": 90}, 40),
        "progressive.jpg": (rgb, {"quality": 95, "subsampling": 0, "progressive": True}, 2),
        "grey.jpg": (grey, {"quality": 95}, 1),
        "cmyk.jpg": (rgb.convert("CMYK"), {"quality": 95}, 8),
        "exif5.jpg": (rgb, {"quality": 95, "subsampling": 0, "exif": exif(5)}, 2),
        "lossless.webp": (rgb, {"lossless": True}, 0),
        "lossless_alpha.webp": (rgba, {"lossless": True, "exact": True}, 1),
        "lossy.webp": (rgb, {"quality": 90}, 3),
        "lossy_alpha.webp": (rgba, {"quality": 90}, 4),
        "exif8.webp": (rgb, {"lossless": True, "exif": exif(8)}, 0),
        "animated.webp": (rgb, {"lossless": True, "save_all": True, "append_images": [rgb.rotate(180)]}, 0),
        "plain.gif": (palette, {}, 0),
        "interlaced.gif": (palette, {"interlace": 1}, 0),
        "transparent.gif": (clear, {}, 1),
        "animated.gif": (palette, {"save_all": True, "append_images": [small.resize((W, H))], "loop": 0}, 0),
        "rgb.bmp": (rgb, {}, 0),
        "palette.bmp": (palette, {}, 0),
        "bits1.bmp": (rgb.convert("1"), {}, 0),
        "foreign.avif": (rgb, {}, None),
        "foreign.tiff": (rgb, {}, None),
        "foreign.jp2": (rgb, {}, None),
        "foreign.pdf": (rgb, {}, None),
    }
    index = []
    for name, (image, options, tolerance) in files.items():
        image.save(folder / name, **options)
        if tolerance is not None:
            upright_rgb(folder / name).save(folder / f"{name}.expected.png", optimize=True)
            index.append({"file": name, "tolerance": tolerance})
    (folder / "foreign.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>\n')
    # A GIF whose first frame is smaller than its screen: what it leaves open is transparent.
    gif = bytearray((folder / "plain.gif").read_bytes())
    gif[6:10] = (W + 8).to_bytes(2, "little") + (H + 6).to_bytes(2, "little")
    at = gif.index(b"\x2c\0\0\0\0" + W.to_bytes(2, "little"))
    gif[at + 1 : at + 5] = (5).to_bytes(2, "little") + (2).to_bytes(2, "little")
    (folder / "offset.gif").write_bytes(gif)
    white = Image.new("RGB", (W + 8, H + 6), "white")
    white.paste(palette.convert("RGB"), (5, 2))
    white.save(folder / "offset.gif.expected.png", optimize=True)
    index.append({"file": "offset.gif", "tolerance": 0})
    (folder / "index.json").write_text(json.dumps(index, indent=1) + "\n")


def upsample(cells, n, axis):
    """Half-pixel centres, clamped at the outermost cells."""
    size = cells.shape[axis]
    at = np.clip((np.arange(n) + 0.5) * size / n - 0.5, 0, size - 1)
    low = np.minimum(np.floor(at).astype(int), max(size - 2, 0))
    high = np.minimum(low + 1, size - 1)
    t = np.expand_dims(at - low, 1 - axis)
    return np.take(cells, low, axis) * (1 - t) + np.take(cells, high, axis) * t


def localise():
    folder = HERE / "localise"
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(1)
    index = []
    for case in range(40):
        h, w = (7, 7) if case % 2 else rng.integers(1, 12, 2)
        if h * w == 1:
            w = 2
        smooth = 0.0 if case % 4 == 0 else 0.7
        cells = ndimage.gaussian_filter(rng.normal(0, 3, (h, w)), smooth) + rng.normal()
        cells = cells.astype(np.float32)
        width, height = (int(n) for n in rng.integers(20, 400, 2))
        threshold = [0.2, 0.5, 0.35, 0.7][case % 4]
        unit = cells.astype(np.float64)
        unit = (unit - unit.min()) / (unit.max() - unit.min())
        fine = upsample(upsample(unit, height, 0), width, 1)
        labels, count = ndimage.label(fine >= threshold, structure=np.ones((3, 3)))
        areas = np.bincount(labels.ravel())[1:]
        region = labels == 1 + int(np.argmax(areas))
        ys, xs = np.nonzero(region)
        index.append({
            "map": [float(v) for v in cells.ravel()], "width": int(w), "height": int(h), "photo": [width, height],
            "threshold": threshold, "regions": count, "area": int(areas.max()),
            "box": [int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1],
            # The fine map at a few pixels: x, y, value.
            "values": [[x, y, float(fine[y, x])] for x, y in
                       ((int(rng.integers(width)), int(rng.integers(height))) for _ in range(6))],
        })
    (folder / "index.json").write_text("[\n" + ",\n".join(json.dumps(case) for case in index) + "\n]\n")


if __name__ == "__main__":
    formats()
    localise()
