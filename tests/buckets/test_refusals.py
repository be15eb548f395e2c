"""An address never becomes a folder that is called like its scheme: who cannot use one says so, and makes nothing."""

from pathlib import Path

import numpy as np
import pytest
from tests.buckets.test_merging import painted

import wkfast
from wkfast import convert, tables
from wkfast.buckets import ObjectPath
from wkfast.dataset import open_layer
from wkfast.errors import AddressError, DatasetValueError
from wkfast.schema import schema_problems

ADDRESSES = [
    "s3://bucket/a.nml",
    "gs://bucket/a.zip",
    "az://container/a",
    "abfs://container/a.k.zip",
    "memory://a.swc",
    "https://host/a.nml?token=hush",
    "S3://bucket/a.zip",
    Path("s3://bucket/a.zip"),
    Path("https://host/a.nml"),
]


class Addressed:
    """As ``UPath`` has it: a path object that is no path of this machine."""

    def __init__(self, text):
        self.storage_options = {"secret": "hush"}
        self._text = text

    def __str__(self):
        return self._text


ADDRESSES.append(Addressed("s3://bucket/folder/a.nml"))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    dataset = wkfast.Dataset(folder / "dataset", voxel_size=(1, 1, 1))
    layer = dataset.add_layer("labels", "segmentation", dtype="uint8", largest_segment_id=1)
    layer.add_mag(1).write(np.ones((32, 32, 32), np.uint8), allow_resize=True)
    annotation = wkfast.Annotation("a", skeleton=wkfast.Skeleton(dataset_name="d", voxel_size=(1, 1, 1)))
    return dataset, layer, annotation


def test_addresses_are_refused_where_only_a_folder_will_do(made, folder):
    _, layer, _ = made
    wrong = []
    for address in ADDRESSES:
        try:
            layer.add_mag_from_zarrarray(2, address)
        except AddressError as error:
            if "hush" in str(error):
                wrong.append((address, "tells the secret"))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told with the rest
            wrong.append((str(address), repr(error)))
        else:
            wrong.append((str(address), "accepted"))
    assert not wrong, "\n".join(map(str, wrong))
    assert not list(folder.iterdir())


READ = {
    "Annotation.load": lambda path, _: wkfast.Annotation.load(path),
    "Annotation.save": lambda path, _: wkfast.Annotation("a", skeleton=wkfast.Skeleton((1, 1, 1), "d")).save(path),
    "Skeleton.load": lambda path, _: wkfast.Skeleton.load(path),
    "Skeleton.save": lambda path, _: wkfast.Skeleton((1, 1, 1), "d").save(path),
    "iterate_trees": lambda path, _: list(wkfast.iterate_trees(path)),
    "schema_problems": lambda path, _: schema_problems(path),
    "read_knossos": lambda path, _: convert.read_knossos(path),
    "read_swc": lambda path, _: convert.read_swc(path, voxel_size=(1, 1, 1)),
    "write_swc": lambda path, _: convert.write_swc(wkfast.Skeleton((1, 1, 1), "d"), path),
    "write_knossos": lambda path, _: convert.write_knossos(wkfast.Skeleton((1, 1, 1), "d"), path),
    "convert": lambda path, folder: convert.convert([folder], path, "swc"),
    "read_skeletons": lambda path, _: tables.read_skeletons(path),
    "skeletons_to_parquet": lambda path, folder: tables.skeletons_to_parquet([folder], path),
    "Dataset": lambda path, _: wkfast.Dataset(path, voxel_size=(1, 1, 1)),
    "Dataset.open": lambda path, _: wkfast.Dataset.open(path),
    "open_layer": lambda path, _: open_layer(path),
    "from_ome_zarr": lambda path, folder: wkfast.Dataset.from_ome_zarr(path, folder / "t"),
}


@pytest.mark.parametrize("call", READ)
@pytest.mark.parametrize("address", ["ftp://host/a", "hdfs://host/a", Path("s3://bucket/a"), Path("https://host/a")])
def test_addresses_of_other_schemes_are_refused_where_buckets_are_read(folder, call, address):
    with pytest.raises(AddressError, match=r"wkfast knows s3://|before it became a pathlib.Path"):
        READ[call](address, folder)
    assert not list(folder.iterdir())


