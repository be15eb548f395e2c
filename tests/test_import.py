"""What ``import wkfast`` loads, and what it says."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "python" / "wkfast"
HEAVY = ["wkfast.client", "httpx", "lxml", "networkx", "numba", "zarr", "blosc2", "rich", "PIL", "lz4"]


def run_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_importing_wkfast_loads_no_heavy_library():
    loaded = run_python(f"import sys, wkfast; print([name for name in {HEAVY!r} if name in sys.modules])")
    assert loaded == "[]"


@pytest.mark.parametrize("used", ["", "; wkfast.Annotation, wkfast.Dataset, wkfast.Skeleton, wkfast.BoundingBox"])
def test_importing_wkfast_loads_the_standard_library_and_wkfast_only(used):
    code = (
        f"import sys; before = set(sys.modules); import wkfast{used};"
        "loaded = {name.partition('.')[0] for name in set(sys.modules) - before};"
        "print(sorted(loaded - set(sys.stdlib_module_names)))"
    )
    assert run_python(code) == "['wkfast']"


def test_boxes_load_no_skeletons_and_no_datasets():
    others = ["wkfast.skeleton", "wkfast.dataset"]
    code = f"import sys, wkfast; wkfast.BoundingBox; print([name for name in {others} if name in sys.modules])"
    assert run_python(code) == "[]"


def test_packages_are_attributes_without_being_imported_and_other_names_are_refused():
    code = (
        "import wkfast; print(wkfast.geometry.Vec3Int is wkfast.Vec3Int, wkfast.skeleton.Tree is wkfast.Tree,"
        "hasattr(wkfast, 'nothing'), set(wkfast.__all__) <= set(dir(wkfast)))"
    )
    assert run_python(code) == "True True False True"


def test_a_command_loads_no_other_command():
    code = (
        "import sys, contextlib, io\n"
        "from wkfast.cli import main\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n"
        "    main(['info', '--help'])\n"
        "print(sorted(n for n in sys.modules if n.startswith('wkfast.cli.') and n.count('.') == 2))"
    )
    assert run_python(code) == "['wkfast.cli.app', 'wkfast.cli.arguments', 'wkfast.cli.console', 'wkfast.cli.info']"


def loaded_by_command(*arguments):
    """What is in ``sys.modules`` when a command has ended well."""
    code = (
        "import sys, contextlib, io\n"
        "from wkfast.cli import main\n"
        "with contextlib.redirect_stdout(io.StringIO()):\n"
        "    try:\n"
        f"        main({list(map(str, arguments))!r})\n"
        "    except SystemExit as done:\n"
        "        assert not done.code, done.code\n"
        "print(*sys.modules)"
    )
    return set(run_python(code).split())


@pytest.fixture
def annotation_file(tmp_path):
    import wkfast as wk

    annotation = wk.Annotation("a", dataset_name="d", voxel_size=(1, 1, 1), edit_position=(1, 2, 3))
    tree = annotation.skeleton.add_group("g").add_tree("t")
    tree.add_edge(tree.add_node(position=(1, 2, 3), comment="c"), tree.add_node(position=(4, 5, 6)))
    annotation.metadata["key"] = "value"
    annotation.save(tmp_path / "a.zip")
    return tmp_path / "a.zip"


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["merge-fallback", "--help"], ["merge", "--help"], ["download", "--help"]]
)
def test_help_loads_neither_numpy_nor_what_commands_work_with(arguments):
    loaded = loaded_by_command(*arguments)
    packages = {"wkfast.annotation", "wkfast.dataset.dataset", "wkfast.volume", "wkfast.client", "wkfast.merge.job"}
    assert loaded & {*HEAVY, "numpy", *packages} == set()


@pytest.mark.parametrize("arguments", [["info", "--json"], ["validate"], ["validate", "--json"]])
def test_facts_of_a_file_are_told_without_numpy_and_rich(arguments, annotation_file):
    loaded = loaded_by_command(*arguments, annotation_file)
    packages = {"wkfast.dataset.dataset", "wkfast.volume.editing", "wkfast.volume.data_zip", "wkfast.merge.job"}
    assert loaded & {*HEAVY, "numpy", *packages} == set()


def test_a_table_needs_rich_alone(annotation_file):
    assert loaded_by_command("info", annotation_file) & {*HEAVY, "numpy"} == {"rich"}


@pytest.fixture
def volume_files(tmp_path):
    """An annotation with voxels, and the folder of the dataset that it was painted on."""
    import numpy as np

    import wkfast as wk

    dataset = wk.Dataset(tmp_path / "datasets" / "d", voxel_size=(1, 1, 1))
    voxels = np.ones((32, 32, 32), np.uint32)
    layer = dataset.write_layer("segmentation", "segmentation", voxels, data_format="zarr3")
    annotation = wk.Annotation("a", dataset_name="d", voxel_size=(1, 1, 1))
    with annotation.add_volume_layer("Volume", fallback_layer=layer).edit() as painted:
        painted.get_or_add_mag(1).write(voxels + 1, allow_resize=True)
    annotation.save(tmp_path / "a.zip")
    return tmp_path / "a.zip", dataset.path.parent


def test_voxels_of_a_file_are_summed_up_without_numpy(volume_files):
    file, _ = volume_files
    loaded = loaded_by_command("info", file)
    assert "wkfast.volume.data_zip" in loaded
    assert loaded & {*HEAVY, "numpy", "wkfast.dataset.dataset"} == {"rich"}


def test_a_merge_of_folders_loads_neither_numpy_nor_what_speaks_with_servers(volume_files, tmp_path):
    file, datasets = volume_files
    loaded = loaded_by_command("merge-fallback", tmp_path / "merged", file, datasets, "--json")
    assert "wkfast.merge.job" in loaded
    assert loaded & {"numpy", "httpx", "zarr", "networkx", "wkfast.client.client", "wkfast.client.session"} == set()


@pytest.mark.parametrize(
    "package", ["dataset", "volume", "merge", "annotation", "geometry", "skeleton", "remote", "client"]
)
def test_every_module_can_be_the_first_that_is_imported(package):
    modules = [f"wkfast.{package}.{file.stem}" for file in sorted((PACKAGE / package).glob("[!_]*.py"))]
    code = (
        "import sys, importlib\n"
        f"for name in {modules!r}:\n"
        "    for loaded in [n for n in sys.modules if n.startswith('wkfast.') and n != 'wkfast._core']:\n"
        "        del sys.modules[loaded]\n"
        "    importlib.import_module(name)"
    )
    assert run_python(code) == ""


def test_names_that_packages_load_late_are_theirs():
    for package in ("dataset", "volume", "merge", "annotation"):
        module = importlib.import_module(f"wkfast.{package}")
        assert set(module.__all__) <= set(dir(module))
        assert all(hasattr(module, name) for name in module.__all__)
        with pytest.raises(AttributeError, match=f"module 'wkfast.{package}' has no attribute 'nothing'"):
            _ = module.nothing


def test_loading_an_nml_loads_no_heavy_library(tmp_path):
    code = (
        "import sys, wkfast as wk;"
        "a = wk.Annotation('a', dataset_name='d', voxel_size=(1, 1, 1));"
        "t = a.skeleton.add_tree('t'); t.add_node(position=(1, 2, 3));"
        f"a.save({str(tmp_path / 'a.nml')!r}); b = wk.Annotation.load({str(tmp_path / 'a.nml')!r});"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    assert run_python(code) == "[]"


def test_a_debug_build_warns_when_imported():
    code = (
        "import sys, types, warnings\n"
        "import wkfast._core as core\n"
        "sys.modules.pop('wkfast')\n"
        "core.DEBUG_BUILD = True\n"
        "with warnings.catch_warnings(record=True) as caught:\n"
        "    warnings.simplefilter('always')\n"
        "    import wkfast\n"
        "print([str(w.message).split(':')[0] for w in caught])"
    )
    assert run_python(code) == "['wkfast._core is a debug build']"


def test_every_public_name_exists_and_is_sorted():
    import wkfast

    assert all(hasattr(wkfast, name) for name in wkfast.__all__)
    upper = [name for name in wkfast.__all__ if name.isupper()]
    assert wkfast.__all__ == sorted(upper) + sorted(set(wkfast.__all__) - set(upper))


@pytest.mark.parametrize("module", ["wkfast", "wkfast.annotation", "wkfast.annotation.volume_layer"])
@pytest.mark.parametrize("name", ["VolumeLayer", "SegmentInformation", "VolumeLayerEditMode"])
def test_volume_layers_are_found_where_scripts_look_for_them(module, name):
    assert getattr(importlib.import_module(module), name) is getattr(importlib.import_module("wkfast.volume"), name)


@pytest.mark.parametrize("name", ["Annotation", "Skeleton", "Tree", "Dataset", "BoundingBox"])
def test_public_classes_have_docstrings(name):
    import wkfast

    assert (getattr(wkfast, name).__doc__ or "").strip()


def test_free_threaded_python_is_refused_in_one_sentence():
    done = subprocess.run(
        [sys.executable, "-c", "import sys; sys.abiflags = 't'; import wkfast"], capture_output=True, text=True
    )
    assert done.stderr.splitlines()[-1] == (
        "ImportError: wkfast does not support free-threaded Python yet: use one with the GIL, such as python3.13"
    )


def test_windows_is_told_in_one_sentence_that_it_is_not_supported():
    done = subprocess.run(
        [sys.executable, "-c", "import sys; sys.platform = 'win32'; import wkfast"], capture_output=True, text=True
    )
    assert done.stderr.splitlines()[-1] == (
        "ImportError: wkfast does not support Windows: use it on Linux or macOS, or inside WSL"
    )
