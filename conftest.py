"""Examples in docstrings run in an empty folder, which they know as ``tmp_path``."""

import pytest


@pytest.fixture(autouse=True)
def _examples_run_in_an_empty_folder(request: pytest.FixtureRequest) -> None:
    if isinstance(request.node, pytest.DoctestItem):
        folder = request.getfixturevalue("tmp_path")
        request.getfixturevalue("monkeypatch").chdir(folder)
        request.getfixturevalue("doctest_namespace")["tmp_path"] = folder
