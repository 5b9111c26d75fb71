#!/usr/bin/env python3
"""Makes photos/: image files as cameras, editors and damaged disks leave them, with the pixels that Pillow reads.

For maintainers; the tests read the files only.

    pip install pillow numpy
    python tests/goldens/make_photos.py

Every file NAME of index.json has either NAME.expected.png and the greatest difference to be expected, or "refused": words
that the error must hold. "page" is false for formats that not every browser reads, "native" false for those that only
browsers read.

Files with a colour profile are converted by LittleCMS (Pillow's ImageCms). JPEG files that are complete although something
in them is odd have the pixels of the file that they were made from.
"""

import io
import json
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageDraw

HERE = Path(__file__).resolve().parent
FOLDER = HERE / "photos"
W, H = 48, 36


def picture(w=W, h=H):
    """Smooth, with a few edges and no symmetry, and colours that other profiles move a long way."""
    y, x = np.mgrid[0:h, 0:w]
    rgb = np.stack([x * 255 // (w - 1), y * 255 // (h - 1), 255 - (x + y) * 255 // (w + h - 2)], -1).astype(np.uint8)
    image = Image.fromarray(rgb)
    draw = ImageDraw.Draw(image)
    draw.rectangle((w // 10, h // 8, w // 3, h // 2), fill=(240, 40, 20))
    draw.ellipse((w // 2, h // 3, w - 5, h - 4), fill=(30, 190, 60))
    return image


def alpha():
    y, x = np.mgrid[0:H, 0:W]
    a = ((x * 7 + y * 11) % 256).astype(np.uint8)
    a[:, :5], a[:, -5:] = 0, 255
    return Image.fromarray(a)


# Profiles ------------------------------------------------------------------------------------------------------------


def fixed(*values):
    return b"".join(struct.pack(">i", round(v * 65536)) for v in values)


def tag_text(text):
    data = text.encode() + b"\0"
    return b"desc" + bytes(4) + struct.pack(">I", len(data)) + data + bytes(78)


def icc(space, tags):
    """An ICC profile, version 2, of these tags."""
    tags = {"desc": tag_text("made for tests"), "wtpt": b"XYZ " + bytes(4) + fixed(0.9642, 1.0, 0.8249), **tags}
    table, body, at = b"", b"", 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        data += bytes(-len(data) % 4)
        table += name.encode() + struct.pack(">II", at + len(body), len(data))
        body += data
    size = at + len(body)
    head = struct.pack(">I4sI4s4s4s", size, b"none", 0x02400000, b"mntr", space, b"XYZ ")
    head += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + fixed(0.9642, 1.0, 0.8249) + bytes(48)
    assert len(head) == 128
    return head + struct.pack(">I", len(tags)) + table + body


def rgb_profile(primaries, curve):
    """Primaries as XYZ under D50, one curve for all."""
    tags = {}
    for name, xyz in zip("rgb", primaries):
        tags[f"{name}XYZ"] = b"XYZ " + bytes(4) + fixed(*xyz)
        tags[f"{name}TRC"] = curve
    return icc(b"RGB ", tags)


def gamma(value):
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(value * 256))


SRGB_CURVE = b"para" + bytes(4) + struct.pack(">HH", 3, 0) + fixed(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
P3 = rgb_profile([(0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407)], SRGB_CURVE)
ADOBE = rgb_profile([(0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457)], gamma(563 / 256))
SRGB = rgb_profile([(0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410)], SRGB_CURVE)
GREY = icc(b"GRAY", {"kTRC": gamma(1.8)})


def converted(image, profile):
    """The picture in sRGB, by LittleCMS; alpha stays as it is."""
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    if image.mode == "RGBA":
        rgb = ImageCms.profileToProfile(image.convert("RGB"), source, ImageCms.createProfile("sRGB"), outputMode="RGB")
        rgb.putalpha(image.getchannel("A"))
        return rgb
    return ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")


def on_white(image):
    if image.mode != "RGBA":
        return image.convert("RGB")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


# Bytes ---------------------------------------------------------------------------------------------------------------


def encoded(image, format, **options):
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def opened(data):
    return Image.open(io.BytesIO(data))


def segment(marker, body):
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def after_soi(jpeg, inserted):
    return jpeg[:2] + inserted + jpeg[2:]


def before_marker(jpeg, marker, inserted):
    at = jpeg.index(bytes([0xFF, marker]))
    return jpeg[:at] + inserted + jpeg[at:]


def png(color, depth, samples, extra=b""):
    """A PNG of unfiltered rows, for what Pillow cannot write."""
    h, w = samples.shape[:2]
    rows = samples.reshape(h, -1).astype(">u2" if depth == 16 else np.uint8)
    data = b"".join(b"\0" + row.tobytes() for row in rows)

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", w, h, depth, color, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + extra + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def eight(samples):
    return np.round(samples.astype(np.float64) / 257).astype(np.uint8)


# Files ---------------------------------------------------------------------------------------------------------------

index = []


def write(name, data, expected=None, tolerance=0, **more):
    (FOLDER / name).write_bytes(data)
    entry = {"file": name, **more}
    if expected is not None:
        entry["tolerance"] = tolerance
        expected.convert("RGB").save(FOLDER / f"{name}.expected.png", optimize=True)
    index.append(entry)


def complete_jpegs():
    image = picture()
    whole = encoded(image, "JPEG", quality=95, subsampling=0)
    pixels = opened(whole)
    pixels.load()
    progressive = encoded(image, "JPEG", quality=95, subsampling=0, progressive=True)
    restarts = encoded(image, "JPEG", quality=95, subsampling=0, restart_marker_blocks=2)
    for name, data, of in [
        ("photo.jfif", whole, whole),
        ("photo.jpe", whole, whole),
        ("no_end.jpg", whole[:-2], whole),
        ("half_an_end.jpg", whole[:-1], whole),
        ("junk_between.jpg", before_marker(whole, 0xC0, b"rests of other software\0"), whole),
        ("pad_after_segment.jpg", after_soi(whole, segment(0xED, b"8BIMxyz") + b"\0"), whole),
        ("junk_before_end.jpg", whole[:-2] + bytes(17) + whole[-2:], whole),
        ("junk_after_end.jpg", whole + b"appended", whole),
        ("fill_before_markers.jpg", before_marker(whole, 0xDB, b"\xff\xff\xff"), whole),
        ("unknown_segment.jpg", after_soi(whole, segment(0xF7, b"what is this")), whole),
        ("comment.jpg", after_soi(whole, segment(0xFE, b"\xff\xd9 in a comment")), whole),
        ("progressive_no_end.jpg", progressive[:-2], progressive),
        ("restarts.jpg", restarts, restarts),
        ("restarts_no_end.jpg", restarts[:-2], restarts),
    ]:
        write(name, data, opened(of), 2)
    rgb = encoded(image, "JPEG", quality=95, subsampling=0, keep_rgb=True)
    write("rgb_not_ycc.jpg", rgb, opened(rgb), 2)
    cmyk = encoded(image.convert("CMYK"), "JPEG", quality=95)
    write("cmyk.jpg", cmyk, opened(cmyk), 4)
    grey = encoded(image.convert("L"), "JPEG", quality=95, restart_marker_blocks=1)
    write("grey_restarts.jpg", grey, opened(grey), 1)


def lost():
    """Of a larger picture, so that shares of it mean something."""
    y, x = np.mgrid[0:256, 0:256]
    noise = np.random.default_rng(1).integers(0, 90, (256, 256, 3))
    image = Image.fromarray((np.stack([x, y, 255 - x], -1) * 0.6 + noise).astype(np.uint8))
    jpeg = encoded(image, "JPEG", quality=80)
    progressive = encoded(image, "JPEG", quality=80, progressive=True)
    restarts = encoded(image, "JPEG", quality=80, restart_marker_rows=1)
    end = b"\xff\xd9"
    half = len(jpeg) // 2
    write("half.jpg", jpeg[:half], refused=["cut off", "% of its rows are missing"])
    write("half_with_end.jpg", jpeg[:half] + end, refused=["damaged", "% of its rows cannot be read"])
    write("most_with_end.jpg", jpeg[: len(jpeg) * 95 // 100] + end, refused=["damaged", "%"])
    write("hole.jpg", jpeg[:half] + jpeg[half + 600 :], refused=["damaged"])
    write("half_progressive.jpg", progressive[: len(progressive) // 2], refused=["cut off"])
    write("half_progressive_with_end.jpg", progressive[: len(progressive) // 2] + end, refused=["damaged"])
    # A stretch between two restarts that is too short: the ones after it are in their place.
    first = restarts.index(b"\xff\xd1")
    write("short_stretch.jpg", restarts[: first - 200] + restarts[first:], refused=["damaged"])
    data = encoded(image.resize((64, 64)), "PNG")
    write("half.png", data[: len(data) // 2], refused=["cut off", "% of its rows are missing"])
    arithmetic = before_marker(encoded(picture(), "JPEG"), 0xC0, b"").replace(b"\xff\xc0", b"\xff\xc9", 1)
    write("arithmetic.jpg", arithmetic, refused=["arithmetic coding"])
    twelve = encoded(picture(), "JPEG")
    at = twelve.index(b"\xff\xc0")
    write("twelve_bits.jpg", twelve[: at + 4] + b"\x0c" + twelve[at + 5 :], refused=["12 bits"])


def profiles():
    image, rgba = picture(), picture()
    rgba.putalpha(alpha())
    jpeg = {"quality": 95, "subsampling": 0}
    # JPEG decoders differ by two levels, which Adobe's curve makes more of in the dark.
    for name, profile in [("p3", P3), ("adobe", ADOBE)]:
        for ending, format, options, tolerance in [
            ("png", "PNG", {}, 2),
            ("jpg", "JPEG", jpeg, 6),
            ("webp", "WEBP", {"lossless": True}, 2),
            ("tif", "TIFF", {"compression": "tiff_lzw"}, 2),
            ("avif", "AVIF", {"quality": 100, "subsampling": "4:4:4"}, 2),
        ]:
            data = encoded(image, format, icc_profile=profile, **options)
            write(f"{name}.{ending}", data, converted(opened(data), profile), tolerance,
                  page=ending != "tif", native=ending != "avif")
        data = encoded(rgba, "PNG", icc_profile=profile)
        write(f"{name}_alpha.png", data, on_white(converted(opened(data), profile)), 2)
        palette = encoded(image.quantize(16), "PNG", icc_profile=profile)
        write(f"{name}_palette.png", palette, converted(opened(palette).convert("RGB"), profile), 2)
    data = encoded(image, "PNG", icc_profile=SRGB)
    write("srgb.png", data, image)
    grey = encoded(image.convert("L"), "PNG", icc_profile=GREY)
    write("grey_profile.png", grey, converted(opened(grey), GREY), 2)
    exif = Image.Exif()
    exif[0x112] = 6
    turned = encoded(image, "JPEG", icc_profile=P3, exif=exif.tobytes(), **jpeg)
    write("p3_turned.jpg", turned, converted(opened(turned), P3).transpose(Image.Transpose.ROTATE_270), 6)
    # A profile in several segments, and one that is cut off, which is ignored.
    parts = [P3[:200], P3[200:]]
    whole = encoded(image, "JPEG", **jpeg)
    spread = b"".join(segment(0xE2, b"ICC_PROFILE\0" + bytes([2 - i, 2]) + parts[1 - i]) for i in range(2))
    write("p3_in_parts.jpg", after_soi(whole, spread), converted(opened(whole), P3), 6)
    broken = after_soi(whole, segment(0xE2, b"ICC_PROFILE\0\x01\x01" + P3[:300]))
    write("broken_profile.jpg", broken, opened(whole), 2, page=True)


def depths():
    y, x = np.mgrid[0:H, 0:W]
    rgb = np.stack([x * 1365, y * 1820, 65535 - x * 700], -1).astype(np.uint16)
    a = ((x * 1601 + y * 97) % 65536).astype(np.uint16)
    grey = (x * 1111 + y * 333).astype(np.uint16)
    write("rgb16.png", png(2, 16, rgb), Image.fromarray(eight(rgb)))
    rgba = np.dstack([eight(rgb), eight(a)])
    write("rgba16.png", png(6, 16, np.dstack([rgb, a])), on_white(Image.fromarray(rgba)), 1)
    la = np.dstack([eight(grey)] * 3 + [eight(a)])
    write("grey_alpha16.png", png(4, 16, np.dstack([grey, a])), on_white(Image.fromarray(la)), 1)
    image = picture()
    key = image.getpixel((10, 10))
    data = encoded(image, "PNG", transparency=key)
    write("rgb_key.png", data, on_white(opened(data).convert("RGBA")))
    data = encoded(image.convert("L"), "PNG", transparency=image.convert("L").getpixel((10, 10)))
    write("grey_key.png", data, on_white(opened(data).convert("RGBA")))
    clear = image.quantize(16)
    data = encoded(clear, "PNG", transparency=bytes(range(0, 256, 17)))
    write("palette_alphas.png", data, on_white(opened(data).convert("RGBA")), 1)
    for bits in (2, 4):
        data = encoded(image.quantize(1 << bits), "PNG", bits=bits)
        write(f"palette{bits}.png", data, opened(data))
    for name, of, options in [
        ("plain.tif", image, {}),
        ("deflate.tif", image, {"compression": "tiff_adobe_deflate"}),
        ("packbits.tif", image, {"compression": "packbits"}),
        ("grey.tif", image.convert("L"), {}),
        ("bits1.tif", image.convert("1"), {}),
        ("turned.tif", image, {"tiffinfo": {0x112: 6}}),
    ]:
        data = encoded(of, "TIFF", **options)
        expected = opened(data)
        if name == "turned.tif":
            expected = image.transpose(Image.Transpose.ROTATE_270)
        write(name, data, expected, page=False)
    rgba = picture()
    rgba.putalpha(alpha())
    data = encoded(rgba, "TIFF")
    write("rgba.tif", data, on_white(opened(data)), 1, page=False)
    data = encoded(image, "AVIF", quality=100, subsampling="4:4:4")
    write("photo.avif", data, opened(data), 2, native=False)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    complete_jpegs()
    lost()
    profiles()
    depths()
    (FOLDER / "index.json").write_text("[\n" + ",\n".join(json.dumps(entry) for entry in index) + "\n]\n")
