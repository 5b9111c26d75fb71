"""The command line, which comes with the package."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any, Iterable

from ._errors import Error


def program() -> str:
    """The path of the command line."""
    ending = ".exe" if sys.platform == "win32" else ""
    beside = Path(sysconfig.get_path("scripts")) / f"famlens{ending}"
    found = str(beside) if beside.is_file() else shutil.which("famlens")
    if found is None:
        raise Error("the program famlens is not where the package's programs are; install the package again")
    return found


def run(*arguments: str | os.PathLike[str]) -> str:
    """Runs the command line, and gives what it prints."""
    done = subprocess.run([program(), *map(os.fspath, arguments)], capture_output=True, text=True)
    if done.returncode not in (0, 3):
        raise Error(done.stderr.strip().removeprefix("famlens: "))
    return done.stdout


def evaluate(images: str | os.PathLike[str], arguments: Iterable[str], out: str | os.PathLike[str]) -> dict[str, Any]:
    """``famlens evaluate``, and its tables as data frames."""
    import pandas

    run("evaluate", "--images", images, "--out", out, *arguments)
    return {table.stem: pandas.read_csv(table, comment="#") for table in sorted(Path(out).glob("*.csv"))}
