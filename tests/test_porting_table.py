"""The table of the page on porting, name by name, is what the installed reference and wkfast have.

``python -m tests.test_porting_table`` writes it anew.
"""

from __future__ import annotations

import importlib
import inspect
import warnings
from pathlib import Path
from typing import Any

import pytest

import wkfast as wk

PAGE = Path(__file__).resolve().parents[1] / "docs" / "porting.md"
BEGIN, END = "<!-- names: begin -->\n", "<!-- names: end -->\n"
CLASSES = [
    "Annotation", "RemoteAnnotation", "Skeleton", "Group", "Tree", "Node",
    "Dataset", "RemoteDataset", "Layer", "SegmentationLayer", "RemoteLayer", "RemoteSegmentationLayer",
    "View", "MagView", "RemoteMagView",
    "BoundingBox", "NDBoundingBox", "NormalizedBoundingBox", "Vec3Int", "VecInt", "Vec3Float", "Mag", "VoxelSize",
    "LengthUnit", "DataFormat", "SamplingModes", "AnnotationState", "AnnotationType",
    "LayerViewConfiguration", "DatasetViewConfiguration",
]  # fmt: skip

# What is left out, by why.
LEFT_OUT = {
    "conversion of images: other tools do it": (
        "ConversionLayerMapping add_layer_from_images from_images export LayerExport CorruptImageError "
        "ImageConversionError UnsupportedImageDataError UnsupportedImageFormatError "
        "DEFAULT_CHUNKS_PER_SHARD_FROM_IMAGES"
    ),
    "uploads of datasets: the protocol cannot be tested against recordings": (
        "upload publish_to_preliminary_dataset trigger_dataset_import trigger_reload_in_datastore LayerToLink "
        "TransferMode StorageCredentials"
    ),
    "administration of the server": (
        "access_mode allowed_teams created delete display_name explore_and_add_remote folder with_access_mode "
        "zarr_streaming_path paths paths_by_access_mode reopen RemoteAccessMode RemoteFolder Datastore TaskType Team "
        "WkApiClient"
    ),
    "older names of copies: add_layer_as_copy, add_mag_as_copy, copy_dataset": (
        "add_copy_layer add_copy_mag add_fs_copy_layer add_fs_copy_mag fs_copy_dataset"
    ),
    "links to pages and the user's own view of them": "generate_url view_configuration",
    "meshes and other attachments: listed and carried along, not opened": (
        "download_mesh AgglomerateAttachment ConnectomeAttachment CumsumAttachment MeshAttachment "
        "SegmentIndexAttachment SegmentStatisticsAttachment RemoteAttachments "
        "AttachmentProperties AttachmentsProperties"
    ),
    "agglomerates: get_agglomerate_graph_data has the data": "get_agglomerate_graph AgglomerateGraph",
    "a name of `wkfast.dataset_properties`": (
        "DatasetProperties LayerProperties MagViewProperties SegmentationLayerProperties"
    ),
    "models on the server": "AiModelCategory RemoteAiModel",
    "internal to the reference": (
        "as_nml_group create as_vec3_float_or_none as_vec3_int_or_none check_version_in_background current_version "
        "get_dataset_converter length_unit_from_str"
    ),
}
# What is there and not quite the same.
DIFFERS = {
    "Annotation.get_volume_layer_names": "a list, not a generator",
    "Annotation.merge_fallback_layer": "all mags; returns a report",
    "Dataset.add_layer": "`compressed` and other unknown keywords: the first warns, the others are refused",
    "Dataset.get_or_add_layer": "unknown keywords are refused",
    "MagView.get_zarr_array": "a `zarr.Array`",
    "Dataset.add_layer_as_ref": "of layers with files here; those on servers are fetched by RemoteDataset.download",
    "Layer.add_mag_as_ref": "of mags with files here",
    "Layer.delete_mag": "through a linked folder nothing is deleted",
    "MagView.for_each_chunk": "without an executor one call after the other, in this process",
    "MagView.map_chunk": "results in the order of chunks",
    "Layer.upsample": "factors above 2 leave no zeros between",
    "SegmentationLayer.attachments": "all of one class `Attachment`; they are not renamed or deleted",
    "Skeleton.add_tree": "a copy of which some ids are taken gets new ones for all its nodes",
    "Tree.nodes": "nodes are views: compare with `==`, not `is`",
}


def reference() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("webknossos")


def named(package: Any, name: str) -> Any:
    return getattr(package, name, None) or getattr(importlib.import_module(f"{package.__name__}.annotation"), name)


def public(owner: type) -> set[str]:
    """Names of a class, also of attributes that only its objects have."""
    listed = {name for base in owner.__mro__ for name in {*vars(base), *vars(base).get("__annotations__", {})}}
    return {name for name in {*dir(owner), *listed} if not name.startswith("_")}


def samples() -> dict[str, Any]:
    """Objects of the classes whose attributes are made in their constructors."""
    annotation = wk.Annotation(name="a", dataset_name="d", voxel_size=(1, 1, 1))
    group = annotation.skeleton.add_group("g")
    tree = group.add_tree("t")
    return {
        "Annotation": annotation, "RemoteAnnotation": annotation, "Skeleton": annotation.skeleton, "Group": group,
        "Tree": tree, "Node": tree.add_node((0, 0, 0)),
    }  # fmt: skip


