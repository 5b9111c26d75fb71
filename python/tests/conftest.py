"""Where the photos are that the tests read: those of the repository, or where FAMLENS_PHOTOS says."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("FAMLENS_PHOTOS", str(Path(__file__).parents[2] / "tests" / "photos"))


@pytest.fixture(scope="session")
def photos():
    return Path(os.environ["FAMLENS_PHOTOS"])


@pytest.fixture(scope="session")
def session():
    import famlens

    return famlens.Session(engine="cpu")
