#!/usr/bin/env python3
"""Makes www/examples (the page's worked examples) from tests/photos. For maintainers; needs Pillow only.

    python tests/photos/make_examples.py

Photos are copied byte for byte where they are small, else scaled to 544 px on the long side, which examples.json says
beside their author and licence. To choose other photos, edit SETS.
"""

import csv
import io
import json
import re
from pathlib import Path
from urllib.parse import unquote

from PIL import Image

PHOTOS = Path(__file__).resolve().parent
OUT = PHOTOS.parents[1] / "www" / "examples"
SIDE, QUALITY, SMALL = 544, 78, 60_000
# The short side of the small copies, which rows of photos show: 64 points at two pixels each.
ROW, ROW_QUALITY = 128, 72

# name: (classes, query, further queries); a photo is "file in tests/photos without .jpg": "name in www/examples".
SETS = {
    "Animals": (
        {
            "Bird": {"bird/owl": "owl", "bird/scarlet_macaw": "scarlet-macaw", "bird/chicken": "chickens"},
            "Fish": {"fish/fish1": "angelfish", "fish/fish9": "clownfish", "fish/fish25": "goldfish"},
            "Hoofed animal": {"hoofed_animal/horse": "horses", "hoofed_animal/sheep": "sheep", "hoofed_animal/bison": "bison"},
        },
        {"bird/kingfisher": "kingfisher"},
        {"bird/duck": "duck", "fish/fish18": "boarfish", "fish/fish6": "discus-fish", "hoofed_animal/cow": "cow", "hoofed_animal/moose": "moose"},
    ),
    "Buildings": (
        {
            "Castle": {"castle/chateaudeChambord": "chambord", "castle/palaisdesPapes": "palais-des-papes", "castle/schwerinPalace": "schwerin"},
            "Windmill": {"windmill/windmill": "windmill-chesterton", "windmill/windmill11": "windmill-dudutki", "windmill/windmill4": "windmill-podgoschi"},
            "Pyramid": {"pyramid/bentPyramid": "bent-pyramid", "pyramid/meidumPyramid": "meidum-pyramid", "pyramid/redPyramid": "red-pyramid"},
        },
        {"windmill/windmill1": "windmill-rhodes"},
        {"windmill/windmill8": "windmill-portugal", "castle/neuschwansteinCastle": "neuschwanstein", "castle/chateaudeChenonceau": "chenonceau",
         "pyramid/greatPyramidOfGiza": "great-pyramid", "windmill/windmill14": "windmill-linda"},
    ),
    "Tools": (
        {
            "Hammer": {"hammer/hammer2": "hammer-ball-peen", "hammer/hammer4": "hammer-workshop", "hammer/hammer9": "hammer-claw-old"},
            "Pliers": {"pliers/plier4": "pliers-flat", "pliers/plier1": "pliers-long-nose", "pliers/cuttingTool": "pliers-cutter"},
            "Scissors": {"scissors/scissors1": "scissors-orange", "scissors/scissors2": "scissors-stable", "scissors/scissors4": "scissors-red"},
        },
        {"hammer/hammer5": "hammer-claw"},
        {"hammer/hammer1": "hammer-blue", "hammer/hammer7": "hammer-armourer", "pliers/sideCutter1": "pliers-side-cutter",
         "pliers/plier2": "pliers-pincers", "scissors/scissors3": "scissors-surgical"},
    ),
    # A wrong decision for a reason that can be seen; few-shot-use.test.mjs holds what is said of it.
    "Shortcut": (
        {
            "Hammer": {"hammer/hammer8": "hammer-claw-wood", "hammer/hammer9": "hammer-claw-old", "hammer/hammer7": "hammer-armourer"},
            "Pliers": {"pliers/plier1": "pliers-long-nose", "pliers/plier3": "pliers-combination"},
        },
        {"hammer/hammer5": "hammer-claw"},
        {"pliers/plier4": "pliers-flat", "pliers/plier2": "pliers-pincers", "hammer/hammer2": "hammer-ball-peen"},
    ),
}  # fmt: skip

