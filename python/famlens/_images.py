"""What stands for an image: a path, a PIL image, an array of pixels, or the bytes of a file."""

from __future__ import annotations

import os
from typing import Any, Iterable, Sequence, Union

import numpy as np

from ._errors import ImageError

Image = Union[str, "os.PathLike[str]", bytes, np.ndarray, Any]
"""A path, a ``PIL.Image.Image``, an array ``[H, W]``, ``[H, W, 3]`` or ``[H, W, 4]``, or the bytes of a file."""


def given(image: Image, name: str) -> tuple[str, Any]:
    """The name and the data of an image, as the native module takes them."""
    if isinstance(image, (str, os.PathLike)):
        path = os.fspath(image)
        return path, path
    if isinstance(image, (bytes, bytearray, memoryview)):
        return name, bytes(image)
    if hasattr(image, "convert") and hasattr(image, "mode"):
        path = getattr(image, "filename", "") or name
        if image.mode in ("RGBA", "LA", "PA") or "transparency" in getattr(image, "info", {}):
            return path, _pixels(np.asarray(image.convert("RGBA")), path)
        return path, _pixels(np.asarray(image.convert("RGB")), path)
    return name, _pixels(np.asarray(image), name)


def _pixels(pixels: np.ndarray, name: str) -> np.ndarray:
    if pixels.dtype != np.uint8:
        if not np.issubdtype(pixels.dtype, np.floating):
            raise ImageError(f"cannot read the image {name}: its values are {pixels.dtype}, and uint8 is expected")
        low, high = float(np.min(pixels, initial=0)), float(np.max(pixels, initial=0))
        if not (low >= 0 and high <= 1):
            raise ImageError(f"cannot read the image {name}: floats are expected from 0 to 1, not {low} to {high}")
        pixels = np.rint(pixels * 255).astype(np.uint8)
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[:, :, None], 3, axis=2)
    if pixels.ndim != 3 or pixels.shape[2] not in (3, 4) or 0 in pixels.shape:
        raise ImageError(f"cannot read the image {name}: its shape is {pixels.shape}, and [H, W, 3] is expected")
    if pixels.shape[2] == 4:
        # Transparent pixels lie on white, as everywhere in famlens.
        alpha = pixels[:, :, 3:].astype(np.uint32)
        mixed = (pixels[:, :, :3] * alpha + 255 * (255 - alpha) + 127) // 255
        pixels = mixed.astype(np.uint8)
    return np.ascontiguousarray(pixels)


def members(name: str, images: Any) -> tuple[str, list[tuple[str, Any]], list[list[float]]]:
    """A class as the native module takes it: its images, and vectors that stand for it."""
    if isinstance(images, np.ndarray) and images.ndim == 1:
        return name, [], [images.astype(np.float32).tolist()]
    return name, class_images(name, images), []


def class_images(name: str, images: Image | Iterable[Image]) -> list[tuple[str, Any]]:
    """The photos of a class: one, several, or a folder of them."""
    if isinstance(images, (str, os.PathLike)):
        path = os.fspath(images)
        if os.path.isdir(path):
            return [(file, file) for file in photos(path)]
        return [(path, path)]
    if isinstance(images, (bytes, np.ndarray)) or hasattr(images, "convert"):
        images = [images]
    return [given(image, f"{name}[{place}]") for place, image in enumerate(images)]


ENDINGS = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")


def photos(folder: str | os.PathLike[str]) -> Sequence[str]:
    """The photos of a folder and the folders below it, by their endings, sorted."""
    found = []
    for at, _, files in os.walk(folder, followlinks=False):
        found.extend(os.path.join(at, file) for file in files if file.lower().endswith(ENDINGS))
    return sorted(found)
