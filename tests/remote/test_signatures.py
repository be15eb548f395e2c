"""Names, parameters and defaults around servers are those that scripts are written against."""

import inspect

import pytest
from tests.signatures import compare, rows, shown

import wkfast as wk

# By class or function: callables with their parameters.
API = {
    "": """
        login(*, url=None, token=None, timeout=None, api_version=None)
        webknossos_context(url=None, token=None, timeout=None, api_version=None)
    """,
    "Annotation": """
        download(annotation_id_or_url, annotation_type=None, webknossos_url=None, *, skip_volume_data=False,
            retry_count=5, _return_context=False, progress=None)
        upload(*, progress=None)
        open_remote(annotation_id_or_url, webknossos_url=None)
        open_as_remote_dataset(annotation_id_or_url, annotation_type=None, webknossos_url=None)
        get_remote_annotation_dataset()
        get_remote_base_dataset(sharing_token=None, webknossos_url=None)
    """,
    "RemoteAnnotation": """
        save(path, *, progress=None, storage_options=None)
        download_mesh(segment_id, output_dir, tracing_id=None, mesh_file_name=None, lod=0, mapping_name=None,
            mapping_type=None, mag=None, seed_position=None, token=None)
    """,
    "AnnotationInfo": """
        download_annotation()
        get_remote_annotations(is_finished=False, owner=None)
    """,
    "Task": """
        get_by_id(task_id)
        get_annotation_infos()
    """,
    "RemoteDataset": """
        open(dataset_name_or_url=None, *, organization_id=None, sharing_token=None, webknossos_url=None,
            dataset_id=None, annotation_id_or_url=None, read_only=False)
        get_layer(layer_name)
        get_segmentation_layer(layer_name)
        get_segmentation_layers()
        get_color_layers()
        calculate_bounding_box()
    """,
    "RemoteLayer": """
        get_mag(mag)
        get_finest_mag()
    """,
    "RemoteMagView": """
        read(size=None, *, relative_offset=None, absolute_offset=None, relative_bounding_box=None,
            absolute_bounding_box=None)
        get_view(size=None, *, relative_offset=None, absolute_offset=None, relative_bounding_box=None,
            absolute_bounding_box=None, read_only=None)
        get_zarr_array()
        get_dtype()
    """,
}

_WRITES = "layers on a server are read-only, see ReadOnlyError; the parameters are those of local ones"
# Where scripts that read cannot tell the difference, or gain by it.
DIFFERENCES = {
    ("Annotation", "download"): "annotation_type is accepted and deprecated, as on the documented page",
    ("Annotation", "open_as_remote_dataset"): "annotation_type is accepted and deprecated, as on the documented page",
    ("Annotation", "add_volume_layer"): "the order of the documented page; a dtype in third place is understood",
    ("Annotation", "__init__"): "mutable defaults are made inside",
    ("RemoteAnnotation", "download"): "annotation_type is accepted and deprecated, as on the documented page",
    ("RemoteAnnotation", "open_as_remote_dataset"): "annotation_type is accepted, as on the documented page",
    ("RemoteAnnotation", "add_volume_layer"): "the order of the documented page; a dtype in third place is understood",
    ("RemoteAnnotation", "download_mesh"): "the tracing is found where the annotation has one volume layer",
    ("RemoteAnnotation", "__init__"): "made by open_remote",
    ("AnnotationInfo", "__init__"): "made of what a server answers",
    ("Task", "__init__"): "made by get_by_id; administration of tasks is out of scope",
    ("RemoteDataset", "__init__"): "made by open",
    ("RemoteDataset", "open"): "access modes choose between streaming and files; ours streams",
    ("RemoteDataset", "add_layer"): _WRITES,
    ("RemoteDataset", "add_layer_as_copy"): _WRITES,
    ("RemoteDataset", "add_layer_as_ref"): _WRITES,
    ("RemoteDataset", "get_or_add_layer"): _WRITES,
    ("RemoteDataset", "downsample"): _WRITES,
    ("RemoteLayer", "__init__"): "made by its dataset",
    ("RemoteLayer", "add_mag_as_copy"): _WRITES,
    ("RemoteLayer", "add_mag_as_ref"): _WRITES,
    ("RemoteLayer", "downsample"): _WRITES,
    ("RemoteLayer", "upsample"): _WRITES,
    ("RemoteLayer", "get_mag"): "access modes choose between streaming and files; ours streams",
    ("RemoteLayer", "get_finest_mag"): "access modes choose between streaming and files; ours streams",
    ("RemoteMagView", "__init__"): "made by its layer",
    ("RemoteMagView", "merge_with_view"): _WRITES,
    ("RemoteMagView", "rechunk"): _WRITES,
    ("RemoteMagView", "write"): _WRITES,
}

# Names of the reference package that wkfast does without: administration of datasets and tasks, access to a server's
# files beside streaming, page looks, and meshes.
ABSENT = {
    "Task": {"create", "create_from_annotations", "delete", "get_list", "get_project", "update"},
    "RemoteAnnotation": {"generate_url", "get_agglomerate_graph"},
    "RemoteDataset": {
        "access_mode", "allowed_teams", "created", "delete",
        "display_name", "download_mesh", "explore_and_add_remote", "folder", "from_images", "generate_url",
        "reopen", "trigger_reload_in_datastore", "with_access_mode", "zarr_streaming_path",
    },
    "RemoteLayer": {
        "export", "view_configuration",
    },
    "RemoteMagView": {
        "access_mode", "create", "paths", "paths_by_access_mode", "with_access_mode",
    },
}  # fmt: skip


@pytest.mark.parametrize(("name", "row"), rows(API))
def test_members_are_those_of_the_table(name, row):
    member, bracket, rest = row.partition("(")
    assert shown(getattr(getattr(wk, name) if name else wk, member)) == bracket + rest


@pytest.mark.parametrize("name", [name for name in API if name])
def test_signatures_are_those_of_the_reference_package(name):
    webknossos = pytest.importorskip("webknossos", reason="needs the reference package: pip install --group bench")
    theirs, ours = getattr(webknossos, name), getattr(wk, name)
    fields = set(inspect.signature(ours).parameters)
    for member in ["__init__", *(member for member in dir(theirs) if not member.startswith("_"))]:
        function = getattr(theirs, member)
        if callable(function) and member not in ABSENT.get(name, ()):
            assert hasattr(ours, member) or member in fields, member
            if (name, member) not in DIFFERENCES:
                compare(f"{name}.{member}", function, getattr(ours, member))


@pytest.mark.parametrize("name", ["login", "webknossos_context"])
def test_functions_are_those_of_the_reference_package(name):
    webknossos = pytest.importorskip("webknossos", reason="needs the reference package: pip install --group bench")
    compare(name, getattr(webknossos, name), getattr(wk, name))


def test_what_is_told_to_be_absent_is():
    assert [(name, member) for name, members in ABSENT.items() for member in members
            if hasattr(getattr(wk, name), member)] == []  # fmt: skip