# What a set shows beyond its classes.
SAYS = {
    "Shortcut": "The model took a shortcut. Both pliers here have red handles and no hammer has, so it takes this red "
    "hammer for pliers. Give Pliers other photos, and it says Hammer.",
}


def table(name):
    with open(PHOTOS / name, newline="", encoding="utf-8") as file:
        return {row["file"]: row for row in csv.DictReader(file, delimiter="\t")}


def title(url):
    """The author's own title, from the source's address."""
    name = unquote(re.split(r"File:|picture=", url)[-1])
    return re.sub(r"\s+", " ", re.sub(r"\.\w+$", "", name).replace("_", " ").replace("-", " ")).strip()


def small(name, data):
    """Writes the small copy and gives the size of the photo itself."""
    image = Image.open(io.BytesIO(data)).convert("RGB")
    size = image.size
    image.thumbnail([round(side * ROW / min(size)) for side in size], Image.Resampling.LANCZOS)
    image.save(OUT / "small" / name, "JPEG", quality=ROW_QUALITY, optimize=True)
    return size


def main():
    licences, drawn = table("LICENSES.tsv"), table("boxes.tsv")
    for old in OUT.rglob("*.jpg"):
        old.unlink()
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "small").mkdir(exist_ok=True)
    sets, attributions, boxes, sizes = [], [], {}, {}

    def place(photos):
        names = []
        for source, name in photos.items():
            source, name = f"{source}.jpg", f"{name}.jpg"
            data, row = (PHOTOS / source).read_bytes(), licences[source]
            changes, scale = row["changes"], 1.0
            if len(data) > SMALL:
                image = Image.open(io.BytesIO(data)).convert("RGB")
                scale = SIDE / max(image.size)
                image = image.resize([round(side * scale) for side in image.size], Image.Resampling.LANCZOS)
                buffer = io.BytesIO()
                image.save(buffer, "JPEG", quality=QUALITY, optimize=True, progressive=True)
                data = buffer.getvalue()
                changes = re.sub(r"resized to \d+x\d+", f"resized to {image.width}x{image.height}", changes)
            (OUT / name).write_bytes(data)
            sizes[name] = small(name, data)
            names.append(name)
            if any(one["file"] == name for one in attributions):
                continue
            attributions.append({
                "file": name, "title": title(row["source_url"]), "author": row["author"], "licence": row["licence"],
                "source": row["source_url"], "changes": changes,
            })  # fmt: skip
            if source in drawn:
                boxes[name] = [round(int(drawn[source][key]) * scale) for key in ("x0", "y0", "x1", "y1")]
        return names

    for name, (classes, query, queries) in SETS.items():
        supports = [{"name": label, "supports": place(photos)} for label, photos in classes.items()]
        says = {"says": SAYS[name]} if name in SAYS else {}
        sets.append({"name": name, **says, "classes": supports, "query": place(query)[0], "queries": place(queries)})

    def rows(items):
        return ",\n".join(f"    {json.dumps(item, ensure_ascii=False)}" for item in items)

    text_boxes = ",\n".join(f"    {json.dumps(name)}: {json.dumps(box)}" for name, box in boxes.items())
    text_sizes = ",\n".join(f"    {json.dumps(name)}: {json.dumps(size)}" for name, size in sizes.items())
    (OUT / "examples.json").write_text(
        f'{{\n  "sets": {json.dumps(sets, ensure_ascii=False, indent=2).replace(chr(10), chr(10) + "  ")},\n'
        f'  "boxes": {{\n{text_boxes}\n  }},\n  "sizes": {{\n{text_sizes}\n  }},\n  "attributions": [\n{rows(attributions)}\n  ]\n}}\n',
        encoding="utf-8",
    )
    files = [file for file in OUT.rglob("*") if file.is_file()]
    print(f"{len(files)} files, {sum(f.stat().st_size for f in files)} bytes")


if __name__ == "__main__":
    main()
