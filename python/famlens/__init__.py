"""See why an image model judged two photos alike.

A session holds a model. It says which class a photo is like, and which parts of the photo say so:

>>> import famlens
>>> session = famlens.Session(engine="cpu")
>>> explanation = session.explain(
...     "bird/kingfisher.jpg",
...     {"bird": ["bird/owl.jpg", "bird/duck.jpg"], "fish": "fish"},
...     form="fam",
... )
>>> explanation.predicted
'bird'
>>> explanation.maps.shape, str(explanation.maps.dtype)
((2, 7, 7), 'float32')
"""

from __future__ import annotations

import json
import os
from typing import Any, Iterable, Mapping

import numpy as np

from . import _native
from ._errors import ArgumentError, EngineError, Error, FileError, ImageError, ModelError
from ._explanation import Explanation, Pair
from ._images import Image, class_images, given, members, photos
from ._options import as_json

__all__ = [
    "ArgumentError",
    "EngineError",
    "Error",
    "Explanation",
    "FileError",
    "Image",
    "ImageError",
    "Model",
    "ModelError",
    "Pair",
    "Session",
    "choices",
    "embed",
    "evaluate",
    "explain",
    "pair",
    "photos",
]

Classes = Mapping[str, "Image | Iterable[Image]"]
"""Each class's name with its support images: one, several, or a folder of them; or with an embedding, an array of one
dimension, that stands for it: a prototype, or what CLIP's other tower makes of a text."""


class Model:
    """A model: a folder with ``model.json`` and its ONNX file, or the built-in EfficientNet-Lite0.

    >>> model = Model()
    >>> model.name, model.size
    ('EfficientNet-Lite0', 224)
    """

    def __init__(self, folder: str | os.PathLike[str] | None = None):
        self._native = _native.Model(None if folder is None else os.fspath(folder))
        self._info = json.loads(self._native.info())

    @classmethod
    def from_onnx(cls, onnx: str | os.PathLike[str] | bytes, description: Mapping[str, Any]) -> Model:
        """A model of an ONNX file and the fields of ``model.json``."""
        if not isinstance(onnx, bytes):
            try:
                with open(onnx, "rb") as file:
                    onnx = file.read()
            except OSError as error:
                raise FileError(f"{os.fspath(error.filename)}: {error.strerror}") from None
        model = cls.__new__(cls)
        model._native = _native.Model.from_bytes(onnx, json.dumps({"format": 1, "name": "model", **description}))
        model._info = json.loads(model._native.info())
        return model

    @property
    def name(self) -> str:
        """What ``model.json`` calls it."""
        return self._info["name"]

    @property
    def size(self) -> int:
        """Side of its input in pixels."""
        return self._info["size"]

    @property
    def target(self) -> str:
        """The target layer: the one whose activation maps are explained."""
        return self._info["target"]

    @property
    def targets(self) -> list[str]:
        """The layers that can be the target, the deepest first."""
        return list(self._info["targets"])

    @property
    def labels(self) -> list[str]:
        """The names of its classifier's outputs, if it has one and ``model.json`` names them."""
        return list(self._info["labels"])

    def __repr__(self) -> str:
        return f"<famlens.Model {self.name!r}, {self.size} px, target {self.target!r}>"


class Session:
    """A model on an engine: ``auto``, ``cpu`` or ``gpu``.

    A session may be used from any thread; it answers one call after another, and other threads run meanwhile. It keeps
    the support images of its last calls, so a class's photos are embedded once for many queries.
    """

    def __init__(self, model: Model | str | os.PathLike[str] | None = None, engine: str = "auto"):
        self.model = model if isinstance(model, Model) else Model(model)
        self._native = _native.Session(self.model._native, engine)

    @property
    def engine(self) -> str:
        """The engine that runs."""
        return self._native.engine()

    def explain(self, query: Image, classes: Classes | None = None, **options: Any) -> Explanation:
        """Decides which class an image is like, and explains it for every class.

        The options are those of ``famlens choices``: ``form="contrastive"``, ``similarity="euclidean"``,
        ``method="grad-cam"``, ``against="tabby"`` and so on. Without ``form``, it is the one that tells classes apart
        best with this model.
        """
        groups = [members(name, images) for name, images in (classes or {}).items()]
        return Explanation(self._native.explain(given(query, "query"), groups, as_json(options)))

    def pair(self, a: Image, b: Image, **options: Any) -> Pair:
        """Explains the similarity of two images on both sides.

        >>> famlens.pair("bird/owl.jpg", "bird/duck.jpg").similarity > 0.3
        True
        """
        of_a, of_b, similarity = self._native.pair(given(a, "a"), given(b, "b"), as_json(options))
        return Pair(Explanation(of_a), Explanation(of_b), similarity)

    def embed(self, images: Image | Iterable[Image], **options: Any) -> np.ndarray:
        """The embeddings of images, ``[images, channels]`` in float32; ``target`` and ``pooling`` count.

        >>> session = Session(engine="cpu")
        >>> session.embed(["bird/owl.jpg", "bird/duck.jpg"]).shape
        (2, 1280)
        """
        return self._native.embed(class_images("images", images), as_json(options))

    def check(self, classes: Classes, **options: Any) -> Any:
        """Takes each support image out in turn and lets the others decide about it: a data frame, one row an image."""
        import pandas

        groups = [members(name, images) for name, images in classes.items()]
        check = json.loads(self._native.check(groups, as_json(options)))
        names = check["classes"]
        return pandas.DataFrame(
            {
                "image": [image["name"] for image in check["images"]],
                "class": [names[image["class"]] for image in check["images"]],
                "predicted": [None if (p := image["predicted"]) is None else names[p] for image in check["images"]],
                "margin": [image["margin"] for image in check["images"]],
            }
        )

    def origin(self, **options: Any) -> dict[str, Any]:
        """What makes the embeddings of :meth:`embed` with these options; a gallery states it."""
        return json.loads(self._native.origin(as_json(options)))

    def __repr__(self) -> str:
        return f"<famlens.Session {self.model.name!r} on {self.engine}>"


_session: Session | None = None


def _default() -> Session:
    """One session with the built-in model, made when it is first needed."""
    global _session
    if _session is None:
        _session = Session()
    return _session


def explain(query: Image, classes: Classes | None = None, *, session: Session | None = None, **options: Any):
    """:meth:`Session.explain` with the built-in model, or with ``session``."""
    return (session or _default()).explain(query, classes, **options)


def pair(a: Image, b: Image, *, session: Session | None = None, **options: Any) -> Pair:
    """:meth:`Session.pair` with the built-in model, or with ``session``."""
    return (session or _default()).pair(a, b, **options)


def embed(images: Image | Iterable[Image], *, session: Session | None = None, **options: Any) -> np.ndarray:
    """:meth:`Session.embed` with the built-in model, or with ``session``."""
    return (session or _default()).embed(images, **options)


def choices() -> list[dict[str, Any]]:
    """Every choice of an explanation with its values, each with a sentence and its source.

    >>> [choice["kind"] for choice in famlens.choices()][:3]
    ['form', 'similarity', 'pooling']
    """
    return json.loads(_native.choices())


def evaluate(images: str | os.PathLike[str], *arguments: str, out: str | os.PathLike[str]) -> dict[str, Any]:
    """``famlens evaluate`` over a folder of photos with its command line's arguments: the tables that it writes into
    ``out`` as data frames, by the names of their files.
    """
    from ._program import evaluate as run

    return run(images, arguments, out)
