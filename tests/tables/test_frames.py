"""Tables become those of pyarrow, pandas and polars, and Parquet that has the same rows."""

from __future__ import annotations

import numpy as np
import pytest
from tests.inputs import measured, needs_peaks
from tests.tables.nmls import big, nml, rich, write

from wkfast.errors import AnnotationSuffixError, SkeletonError
from wkfast.skeleton import Skeleton
from wkfast.tables import read_skeletons, reading, skeletons_to_parquet, to_arrow, to_pandas, to_polars
from wkfast.tables.parquet import parquet_files

pa = pytest.importorskip("pyarrow")
pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")
pq = pytest.importorskip("pyarrow.parquet")
TABLES = ("nodes", "edges", "trees", "comments", "branchpoints", "files")


@pytest.fixture
def tables(tmp_path):
    coordinate = nml('<node id="1" x="1" y="2" z="3" additionalCoordinate-t="4"/><node id="2" x="1" y="2" z="3"/>')
    return read_skeletons(write(tmp_path, [rich(), coordinate, "<things>"]))


@pytest.mark.parametrize("name", TABLES)
def test_every_value_arrives_in_every_kind_of_table(tables, name):
    table = getattr(tables, name)
    arrow, pandas, polars = table.to_arrow(), table.to_pandas(), table.to_polars()
    assert arrow.num_rows == len(pandas) == len(polars) == table.rows
    for column, values in table.items():
        expected = np.ma.asarray(values).tolist() if not hasattr(values, "codes") else np.asarray(values).tolist()
        np.testing.assert_equal(arrow.column(column).to_pylist(), expected)
        np.testing.assert_equal(polars[column].to_list(), expected)
        if np.ndim(values) == 1:
            missing = pd.isna(pandas[column]).tolist()
            assert missing == pd.isna(pd.Series(expected, dtype=object)).tolist()
            assert [value for value, gone in zip(pandas[column].tolist(), missing, strict=True) if not gone] == [
                value for value, gone in zip(expected, missing, strict=True) if not gone
            ]


def test_numbers_are_handed_to_arrow_without_a_copy(tables):
    ids, places = tables.nodes["id"], tables.nodes["position"]
    arrow = tables.nodes.to_arrow()
    assert arrow.column("id").chunk(0).buffers()[1].address == ids.ctypes.data
    assert arrow.column("position").chunk(0).flatten().buffers()[1].address == places.ctypes.data


def test_tables_of_one_skeleton_are_taken_too():
    skeleton = Skeleton(voxel_size=(1, 1, 1), dataset_name="d")
    skeleton.add_tree("t").add_node((1, 2, 3), time=17)
    table = skeleton.nodes_table()
    assert to_pandas(table)["time"].tolist() == [17]
    assert to_polars(table)["inVp"].to_list() == [None]
    with pytest.raises(SkeletonError, match="64 bits"):
        to_arrow({"id": np.array([1 << 70], object)})


@pytest.mark.parametrize("batch", [1, 1 << 20])
def test_parquet_holds_the_rows_that_were_read(tmp_path, monkeypatch, batch):
    monkeypatch.setattr(reading, "_BATCH_BYTES", batch)
    monkeypatch.setattr(reading.iterate_skeletons, "__kwdefaults__", {"strict": False, "batch_bytes": batch})
    late = nml('<node id="1" x="1" y="2" z="3" additionalCoordinate-t="4"/>')
    paths = write(tmp_path, [rich(), big(3, 20), late, "<things>"])
    errors = skeletons_to_parquet(paths, tmp_path / "out.parquet")
    assert [error.file for error in errors] == [str(paths[3])]
    tables = read_skeletons(paths)
    for name, file in parquet_files(tmp_path / "out.parquet").items():
        written, expected = pq.read_table(file).to_pandas(), getattr(tables, name).to_pandas()
        order = ["file", *(key for key in ("tree_id", "id", "node_id", "source") if key in expected)]
        written = written.astype({"file": str}).sort_values(order, ignore_index=True)
        expected = expected.astype({"file": str}).sort_values(order, ignore_index=True)
        assert sorted(written) == sorted(expected)
        # What only a whole file shows is not looked for in one that is streamed.
        for column in expected.columns.drop("problems", errors="ignore"):
            a, b = (
                frame[column].astype(object).where(frame[column].notna(), None).tolist()
                for frame in (written, expected)
            )
            assert a == b, (name, column)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_failed_export_leaves_what_was_there(tmp_path):
    out = tmp_path / "out.parquet"
    out.write_bytes(b"before")
    (path,) = write(tmp_path, [rich()])

    def stop(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        skeletons_to_parquet(path, out, progress=stop)
    assert out.read_bytes() == b"before"
    assert {each.name for each in tmp_path.iterdir()} == {"out.parquet", path.name}


def test_parquet_needs_its_suffix(tmp_path):
    with pytest.raises(AnnotationSuffixError, match=r"\.parquet"):
        skeletons_to_parquet(tmp_path, tmp_path / "out.csv")


PEAK = """
from wkfast.tables import skeletons_to_parquet
skeletons_to_parquet(sys.argv[1], sys.argv[2])
print(peak())
"""


def peak_of_export(source, out):
    (peak,) = measured(PEAK, source, out)
    return peak / 2**20


@needs_peaks
def test_memory_of_an_export_does_not_grow_with_the_files(tmp_path):
    """100 MB of text beside 6 MB: what grows is bounded by batches and by what Parquet keeps of row groups."""
    small, large = tmp_path / "small", tmp_path / "large"
    text = big(200, 500)
    for folder, count in ((small, 1), (large, 24)):
        folder.mkdir()
        for number in range(count):
            (folder / f"{number}.nml").write_text(text)
    least, most = peak_of_export(small, tmp_path / "s.parquet"), peak_of_export(large, tmp_path / "l.parquet")
    assert most < least + 80, f"{least:.0f} MiB became {most:.0f} MiB"
    assert most < 300


@pytest.mark.long
@needs_peaks
@pytest.mark.parametrize("files", [1, 10_000])
def test_ten_million_nodes_become_parquet_within_300_mb(tmp_path, files):
    folder = tmp_path / "in"
    folder.mkdir()
    if files == 1:
        with (folder / "all.nml").open("w") as out:
            out.write("<things><parameters/>")
            for tree in range(1, 5001):
                nodes = "".join(
                    f'<node id="{tree * 2000 + node}" x="{node}" y="{tree}" z="7" radius="1.5"/>'
                    for node in range(2000)
                )
                out.write(f'<thing id="{tree}"><nodes>{nodes}</nodes></thing>')
            out.write('<comments><comment node="2000" content="c"/></comments></things>')
    else:
        text = big(5, 200)
        for number in range(files):
            (folder / f"{number}.nml").write_text(text)
    peak = peak_of_export(folder, tmp_path / "out.parquet")
    assert pq.read_metadata(tmp_path / "out.parquet").num_rows == 10_000_000
    assert peak < 300, f"{peak:.0f} MiB"
