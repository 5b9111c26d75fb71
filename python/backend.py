"""maturin, and the command line as one of the wheel's programs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import maturin
from maturin import *  # noqa: F403

HERE = Path(__file__).parent


def _program() -> None:
    """Builds the command line and puts it where maturin takes a wheel's programs from."""
    root = next(folder for folder in (HERE.parent, HERE) if (folder / "src/bin/famlens/main.rs").is_file())
    profile = os.environ.get("FAMLENS_PYTHON_PROFILE", "release")
    command = ["cargo", "build", "--locked", "--manifest-path", str(root / "Cargo.toml"), "--bin", "famlens"]
    command += ["--profile", profile, "--message-format", "json-render-diagnostics"]
    built = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    import json

    messages = map(json.loads, built.stdout.splitlines())
    programs = [message["executable"] for message in messages if message.get("executable")]
    scripts = HERE / "famlens.data" / "scripts"
    shutil.rmtree(scripts, ignore_errors=True)
    scripts.mkdir(parents=True)
    shutil.copy2(programs[-1], scripts / ("famlens.exe" if sys.platform == "win32" else "famlens"))


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    _program()
    return maturin.build_wheel(wheel_directory, config_settings, metadata_directory)


def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    _program()
    return maturin.build_editable(wheel_directory, config_settings, metadata_directory)
