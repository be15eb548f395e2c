"""What all tests share."""

import os
from pathlib import Path

import pytest

pytest.register_assert_rewrite("tests.signatures")


@pytest.fixture(scope="session")
def fixtures() -> Path:
    """The folder of real annotations, datasets and recordings; the test is skipped where there is none."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "fixtures"
    folder = Path(os.environ.get("WKFAST_FIXTURES", beside))
    if not folder.is_dir():
        pytest.skip(f"no shared fixtures at {folder} (set WKFAST_FIXTURES to their folder)")
    return folder
