"""Saving tells how far it is, and ends when it is told to."""

import pytest

import wkfast as wk
from wkfast.progress import ProgressState


@pytest.fixture
def annotation():
    annotation = wk.Annotation("long", dataset_name="d", voxel_size=(1, 1, 1))
    tree = annotation.skeleton.add_tree("t")
    tree.add_nodes([[n, n % 977, n % 31] for n in range(120_000)])
    return annotation


@pytest.mark.parametrize("name", ["a.nml", "a.zip"])
def test_the_bytes_written_are_told_up_to_the_size_of_the_file(annotation, tmp_path, name):
    told = []
    annotation.save(tmp_path / name, progress=lambda done, total: told.append((done, total)))
    done = [count for count, _ in told]
    assert done == sorted(done)
    # a zip goes back once to fill in what it knows at the end only
    assert (tmp_path / name).stat().st_size - done[-1] in range(1 << 20)
    assert {total for _, total in told} == {None}
    assert len(told) > 1 or name.endswith(".zip"), "a text of 6 MB is told of while it is written"


def test_a_state_can_be_looked_at_from_elsewhere(annotation, tmp_path):
    state = ProgressState()
    annotation.save(tmp_path / "a.nml", progress=state)
    assert (state.what, state.unit, state.done) == ("saving", "bytes", (tmp_path / "a.nml").stat().st_size)


@pytest.mark.parametrize("name", ["a.nml", "a.zip"])
def test_what_the_function_raises_ends_the_saving_and_leaves_the_old_file(annotation, tmp_path, name):
    path = tmp_path / name
    annotation.save(path)
    before = path.read_bytes()

    def enough(_done, _total):
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match=r"^enough$"):
        annotation.save(path, progress=enough)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == [name]
