"""What datasets say beside voxels: attachments, transformations of coordinates, and properties by name."""

from __future__ import annotations

import errno
import importlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wkfast
from wkfast.dataset.attachments import Attachment, AttachmentDataFormat
from wkfast.errors import DatasetError, DatasetValueError, ExistsError

pytestmark = pytest.mark.filterwarnings("ignore")

AFFINE = {"type": "affine", "matrix": [[1.0, 0, 0, 10], [0, 1.0, 0, 20], [0, 0, 1.0, 30], [0, 0, 0, 1.0]]}
POINTS = {"source": [[0.0, 0.0, 0.0], [1.0, 2.0, 3.0]], "target": [[1.0, 1.0, 1.0], [2.0, 3.0, 5.0]]}
STEPS = [AFFINE, {"type": "thin_plate_spline", "correspondences": POINTS}]


def entry_of(folder: Path, name: str) -> dict[str, Any]:
    layers = json.loads((folder / "datasource-properties.json").read_text())["dataLayers"]
    return next(layer for layer in layers if layer["name"] == name)


def dataset(wk: Any, folder: Path, attachments: dict[str, Any] | None = None) -> Any:
    """A dataset with a segmentation and, beside it, a mesh file, a folder of agglomerates and an index elsewhere."""
    box = wk.BoundingBox((0, 0, 0), (16, 16, 16))
    layer = wk.Dataset(folder / "d", voxel_size=(4, 4, 40)).add_layer("seg", "segmentation", bounding_box=box)
    layer.add_mag(1, chunk_shape=16, shard_shape=16)
    for file in ("d/seg/meshes/m.hdf5", "d/seg/agglomerates/v1/zarr.json", "elsewhere/index"):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(file)
    file = folder / "d/datasource-properties.json"
    stated = json.loads(file.read_text())
    stated["dataLayers"][0]["coordinateTransformations"] = STEPS
    stated["dataLayers"][0]["attachments"] = attachments or {
        "meshes": [{"name": "m", "path": "./seg/meshes/m.hdf5", "dataFormat": "hdf5"}],
        "agglomerates": [{"name": "v1", "path": "./seg/agglomerates/v1", "dataFormat": "zarr3"}],
        "segmentIndex": {"name": "index", "path": str(folder / "elsewhere/index"), "dataFormat": "hdf5"},
    }
    file.write_text(json.dumps(stated))
    return wk.Dataset.open(folder / "d")


# -- attachments --------------------------------------------------------------------------------------------------


def test_attachments_are_listed(wk: Any, tmp_path: Path) -> None:
    attachments = dataset(wk, tmp_path).get_segmentation_layer("seg").attachments
    assert [(each.name, each.type_name, str(each.data_format)) for each in attachments] == [
        ("m", "mesh", "hdf5"), ("v1", "agglomerate", "zarr3"), ("index", "segmentIndex", "hdf5"),
    ]  # fmt: skip
    assert Path(str(attachments.meshes[0].path)).read_text() == "d/seg/meshes/m.hdf5"
    assert Path(str(attachments.segment_index.path)) == tmp_path / "elsewhere/index"
    assert (attachments.cumsum, attachments.connectomes, attachments.is_empty) == (None, (), False)


def test_attachments_are_copied_with_a_layer(wk: Any, tmp_path: Path) -> None:
    layer = dataset(wk, tmp_path).get_layer("seg")
    target = wk.Dataset(tmp_path / "copy", voxel_size=(4, 4, 40))
    target.add_layer_as_copy(layer, "c", **({} if wk is wkfast else sequential()))
    assert entry_of(tmp_path / "copy", "c")["attachments"] == {
        "meshes": [{"name": "m", "path": "./c/meshes/m.hdf5", "dataFormat": "hdf5"}],
        "agglomerates": [{"name": "v1", "path": "./c/agglomerates/v1", "dataFormat": "zarr3"}],
        "segmentIndex": {"name": "index", "path": "./c/segmentIndex/index.hdf5", "dataFormat": "hdf5"},
    }
    assert (tmp_path / "copy/c/agglomerates/v1/zarr.json").read_text() == "d/seg/agglomerates/v1/zarr.json"
    assert (tmp_path / "copy/c/segmentIndex/index.hdf5").read_text() == "elsewhere/index"
    target.add_layer_as_copy(layer, "bare", with_attachments=False, **({} if wk is wkfast else sequential()))
    assert not entry_of(tmp_path / "copy", "bare").get("attachments")


def sequential() -> dict[str, Any]:
    return {"executor": importlib.import_module("cluster_tools").get_executor("sequential")}


@pytest.mark.parametrize("method", ["add_layer_as_ref", "add_symlink_layer"])
def test_attachments_are_referred_to_with_a_layer(wk: Any, tmp_path: Path, method: str) -> None:
    layer = dataset(wk, tmp_path).get_layer("seg")
    linked = getattr(wk.Dataset(tmp_path / "copy", voxel_size=(4, 4, 40)), method)(layer, "r")
    assert entry_of(tmp_path / "copy", "r")["attachments"]["meshes"] == [
        {"name": "m", "path": str(tmp_path / "d/seg/meshes/m.hdf5"), "dataFormat": "hdf5"}
    ]
    assert Path(str(linked.attachments.meshes[0].path)).read_text() == "d/seg/meshes/m.hdf5"


