"""The dataset classes, member by member: what scripts for the reference package may pass and in which order.

A member may take more than its row says, by keyword; what the row says is the reference's, spelt alike.
"""

from __future__ import annotations

import inspect
from typing import Any

import pytest

import wkfast as wk

TABLE = {
    "Dataset": {
        "__init__": (
            "dataset_path, voxel_size=None, name=None, exist_ok=False, *, voxel_size_with_unit=None, read_only=False"
        ),
        "open": "dataset_path, read_only=False",
        "get_layer": "layer_name",
        "get_segmentation_layer": "layer_name",
        "get_segmentation_layers": "",
        "get_color_layers": "",
        "add_layer": (
            "layer_name, category, *, dtype=None, dtype_per_channel=None, num_channels=None, "
            "data_format=<DataFormat.Zarr3: 'zarr3'>, bounding_box=None"
        ),
        "get_or_add_layer": (
            "layer_name, category, *, dtype=None, dtype_per_channel=None, num_channels=None, "
            "data_format=<DataFormat.Zarr3: 'zarr3'>"
        ),
        "add_layer_like": "other_layer, layer_name",
        "add_layer_as_copy": (
            "foreign_layer, new_layer_name=None, *, chunk_shape=None, shard_shape=None, "
            "chunks_per_shard=None, data_format=None, compress=None, exists_ok=False, executor=None, "
            "with_attachments=True"
        ),
        "add_layer_for_existing_files": "layer_name, category",
        "write_layer": (
            "layer_name, category, data, *, data_format=<DataFormat.Zarr3: 'zarr3'>, downsample=True, "
            "chunk_shape=None, shard_shape=None, chunks_per_shard=None, axes=None, absolute_offset=None, "
            "mag=1"
        ),
        "delete_layer": "layer_name",
        "copy_dataset": (
            "new_dataset_path, *, voxel_size=None, chunk_shape=None, shard_shape=None, chunks_per_shard=None, "
            "data_format=None, compress=None, exists_ok=False, executor=None, voxel_size_with_unit=None, "
            "layers_to_ignore=None"
        ),
        "compress": "*, executor=None",
        "downsample": (
            "*, sampling_mode=<SamplingModes.ANISOTROPIC: 'anisotropic'>, coarsest_mag=None, "
            "interpolation_mode='default', compress=True, executor=None"
        ),
        "calculate_bounding_box": "",
        "layers": "property",
        "name": "property, settable",
        "voxel_size": "property",
        "voxel_size_with_unit": "property",
        "read_only": "property",
    },
    "Layer": {
        "name": "property, settable",
        "path": "property",
        "category": "property",
        "dtype": "property",
        "num_channels": "property",
        "data_format": "property",
        "bounding_box": "property, settable",
        "normalized_bounding_box": "property",
        "mags": "property",
        "read_only": "property",
        "get_mag": "mag",
        "get_finest_mag": "",
        "add_mag": "mag, *, chunk_shape=None, shard_shape=None, chunks_per_shard=None, compress=True",
        "get_or_add_mag": "mag, *, chunk_shape=None, shard_shape=None, chunks_per_shard=None, compress=None",
        "add_mag_as_copy": (
            "foreign_mag_view_or_path, *, mag=None, extend_layer_bounding_box=True, chunk_shape=None, "
            "shard_shape=None, chunks_per_shard=None, compress=None, exists_ok=False, executor=None, "
            "progress_desc=None"
        ),
        "delete_mag": "mag",
        "downsample": (
            "*, from_mag=None, coarsest_mag=None, interpolation_mode='default', compress=True, "
            "sampling_mode=<SamplingModes.ANISOTROPIC: 'anisotropic'>, align_with_other_layers=True, "
            "buffer_shape=None, chunk_shape=None, shard_shape=None, force_sampling_scheme=False, "
            "allow_overwrite=False, only_setup_mags=False, from_mag_view=None, executor=None"
        ),
        "downsample_mag": (
            "from_mag, target_mag, *, interpolation_mode='default', compress=True, buffer_shape=None, "
            "chunk_shape=None, shard_shape=None, allow_overwrite=False, only_setup_mag=False, "
            "from_mag_view=None, executor=None"
        ),
        "downsample_mag_list": (
            "from_mag, target_mags, *, interpolation_mode='default', compress=True, buffer_shape=None, "
            "chunk_shape=None, shard_shape=None, allow_overwrite=False, only_setup_mags=False, executor=None"
        ),
        "redownsample": (
            "*, interpolation_mode='default', compress=True, buffer_shape=None, chunk_shape=None, "
            "shard_shape=None, executor=None"
        ),
        "dataset": "property",
    },
    "SegmentationLayer": {
        "largest_segment_id": "property, settable",
        "refresh_largest_segment_id": "*, chunk_shape=None, executor=None",
    },
    "MagView": {
        "read": (
            "size=None, *, relative_offset=None, absolute_offset=None, relative_bounding_box=None, "
            "absolute_bounding_box=None"
        ),
        "write": (
            "data, *, allow_resize=False, allow_unaligned=False, relative_offset=None, absolute_offset=None, "
            "relative_bounding_box=None, absolute_bounding_box=None"
        ),
        "info": "property",
        "mag": "property",
        "name": "property",
        "path": "property",
        "layer": "property",
        "bounding_box": "property",
        "normalized_bounding_box": "property",
        "data_format": "property",
        "get_dtype": "",
        "get_view": (
            "size=None, *, relative_offset=None, absolute_offset=None, relative_bounding_box=None, "
            "absolute_bounding_box=None, read_only=None"
        ),
        "get_bounding_boxes_on_disk": "",
        "get_views_on_disk": "read_only=None",
        "chunk": "chunk_shape, *, chunk_border_alignments=None, read_only=None",
        "content_is_equal": "other, *, executor=None, progress_desc=None, chunk_shape=None",
        "rechunk": "*, chunk_shape=None, shard_shape=None, compress=None, target_path=None, executor=None",
        "compress": "*, target_path=None, executor=None",
        "merge_with_view": "other, executor=None",
        "get_zarr_array": "",
        "read_only": "property",
    },
}