@pytest.mark.parametrize("call", READ)
@pytest.mark.parametrize("end", ["?token=hush", "#hush"])
def test_addresses_with_more_than_a_path_are_refused_and_not_told(folder, call, end):
    with pytest.raises(AddressError, match="query or fragment") as caught:
        READ[call](f"https://host/a.nml{end}", folder)
    assert "hush" not in str(caught.value)
    assert not list(folder.iterdir())


@pytest.mark.parametrize("path", [3, None, b"bytes", ["list"]])
def test_what_is_no_path_is_told(path):
    with pytest.raises(AddressError, match="is no path"):
        wkfast.Dataset.open(path)


def test_an_address_of_a_file_is_its_path(made, folder):
    dataset, _, annotation = made
    assert wkfast.Dataset.open(f"file://{dataset.path}") == wkfast.Dataset.open(dataset.path)
    annotation.save(f"file://{folder}/with%20blank.nml")
    assert wkfast.Annotation.load(folder / "with blank.nml").name == "with blank"
    with pytest.raises(AddressError, match="names the machine 'elsewhere'"):
        wkfast.Dataset.open("file://elsewhere/data")


def test_paths_that_look_a_little_like_addresses_are_paths(folder):
    for name in ["s3", "s3x", "memory", "http-x"]:
        wkfast.Dataset(folder / name, voxel_size=(1, 1, 1))
        assert (folder / name / "datasource-properties.json").is_file()


def test_a_password_is_written_into_no_reference(serve, folder, made):
    dataset, *_ = made
    address, _ = serve(dataset.path.parent)
    far = wkfast.Dataset.open(f"{address.replace('//', '//me:hush@')}/dataset")
    assert far.get_layer("labels").get_mag(1).read().sum() == 32**3
    target = wkfast.Dataset(folder / "target", voxel_size=(1, 1, 1))
    with pytest.raises(AddressError, match="name and password") as caught:
        target.add_layer_as_ref(far.get_layer("labels"))
    assert "hush" not in str(caught.value)
    assert not any("hush" in file.read_text() for file in folder.rglob("*.json"))


@pytest.mark.parametrize("call", READ)
@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("s3://AKIA:hush@bucket/a.nml", "holds credentials"),
        ("s3://AKIA:hush/hush@bucket/a.nml", "holds credentials"),
        ("s3://store.example.org:9000/bucket/a.nml", "is no bucket"),
        ("s3://bucket/a/../b.nml", "has . or .. in it"),
        ("https://host/./b.nml", "has . or .. in it"),
        ("ftp://me:hush@host/a.nml", "wkfast knows s3://"),
    ],
)
def test_addresses_that_name_something_else_than_a_place_are_refused(folder, call, address, reason):
    with pytest.raises(AddressError, match=reason) as caught:
        READ[call](address, folder)
    assert "hush" not in str(caught.value)
    assert not list(folder.iterdir())


def test_names_of_objects_may_look_like_more():
    for address in ["s3://bucket/12:00/a@2.nml", "s3://bucket/a..b/.c/a?b#c", "abfs://container@account.dfs.net/a:b"]:
        assert ObjectPath(address).url.rpartition("/")[2] == address.rpartition("/")[2]


@pytest.mark.parametrize("scheme", ["s3", "gs", "az"])
@pytest.mark.parametrize("server", ["localhost:9000", "htps://host", "http://", "https:///bucket", "http://a b"])
def test_a_server_without_its_scheme_is_refused(scheme, server):
    with pytest.raises(AddressError, match="'endpoint_url' has to begin with http"):
        ObjectPath(f"{scheme}://bucket/a", {"endpoint_url": server})


def test_voxels_are_exported_to_datasets_and_not_to_addresses(tmp_path):
    painted(tmp_path).save(tmp_path / "a.zip")
    annotation = wkfast.Annotation.load(tmp_path / "a.zip")
    with pytest.raises(DatasetValueError, match="added to a Dataset, not to a str"):
        annotation.export_volume_layer_to_dataset("s3://bucket/folder")