def test_a_whole_dataset_is_copied_with_what_lies_beside_it(tmp_path: Path) -> None:
    copy = dataset(wkfast, tmp_path).copy_dataset(tmp_path / "copy")
    layer = copy.get_segmentation_layer("seg")
    assert [each.name for each in layer.attachments] == ["m", "v1", "index"]
    assert layer.coordinate_transformations == dataset_steps(tmp_path)
    again = dataset(wkfast, tmp_path / "2").copy_dataset(tmp_path / "copy", exists_ok=True)
    assert [each.name for each in again.get_segmentation_layer("seg").attachments] == ["m", "v1", "index"]


def dataset_steps(folder: Path) -> Any:
    return wkfast.Dataset.open(folder / "d").get_layer("seg").coordinate_transformations


def test_attachments_are_added_one_by_one(tmp_path: Path) -> None:
    layer = wkfast.Dataset(tmp_path / "d", voxel_size=(1, 1, 1)).add_layer("seg", "segmentation")
    assert layer.attachments.is_empty  # type: ignore[attr-defined] # a segmentation
    attachments = wkfast.Dataset.open(tmp_path / "d").get_segmentation_layer("seg").attachments
    (tmp_path / "m").write_text("mesh")
    mesh = Attachment("m", tmp_path / "m", AttachmentDataFormat.HDF5, "meshes")
    assert attachments.add_attachment_as_copy(mesh).path == tmp_path / "d/seg/meshes/m.hdf5"
    assert attachments.add_attachment_as_ref(mesh, new_name="m2").path == (tmp_path / "m").resolve()
    assert [each.name for each in attachments.meshes] == ["m", "m2"]
    index = Attachment("i", tmp_path / "m", AttachmentDataFormat.HDF5, "segment_index")
    attachments.add_attachment_as_ref(index)
    for again in (mesh, Attachment("j", tmp_path / "m", AttachmentDataFormat.HDF5, "segment_index")):
        with pytest.raises(ExistsError):
            attachments.add_attachment_as_copy(again)
    with pytest.raises(DatasetError, match="nothing at"):
        attachments.add_attachment_as_copy(Attachment("x", tmp_path / "x", AttachmentDataFormat.HDF5, "meshes"))
    with pytest.raises(DatasetValueError, match="none of"):
        attachments.add_attachment_as_ref(Attachment("x", tmp_path / "m", AttachmentDataFormat.HDF5, "songs"))
    (tmp_path / "circle").symlink_to("circle")
    for way in (attachments.add_attachment_as_ref, attachments.add_attachment_as_copy):
        with pytest.raises(DatasetError, match=r"leads nowhere|nothing at"):
            way(Attachment("x", tmp_path / "circle", AttachmentDataFormat.HDF5, "meshes"))


def test_an_attachment_that_cannot_be_copied_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layer = (
        wkfast.Dataset(tmp_path / "d", voxel_size=(1, 1, 1)).add_layer("seg", "segmentation").as_segmentation_layer()
    )
    (tmp_path / "m").write_text("mesh")

    def on_a_full_disk(_source: Any, target: Any) -> None:
        target.write(b"me")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("shutil.copyfileobj", on_a_full_disk)
    with pytest.raises(OSError, match=r"No space left.*m\.hdf5"):
        layer.attachments.add_attachment_as_copy(Attachment("m", tmp_path / "m", AttachmentDataFormat.HDF5, "meshes"))
    assert [*(tmp_path / "d/seg/meshes").iterdir()] == []


@pytest.mark.parametrize("stated", [{"meshes": [3]}, {"meshes": [{"name": "m", "path": "p", "dataFormat": "x"}]}])
def test_attachments_that_are_none_are_told(tmp_path: Path, stated: dict[str, Any]) -> None:
    layer = dataset(wkfast, tmp_path, stated).get_segmentation_layer("seg")
    with pytest.raises(DatasetError, match="malformed"):
        list(layer.attachments)


# -- transformations of coordinates -------------------------------------------------------------------------------


def test_transformations_are_read(wk: Any, tmp_path: Path) -> None:
    affine, spline = dataset(wk, tmp_path).get_layer("seg").coordinate_transformations
    assert affine.matrix.tolist() == AFFINE["matrix"]
    assert (spline.source.tolist(), spline.target.tolist()) == (POINTS["source"], POINTS["target"])
    assert spline.pairs[1] == (wk.Vec3Float(1, 2, 3), wk.Vec3Float(2, 3, 5))
    with pytest.raises(ValueError, match="read-only"):
        affine.matrix[0, 0] = 2


