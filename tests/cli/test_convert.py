"""``wkfast convert``."""

import pytest

from wkfast.cli import main
from wkfast.skeleton import Skeleton


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in").mkdir()
    skeleton = Skeleton(voxel_size=(10, 10, 30), dataset_name="d")
    skeleton.add_tree("t").add_nodes([[1, 2, 3], [4, 5, 6]], edges=[[0, 1]])
    skeleton.save(tmp_path / "in" / "a.nml")
    return tmp_path / "in"


def run(*arguments):
    with pytest.raises(SystemExit) as left:
        main([str(argument) for argument in arguments])
    return left.value.code


def test_tables_are_written_as_parquet(folder, tmp_path, capsys):
    parquet = pytest.importorskip("pyarrow.parquet")
    assert run("convert", folder, tmp_path / "out.parquet") == 0
    assert "2 nodes of 1 tree of 1 file " in capsys.readouterr().out
    assert parquet.read_table(tmp_path / "out.parquet")["position_x"].to_pylist() == [1, 4]


def test_files_are_written_into_a_folder(folder, tmp_path, capsys):
    assert run("convert", folder, tmp_path / "out", "--to", "swc", "--unit", "nm") == 0
    assert "1 file in" in capsys.readouterr().out
    assert (tmp_path / "out" / "a.swc").read_text().endswith("1 0 10.0 20.0 90.0 0.0 -1\n2 0 40.0 50.0 180.0 0.0 1\n")


def test_a_file_that_failed_is_told_and_in_the_exit_code(folder, tmp_path, capsys):
    (folder / "bad.nml").write_text("<things")
    assert run("convert", folder, tmp_path / "out", "--to", "k.zip") == 1
    assert "bad.nml" in capsys.readouterr().err
    assert (tmp_path / "out" / "a.k.zip").is_file()


@pytest.mark.parametrize(
    ("arguments", "reason"), [([], "say with --to"), (["--to", "nml", "--voxel-size", "1,2"], "three numbers in nm")]
)
def test_what_is_missing_is_said(folder, tmp_path, capsys, arguments, reason):
    assert run("convert", folder, tmp_path / "out", *arguments) == 2
    assert reason in capsys.readouterr().err


@pytest.mark.parametrize("target", ["tables.parquet", "swc --to swc --unit nm"])
@pytest.mark.parametrize("name", ["nofile", "nofile.nml"])
def test_where_nothing_can_be_read_nothing_is_written(folder, tmp_path, capsys, name, target):
    out = tmp_path / "out"
    out.mkdir()
    first, *options = target.split()
    assert run("convert", tmp_path / name, out / first, *options) == 2
    said = capsys.readouterr()
    assert f"{tmp_path / name}" in said.err
    assert "there is no" in said.err
    assert "ends in" not in said.err
    assert said.out == ""
    assert [*out.iterdir()] == []


def test_a_missing_file_among_others_is_told(folder, tmp_path, capsys):
    parquet = pytest.importorskip("pyarrow.parquet")
    assert run("convert", folder, tmp_path / "nofile", tmp_path / "out.parquet") == 1
    assert "nofile" in capsys.readouterr().err
    assert parquet.read_table(tmp_path / "out.parquet").num_rows == 2