def of_reference_alone(owner: type) -> set[str]:
    """Public names that the reference itself defines, not what it inherits from elsewhere."""
    homes = [base for base in owner.__mro__ if base.__module__.startswith(("webknossos", "networkx"))]
    listed = {name for base in homes for name in {*vars(base), *vars(base).get("__annotations__", {})}}
    return {name for name in listed if not name.startswith("_")}


def rows() -> list[str]:
    theirs, ours = reference(), samples()
    reasons = {name: why for why, names in LEFT_OUT.items() for name in names.split()}
    lines = ["| class | there | differs | left out |", "|---|---|---|---|"]
    for name in CLASSES:
        wanted = of_reference_alone(named(theirs, name))
        have = public(named(wk, name)) | set(dir(ours.get(name, None)))
        missing = sorted(wanted - have)
        unexplained = [f"{name}.{each}" for each in missing if each not in reasons]
        assert not unexplained, f"say why these are left out: {unexplained}"
        differing = sorted(each for each in wanted & have if f"{name}.{each}" in DIFFERS)
        there = ", ".join(f"`{each}`" for each in sorted((wanted & have) - set(differing)))
        how = "; ".join(f"`{each}`: {DIFFERS[f'{name}.{each}']}" for each in differing)
        why: dict[str, list[str]] = {}
        for each in missing:
            why.setdefault(reasons[each], []).append(f"`{each}`")
        out = "; ".join(f"{', '.join(names)} ({reason})" for reason, names in why.items())
        lines.append(f"| `{name}` | {there} | {how} | {out} |")
    return [*lines, row_of_the_package(theirs, reasons)]


def package_names(package: Any) -> set[str]:
    """Names that a package itself defines and scripts import from it."""
    names = {name for name in dir(package) if not name.startswith("_")}
    return {name for name in names if getattr(getattr(package, name), "__module__", "").startswith("webknossos")} | {
        name for name in names if isinstance(getattr(package, name), str | tuple)
    }


def row_of_the_package(theirs: Any, reasons: dict[str, str]) -> str:
    """The row of what is imported from the package: classes, functions and constants."""
    wanted = package_names(theirs)
    missing = sorted(name for name in wanted if not hasattr(wk, name))
    unexplained = [name for name in missing if name not in reasons]
    assert not unexplained, f"say why these are left out: {unexplained}"
    why: dict[str, list[str]] = {}
    for each in missing:
        why.setdefault(reasons[each], []).append(f"`{each}`")
    out = "; ".join(f"{', '.join(names)} ({reason})" for reason, names in why.items())
    return f"| the package | {', '.join(f'`{name}`' for name in sorted(wanted - set(missing)))} |  | {out} |"


def test_the_page_lists_every_name_of_the_reference() -> None:
    expected = "\n".join(rows()) + "\n"
    text = PAGE.read_text(encoding="utf-8")
    assert text.split(BEGIN)[1].split(END)[0] == expected, "write it anew: python -m tests.test_porting_table"


def test_what_is_said_to_be_left_out_or_to_differ_is_a_name_of_the_reference() -> None:
    theirs = reference()
    names = {name: public(named(theirs, name)) for name in CLASSES}
    everything = set().union(*names.values(), package_names(theirs))
    assert {each for listed in LEFT_OUT.values() for each in listed.split()} <= everything
    for name in DIFFERS:
        owner, _, member = name.partition(".")
        assert member in names[owner], name


MODULES = {
    "geometry.vec3_int": "Vec3Int Vec3IntLike",
    "geometry.nd_bounding_box": "NDBoundingBox",
    "geometry.normalized_bounding_box": "NormalizedBoundingBox",
    "geometry.constants": "X_AXIS Y_AXIS Z_AXIS C_AXIS T_AXIS XY_AXES XYZ_AXES CXYZ_AXES TXYZ_AXES TCXYZ_AXES XYZAxis",
    "dataset.defaults": "DEFAULT_CHUNK_SHAPE DEFAULT_SHARD_SHAPE DEFAULT_DATA_FORMAT",
    "dataset.sampling_modes": "SamplingModes",
    "dataset_properties": "DataFormat LengthUnit LayerViewConfiguration DatasetViewConfiguration COLOR_CATEGORY "
    "SEGMENTATION_CATEGORY VoxelSize DatasetProperties LayerProperties SegmentationLayerProperties MagViewProperties "
    "AttachmentDataFormat CoordinateTransformation AffineCoordinateTransformation "
    "ThinPlateSplineCoordinateTransformation",
    "skeleton.node": "Node",
}


@pytest.mark.parametrize("module", MODULES)
def test_names_lie_where_scripts_look_for_them(module: str) -> None:
    theirs = reference()
    for name in MODULES[module].split():
        ours = getattr(importlib.import_module(f"wkfast.{module}"), name)
        its = getattr(importlib.import_module(f"{theirs.__name__}.{module}"), name)
        if isinstance(its, str | tuple):
            assert ours == its
        elif inspect.isclass(its):
            assert ours.__name__ == its.__name__


def test_axes_and_defaults_are_names_of_the_package() -> None:
    for name in ("XYZ_AXES", "DEFAULT_CHUNK_SHAPE", "Vec3IntLike", "MagLike"):
        assert getattr(wk, name) is not None


if __name__ == "__main__":
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    PAGE.write_text(before + BEGIN + "\n".join(rows()) + "\n" + END + rest.partition(END)[2], encoding="utf-8")
