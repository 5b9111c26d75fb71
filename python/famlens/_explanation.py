"""Explanations: scores, maps and what they look like."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from ._errors import ArgumentError


class Explanation:
    """A decision and the map of every class."""

    def __init__(self, native: Any):
        self._native = native
        self._info = json.loads(native.info())
        self._maps: np.ndarray | None = None

    @property
    def classes(self) -> list[str]:
        """The classes' names."""
        return [entry["name"] for entry in self._info["classes"]]

    @property
    def similarities(self) -> np.ndarray:
        """The score of every class; :attr:`score` names it."""
        return np.array([entry["similarity"] for entry in self._info["classes"]])

    @property
    def predicted(self) -> str:
        """The class of highest score."""
        return self.classes[self._info["predicted"]]

    @property
    def score(self) -> str:
        """Which score ranks the classes."""
        return self._info["score"]

    @property
    def form(self) -> str:
        """The form of FAM."""
        return self._info["form"]

    @property
    def notes(self) -> list[str]:
        """Plain sentences about the choices made."""
        return list(self._info["notes"])

    @property
    def engine(self) -> str:
        """The engine that ran."""
        return self._info["engine"]

    @property
    def maps(self) -> np.ndarray:
        """The raw maps, ``[classes, height, width]`` at the resolution of the target layer."""
        if self._maps is None:
            self._maps = self._native.maps()
        return self._maps

    @property
    def contributions(self) -> np.ndarray:
        """What each channel of the target layer adds to the score of each class, ``[classes, channels]``."""
        return self._native.contributions()

    @property
    def weights(self) -> np.ndarray:
        """What the activation maps were multiplied with, ``[classes, channels]``."""
        return self._native.weights()

    @property
    def boxes(self) -> list[tuple[float, float, float, float] | None]:
        """For every class ``(x0, y0, x1, y1)`` in pixels of the photo; None for a map that is the same everywhere."""
        return [None if box is None else tuple(box) for box in self._info["boxes"]]

    @property
    def peaks(self) -> list[tuple[float, float] | None]:
        """Where each map is highest, in pixels of the photo."""
        return [None if peak is None else tuple(peak) for peak in self._info["peaks"]]

    def _place(self, name: str | int | None) -> int:
        if name is None:
            return self._info["predicted"]
        if isinstance(name, str):
            if name not in self.classes:
                raise ArgumentError(f"name: {name!r} is not one of the classes: {', '.join(self.classes)}")
            return self.classes.index(name)
        return name

    def upsampled(self, name: str | int | None = None) -> np.ndarray:
        """The map of a class (the predicted one without a name) over the photo, 0 to 1, ``[height, width]``."""
        return self._native.upsampled(self._place(name))

    def overlay(self, name: str | int | None = None, colormap: str = "inferno", opacity: float = 0.6) -> np.ndarray:
        """The photo under the map of a class: ``[height, width, 3]`` in uint8, for PIL or matplotlib."""
        return self._native.overlay(self._place(name), colormap, opacity)

    @property
    def frame(self) -> Any:
        """A data frame with one row a class: name, similarity, peak and box."""
        import pandas

        none = (None, None, None, None)
        boxes = [box or none for box in self.boxes]
        peaks = [peak or none[:2] for peak in self.peaks]
        columns = {"class": self.classes, "similarity": self.similarities}
        columns |= {f"peak_{axis}": [peak[at] for peak in peaks] for at, axis in enumerate("xy")}
        columns |= {side: [box[at] for box in boxes] for at, side in enumerate(("x0", "y0", "x1", "y1"))}
        return pandas.DataFrame(columns)

    def plot(self, axes: Any = None, **overlay: Any) -> Any:
        """Draws the overlay of every class beside each other with matplotlib, and gives the figure."""
        from matplotlib import pyplot

        names = self.classes
        figure = None
        if axes is None:
            figure, axes = pyplot.subplots(1, len(names), figsize=(4 * len(names), 4), squeeze=False)
            axes = axes[0]
        for at, (name, axis) in enumerate(zip(names, np.ravel(axes))):
            axis.imshow(self.overlay(at, **overlay))
            axis.set_title(f"{name} {self.similarities[at]:.3f}")
            axis.axis("off")
        return figure or np.ravel(axes)[0].figure

    def __repr__(self) -> str:
        scores = ", ".join(f"{name} {value:.4f}" for name, value in zip(self.classes, self.similarities))
        return f"<famlens.Explanation {self.predicted!r} by {self.score} ({scores})>"


@dataclass(frozen=True)
class Pair:
    """What makes two images alike."""

    a: Explanation
    """What in the first image makes it like the second."""
    b: Explanation
    """What in the second image makes it like the first."""
    similarity: float
    """The similarity of the two."""
