#!/usr/bin/env python3
"""Goldens of the shipped models: what ONNX Runtime makes of one photo, from Pillow's resize to the embedding.

    python tests/goldens/make_models.py
"""

import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / "models"))
import export  # noqa: E402

PHOTO = ROOT / "tests" / "goldens" / "engine" / "kingfisher.png"

for name, model in export.MODELS.items():
    run = export.session(ROOT / "models" / name / "model.onnx", ("embedding",))
    (embedding,) = run(export.normalise(export.squash(export.load_rgb(PHOTO), model["size"]), model))
    (HERE / "models").mkdir(exist_ok=True)
    np.save(HERE / "models" / f"{name}.npy", embedding.reshape(1, -1))
    print(name, embedding.shape)
