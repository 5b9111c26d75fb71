#!/usr/bin/env python3
"""Runs every recipe of docs/models.md from the document itself, so that "each tried" stays true.

    python models/recipes.py path/to/famlens [--folder /tmp/recipes] [--random] [--only WORD ...] [--keep]

For maintainers. A recipe is a section with a python block (which writes model.onnx), a json block (model.json), an sh block (its famlens lines are
run in the recipe's folder, where photos/ is tests/photos) and a text block: `target: NAME [shape]` is what `famlens inspect` must list first,
`candidate: ...` what it must list at all, any other line must be among its lines. Then `famlens explain` is run on every recipe.

--random takes random weights wherever pretrained ones would be downloaded, and a made-up checkpoint where one is loaded: the way from
export to map is then tried and no map is judged. Without it the weights are downloaded (about 2 GB). Models are deleted unless --keep says otherwise.
"""

import argparse
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# What stands before a recipe's own lines under --random.
RANDOM = '''
import warnings; warnings.filterwarnings("ignore")
import torch, torchvision, timm
torch.manual_seed(0)
torchvision.models._api.WeightsEnum.get_state_dict = lambda self, *a, **k: None
_load = torch.nn.Module.load_state_dict
torch.nn.Module.load_state_dict = lambda self, state, *a, **k: None if state is None else _load(self, state, *a, **k)
_create = timm.create_model
timm.create_model = lambda name, pretrained=False, **k: _create(name, pretrained=False, **k)
'''
CHECKPOINT = '''
_net = torchvision.models.resnet50()
_net.fc = torch.nn.Sequential(torch.nn.Linear(2048, 2048), torch.nn.ReLU(), torch.nn.Linear(2048, 128))
_named = {f"module.encoder_q.{n}": v for n, v in _net.state_dict().items()}
torch.save({"epoch": 800, "state_dict": _named | {"module.queue": torch.zeros(128, 16)}}, "moco_v2_800ep_pretrain.pth.tar")
'''
EXPLAIN = "famlens explain --model . --query photos/dog/dog.jpg --class bird=photos/bird --class fish=photos/fish --out explained"


def recipes():
    text = (ROOT / "docs" / "models.md").read_text()
    for section in re.split(r"^## ", text, flags=re.M)[1:]:
        title = section.splitlines()[0]
        blocks = dict(re.findall(r"^```(\w+)\n(.*?)^```", section, flags=re.M | re.S))
        if "python" in blocks:
            missing = {"json", "sh", "text"} - blocks.keys()
            assert not missing, f"{title}: it has no {' and no '.join(missing)} block"
            yield title, blocks


def run(command, folder, famlens=None):
    words = shlex.split(command) if isinstance(command, str) else command
    if words[0] == "famlens":
        words[0] = famlens
        # Where the GPU is one that the processor imitates, measuring it takes longer than all the rest.
        words += ["--engine", "cpu"] if words[1] == "explain" else []
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(words)[:200]}\n{done.stdout[-1500:]}{done.stderr[-3000:]}")
    return done.stdout


def squeeze(line):
    return " ".join(line.split())


def try_recipe(title, blocks, options):
    folder = Path(options.folder) / re.sub(r"\W+", "-", title.lower()).strip("-")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "photos").unlink(missing_ok=True)
    (folder / "photos").symlink_to(ROOT / "tests" / "photos")
    prelude = RANDOM + (CHECKPOINT if "torch.load(" in blocks["python"] else "") if options.random else ""
    (folder / "export.py").write_text(prelude + blocks["python"])
    (folder / "model.json").write_text(blocks["json"])
    run([sys.executable, "export.py"], folder)
    famlens = str(Path(options.famlens).resolve())
    lines = []
    for line in blocks["sh"].splitlines():
        lines += [squeeze(l) for l in run(line, folder, famlens).splitlines()]
    at = next(i for i, l in enumerate(lines) if l.startswith("target layers"))
    for line in map(squeeze, blocks["text"].splitlines()):
        kind, _, what = line.partition(": ")
        right = lines[at + 1] == what if kind == "target" else (what if kind == "candidate" else line) in lines
        assert right, f"the document says {line!r}, and famlens found\n  " + "\n  ".join(lines[at : at + 9])
    run(EXPLAIN, folder, famlens)
    size = (folder / "model.onnx").stat().st_size
    if not options.keep:
        shutil.rmtree(folder)
    return size


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("famlens")
    arguments.add_argument("--folder", default="/tmp/recipes")
    arguments.add_argument("--random", action="store_true")
    arguments.add_argument("--keep", action="store_true")
    arguments.add_argument("--only", nargs="*", default=[])
    options = arguments.parse_args()
    failed, tried = [], 0
    for title, blocks in recipes():
        if options.only and not any(word.lower() in title.lower() for word in options.only):
            continue
        tried += 1
        try:
            size = try_recipe(title, blocks, options)
            print(f"ok      {title} ({size / 1e6:.0f} MB)", flush=True)
        except Exception as error:  # the others are tried all the same
            failed.append(title)
            print(f"FAILED  {title}: {error}", flush=True)
    print(f"{tried - len(failed)} of {tried} recipes work")
    sys.exit(bool(failed) or tried == 0)


if __name__ == "__main__":
    main()