def test_transformations_are_set_and_taken_away(wk: Any, tmp_path: Path) -> None:
    properties = importlib.import_module(f"{wk.__name__}.dataset_properties")
    layer = dataset(wk, tmp_path).get_layer("seg")
    step = properties.AffineCoordinateTransformation.identity().rotate("z", 90).translate((5, 0, 0)).flip("y")
    layer.coordinate_transformations = [step]
    stated = np.array(entry_of(tmp_path / "d", "seg")["coordinateTransformations"][0]["matrix"])
    assert np.allclose(stated, [[0, -1, 0, 5], [-1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    assert wk.Dataset.open(tmp_path / "d").get_layer("seg").coordinate_transformations == (step,)
    layer.coordinate_transformations = None
    assert not entry_of(tmp_path / "d", "seg").get("coordinateTransformations")
    assert layer.coordinate_transformations == ()


@pytest.mark.parametrize("axis", ["x", "y", "z"])
def test_maps_are_built_as_in_the_other_package(wk: Any, axis: str) -> None:
    affine = importlib.import_module(f"{wk.__name__}.dataset_properties").AffineCoordinateTransformation
    built = affine.from_scale((2, 3, 4)).rotate(axis, 30).chain(affine.from_translation((1, 2, 3))).scale((1, 1, 2))
    turn = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    points = np.random.default_rng(0).random((5, 3))
    wanted = points * (2, 3, 4)
    first, second = wanted[:, turn[0]].copy(), wanted[:, turn[1]].copy()
    angle = np.deg2rad(30)
    wanted[:, turn[0]] = np.cos(angle) * first - np.sin(angle) * second
    wanted[:, turn[1]] = np.sin(angle) * first + np.cos(angle) * second
    wanted = (wanted + np.array([1, 2, 3])) * (1, 1, 2)
    assert np.allclose(points @ built.matrix[:3, :3].T + built.matrix[:3, 3], wanted)


def test_maps_that_are_none_are_refused(wk: Any) -> None:
    properties = importlib.import_module(f"{wk.__name__}.dataset_properties")
    with pytest.raises(ValueError, match="shape"):
        properties.AffineCoordinateTransformation(np.eye(3))
    with pytest.raises(ValueError, match=r"x.*y.*z"):
        properties.AffineCoordinateTransformation.from_rotation("t", 3)
    for points in ([], [[1, 2]], [[1, 2, 3], [1, 2, 3]]):
        with pytest.raises(ValueError):  # noqa: PT011 - each package says it in its own way
            properties.ThinPlateSplineCoordinateTransformation(points, [[1, 2, 3]])
    pairs = [((1, 2, 3), (4, 5, 6))]
    assert properties.ThinPlateSplineCoordinateTransformation.from_pairs(pairs).target.tolist() == [[4, 5, 6]]


def test_unknown_maps_are_told_and_kept(tmp_path: Path) -> None:
    dataset(wkfast, tmp_path)
    file = tmp_path / "d/datasource-properties.json"
    file.write_text(file.read_text().replace("affine", "curly"))
    layer = wkfast.Dataset.open(tmp_path / "d").get_layer("seg")
    with pytest.raises(DatasetValueError, match="curly"):
        _ = layer.coordinate_transformations
    layer.bounding_box = wkfast.BoundingBox((0, 0, 0), (8, 8, 8))
    assert entry_of(tmp_path / "d", "seg")["coordinateTransformations"][0]["type"] == "curly"
    with pytest.raises(DatasetValueError, match="no transformation"):
        layer.coordinate_transformations = [3]


def test_maps_of_the_other_package_are_taken(tmp_path: Path) -> None:
    pytest.importorskip("webknossos")
    theirs: Any = importlib.import_module("webknossos.dataset_properties")
    layer = dataset(wkfast, tmp_path).get_layer("seg")
    steps = layer.coordinate_transformations
    layer.coordinate_transformations = [
        theirs.AffineCoordinateTransformation(AFFINE["matrix"]),
        theirs.ThinPlateSplineCoordinateTransformation(**POINTS),
    ]
    assert layer.coordinate_transformations == steps


# -- properties by name -------------------------------------------------------------------------------------------


def test_properties_are_read_by_name(wk: Any, tmp_path: Path) -> None:
    properties = dataset(wk, tmp_path)._properties
    names = importlib.import_module(f"{wk.__name__}.dataset_properties")
    assert isinstance(properties, names.DatasetProperties)
    assert properties.scale == wk.VoxelSize((4, 4, 40))
    assert (properties.version, properties.id["name"], properties.default_view_configuration) == (1, "d", None)
    (layer,) = properties.data_layers
    assert isinstance(layer, names.SegmentationLayerProperties)
    assert isinstance(layer, names.LayerProperties)
    assert (layer.name, layer.category, layer.dtype, layer.dtype_np) == ("seg", "segmentation", "uint8", np.uint8)
    assert layer.data_format == wk.DataFormat.Zarr3
    assert layer.bounding_box.size_xyz.to_tuple() == (16, 16, 16)
    assert (layer.largest_segment_id, layer.mappings or None, layer.default_view_configuration) == (None, None, None)
    assert len(layer.coordinate_transformations) == 2
    (mag,) = layer.mags
    assert isinstance(mag, names.MagViewProperties)
    assert (str(mag.mag), mag.path, mag.axis_order) == ("1", "./seg/1", {"c": 0, "x": 1, "y": 2, "z": 3})
    assert mag.cube_length in {None, 16}