ROWS = [(name, member, row) for name, members in TABLE.items() for member, row in members.items()]


def parts(row: str) -> tuple[list[str], list[str]]:
    """What a row says of parameters that may go by place, and of those by keyword alone."""
    by_place, _, by_keyword = row.partition("*, ") if row.startswith("*, ") else row.partition(", *, ")
    split = [[part for part in side.split(", ") if part] for side in (by_place, by_keyword)]
    return split[0], split[1]


def spelt(parameter: inspect.Parameter) -> str:
    default = "" if parameter.default is parameter.empty else f"={parameter.default!r}"
    return f"{parameter.name}{default}"


def found(member: Any) -> str:
    return "property, settable" if member.fset else "property"


@pytest.mark.parametrize(("name", "member", "row"), ROWS, ids=[f"{name}.{member}" for name, member, _ in ROWS])
def test_members_are_called_as_in_the_reference(name: str, member: str, row: str) -> None:
    static = inspect.getattr_static(getattr(wk, name), member)
    if isinstance(static, property):
        assert found(static) == row
        return
    parameters = list(inspect.signature(getattr(getattr(wk, name), member)).parameters.values())
    parameters = [parameter for parameter in parameters if parameter.name != "self"]
    by_place, by_keyword = parts(row)
    places = [spelt(each) for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD]
    assert places == by_place
    keywords = [spelt(each) for each in parameters if each.kind is each.KEYWORD_ONLY]
    assert set(by_keyword) <= set(keywords)
    more = [each for each in parameters if each.kind is each.KEYWORD_ONLY and spelt(each) not in by_keyword]
    assert all(each.default is not each.empty for each in more), "what wkfast adds may be left out"


@pytest.mark.parametrize("name", TABLE)
def test_every_member_says_what_it_does(name: str) -> None:
    for member in TABLE[name]:
        static = inspect.getattr_static(getattr(wk, name), member)
        documented = getattr(wk, name) if member == "__init__" else static
        assert inspect.getdoc(documented), f"{name}.{member} has no documentation"
