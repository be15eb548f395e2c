"""What all tests share."""

import os
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

import wkfast

# How long an example takes is the machine's affair.
settings.register_profile("wkfast", deadline=None)
settings.load_profile("wkfast")
pytest.register_assert_rewrite("tests.signatures")


@pytest.fixture(scope="session")
def fixtures() -> Path:
    """The folder of real annotations, datasets and recordings; the test is skipped where there is none."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "fixtures"
    folder = Path(os.environ.get("WKFAST_FIXTURES", beside))
    if not folder.is_dir():
        pytest.skip(f"no shared fixtures at {folder} (set WKFAST_FIXTURES to their folder)")
    return folder


@pytest.fixture
def theirs() -> Any:
    """The reference package; the test is skipped where it is not installed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield pytest.importorskip("webknossos")


@pytest.fixture(params=["wkfast", "webknossos"])
def wk(request: pytest.FixtureRequest) -> Any:
    """Each of the two packages."""
    return wkfast if request.param == "wkfast" else request.getfixturevalue("theirs")
