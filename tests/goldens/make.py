#!/usr/bin/env python3
"""Makes the files beside this script: what Pillow, ONNX Runtime and numpy answer, for the Rust tests to compare with.

For maintainers; the tests read the files only. Deterministic: a second run writes the same bytes.

    pip install -r models/requirements.txt
    python models/export.py efficientnet_lite0 --out /tmp/famlens
    python tests/goldens/make.py /tmp/famlens/efficientnet_lite0_fp32.onnx

"int8" is models/efficientnet_lite0/model.onnx as it is, "fp32" the file given. .npy files are little-endian and
C-ordered, f32 unless said otherwise; every list of names is in index.json, row by row. Pixels are kept without loss
(PNG, or WebP where there are many) since JPEG decoders differ, and two levels of noise move an embedding more than int8
does. An input is u8 RGB; the network gets (x - 127) / 128, channels first.

resize/             SOURCE.png, and SOURCE_WxH.png = Pillow's resize((W, H), BILINEAR), the antialiased filter
engine/             NAME.png inputs at the network's size (one of them not square), and for each, in index.json's order:
  int8_logits.npy, int8_embeddings.npy, fp32_logits.npy, fp32_embeddings.npy     [inputs, 1000 or 1280]
  int8_features_NAME.npy                                        the target layer [1280, h, w], for two of the inputs
quantisation/       60 of the photos, taken evenly, by fp32:
  NNN.webp                              the inputs, 224x224
  fp32_embeddings.npy [60, 1280], fp32_top1.npy [60] i64
  prototypes.npy [folders, 1280]        the mean fp32 embedding over all photos of each folder
  fp32_maps.npy [60, 7, 7]              the faithful FAM map of each input for its own folder's prototype
  index.json                            inputs with the row of their prototype; the folders; and what ONNX Runtime gets for
                                        int8 against fp32 (cosine of embeddings, Pearson of maps, top-1), to know what to expect
fam/                one episode of www/examples (3 classes x 3 supports, a query), by int8:
  NAME.webp                             its ten inputs, 224x224
  query_features.npy [1280, 7, 7], query_embedding.npy [1280], support_embeddings.npy [9, 1280]
  mu.npy [1280]                         the mean embedding that the centred form subtracts (of all photos)
  prototypes.npy [3, 1280]              plain means of the supports' embeddings, not normalised before or after
  similarities.npy [3]                  cosine of the query's embedding f and each prototype g
  contributions_FORM.npy [3, 1280]      weights w, for each of the three classes
  maps_FORM.npy [3, 7, 7]               sum over channels of w_c A_c, raw, A the query's features
     faithful:     w = f g / (|f| |g|)                                               sums to the cosine
     centred:      w = (f - mu) (g - mu) / (|f - mu| |g - mu|)                       sums to the centred cosine
     contrastive:  w = f (g/|g| - mean over the other classes of their g/|g|) / |f|  sums to the cosine's lead
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "models"))
import export  # noqa: E402  (models/export.py: preprocessing and ONNX Runtime, in one place)

NAME = "efficientnet_lite0"
MODEL = export.MODELS[NAME]
SIZE = MODEL["size"]
EXAMPLES = ROOT / "www" / "examples"
FORMS = ("faithful", "centred", "contrastive")

# name: (photo or None for noise, crop x0 y0 x1 y1 or None for all of it, sizes to make)
RESIZES = {
    "down": ("bird/kingfisher.jpg", None, [(224, 224), (320, 192)]),
    "portrait": ("hammer/hammer7.jpg", None, [(224, 224)]),
    "odd": ("windmill/windmill1.jpg", (13, 7, 214, 308), [(224, 224), (64, 97)]),
    "tiny": ("bird/scarlet_macaw.jpg", (180, 90, 217, 143), [(224, 224), (37, 20)]),
    "noise": (None, (0, 0, 61, 47), [(224, 224), (17, 31), (5, 3)]),
}
# name: (photo, width, height, whether its features are kept)
INPUTS = {
    "dog": ("dog/dog.jpg", 224, 224, True),
    "kingfisher": ("bird/kingfisher.jpg", 224, 224, False),
    "windmill": ("windmill/windmill.jpg", 224, 224, False),
    "wide": ("bird/kingfisher.jpg", 288, 160, True),
}
KEPT = 60


def save(folder, name, array, dtype=np.float32):
    np.save(HERE / folder / f"{name}.npy", np.ascontiguousarray(array, dtype=np.dtype(dtype).newbyteorder("<")))


def save_png(folder, name, pixels):
    Image.fromarray(pixels).save(HERE / folder / f"{name}.png", optimize=True)


def save_webp(folder, name, pixels):
    """Lossless, and a third smaller than PNG."""
    path = HERE / folder / f"{name}.webp"
    Image.fromarray(pixels).save(path, lossless=True, quality=75, method=4)
    assert np.array_equal(np.asarray(Image.open(path).convert("RGB")), pixels), path


def save_json(folder, value):
    (HERE / folder / "index.json").write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def unit(v):
    return v / np.linalg.norm(v)


def weights(form, f, prototypes, k, mu):
    """The formulas of the head of this file, in f64."""
    f, g = f.astype(np.float64), prototypes.astype(np.float64)
    if form == "faithful":
        return unit(f) * unit(g[k])
    if form == "centred":
        return unit(f - mu) * unit(g[k] - mu)
    others = np.mean([unit(g[j]) for j in range(len(g)) if j != k], axis=0)
    return unit(f) * (unit(g[k]) - others)


def mix(w, features):
    return np.tensordot(w, features.astype(np.float64), 1)


def resize():
    index = []
    for name, (photo, box, sizes) in RESIZES.items():
        if photo:
            image = export.load_rgb(export.PHOTOS / photo)
            image = image.crop(box) if box else image
        else:
            shape = (box[3], box[2], 3)
            image = Image.fromarray(np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8))
        save_png("resize", name, np.asarray(image))
        for width, height in sizes:
            save_png("resize", f"{name}_{width}x{height}", export.squash(image, width, height))
            index.append({"source": f"{name}.png", "width": width, "height": height, "golden": f"{name}_{width}x{height}.png"})
    save_json("resize", index)


def engine(int8, fp32):
    rows = {key: [] for key in ("int8_logits", "int8_embeddings", "fp32_logits", "fp32_embeddings")}
    index = []
    for name, (photo, width, height, keep) in INPUTS.items():
        pixels = export.squash(export.load_rgb(export.PHOTOS / photo), width, height)
        save_png("engine", name, pixels)
        for kind, run in (("int8", int8), ("fp32", fp32)):
            features, embedding, logits = run(export.normalise(pixels, MODEL))
            rows[f"{kind}_logits"].append(logits[0])
            rows[f"{kind}_embeddings"].append(embedding[0])
            if keep and kind == "int8":
                save("engine", f"int8_features_{name}", features[0])
        index.append({"input": f"{name}.png", "photo": photo, "features": f"int8_features_{name}.npy" if keep else None})
    for key, values in rows.items():
        save("engine", key, np.stack(values))
    save_json("engine", index)


def quantisation(int8, fp32):
    """Writes the fp32 goldens and returns the mean int8 embedding of all photos."""
    paths = export.photos()
    files = [path.relative_to(export.PHOTOS).as_posix() for path in paths]
    pixels = [export.squash(export.load_rgb(path), SIZE) for path in paths]
    runs = {"int8": int8, "fp32": fp32}
    outputs = {kind: [[value[0] for value in run(export.normalise(p, MODEL))] for p in pixels] for kind, run in runs.items()}
    features, embeddings, logits = ({k: np.stack([row[i] for row in v]) for k, v in outputs.items()} for i in range(3))

    folders = sorted({file.split("/")[0] for file in files})
    folder_of = [folders.index(file.split("/")[0]) for file in files]
    members = [[i for i, folder in enumerate(folder_of) if folder == k] for k in range(len(folders))]
    prototypes = np.stack([embeddings["fp32"][m].mean(0, dtype=np.float64).astype(np.float32) for m in members])
    maps = {
        kind: np.stack([mix(weights("faithful", embeddings[kind][i], prototypes, folder_of[i], None), features[kind][i]) for i in range(len(files))])
        for kind in runs
    }
    top1 = {kind: values.argmax(1) for kind, values in logits.items()}

    def figures(rows):
        def summary(values):
            worst = int(np.argmin(values))
            return {"mean": round(float(np.mean(values)), 5), "min": round(float(values[worst]), 5), "worst": files[rows[worst]]}

        return {
            "photos": len(rows),
            "embedding_cosine": summary([unit(embeddings["int8"][i].astype(float)) @ unit(embeddings["fp32"][i].astype(float)) for i in rows]),
            "map_pearson": summary([np.corrcoef(maps["int8"][i].ravel(), maps["fp32"][i].ravel())[0, 1] for i in rows]),
            "top1_agreement": round(float((top1["int8"] == top1["fp32"])[rows].mean()), 4),
        }

    kept = [k * len(files) // KEPT for k in range(KEPT)]
    inputs = []
    for row, i in enumerate(kept):
        save_webp("quantisation", f"{row:03}", pixels[i])
        inputs.append({"input": f"{row:03}.webp", "photo": files[i], "prototype": folder_of[i]})
    save("quantisation", "fp32_embeddings", embeddings["fp32"][kept])
    save("quantisation", "fp32_top1", top1["fp32"][kept], np.int64)
    save("quantisation", "prototypes", prototypes)
    save("quantisation", "fp32_maps", maps["fp32"][kept])
    print("int8 against fp32, all photos:", json.dumps(figures(range(len(files))), indent=1))
    expected = figures(kept)
    print("int8 against fp32, kept photos:", json.dumps(expected, indent=1))
    save_json("quantisation", {"onnxruntime_int8_against_fp32": expected, "prototypes": folders, "inputs": inputs})
    return embeddings["int8"].mean(0, dtype=np.float64).astype(np.float32)


def fam(int8, mu):
    episode = json.loads((EXAMPLES / "examples.json").read_text(encoding="utf-8"))["sets"][0]

    def run(file):
        pixels = export.squash(export.load_rgb(EXAMPLES / file), SIZE)
        save_webp("fam", Path(file).stem, pixels)
        features, embedding, _ = int8(export.normalise(pixels, MODEL))
        return features[0], embedding[0]

    supports = [[run(file)[1] for file in entry["supports"]] for entry in episode["classes"]]
    features, f = run(episode["query"])
    prototypes = np.stack([np.mean(group, axis=0, dtype=np.float64) for group in supports]).astype(np.float32)
    save("fam", "query_features", features)
    save("fam", "query_embedding", f)
    save("fam", "support_embeddings", np.concatenate(supports))
    save("fam", "mu", mu)
    save("fam", "prototypes", prototypes)
    similarities = [float(unit(f.astype(float)) @ unit(g.astype(float))) for g in prototypes]
    save("fam", "similarities", similarities)
    for form in FORMS:
        w = [weights(form, f, prototypes, k, mu) for k in range(len(prototypes))]
        save("fam", f"contributions_{form}", np.stack(w))
        save("fam", f"maps_{form}", np.stack([mix(row, features) for row in w]))
        if form == "faithful":
            assert np.allclose(np.sum(w, axis=1), similarities, atol=1e-12)
    golden = lambda file: f"{Path(file).stem}.webp"  # noqa: E731
    classes = [{"name": entry["name"], "supports": [golden(file) for file in entry["supports"]]} for entry in episode["classes"]]
    predicted = classes[int(np.argmax(similarities))]["name"]
    save_json("fam", {"query": golden(episode["query"]), "classes": classes, "predicted": predicted})
    print("similarities", dict(zip((entry["name"] for entry in classes), np.round(similarities, 4))))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fp32", help="the float32 file that models/export.py made")
    args = parser.parse_args()
    for folder in ("resize", "engine", "quantisation", "fam"):
        (HERE / folder).mkdir(exist_ok=True)
        for old in (HERE / folder).glob("*.*"):
            old.unlink()
    int8 = export.session(export.HERE / NAME / "model.onnx")
    fp32 = export.session(args.fp32)
    resize()
    engine(int8, fp32)
    fam(int8, quantisation(int8, fp32))
    size = sum(path.stat().st_size for path in HERE.rglob("*.*"))
    print(f"{size} bytes in {HERE}")


if __name__ == "__main__":
    main()
