"""What skeletons do where a script cannot tell that the result is another: as in the reference, or documented."""

from __future__ import annotations

import importlib
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore")


def empty(wk: Any, trees: int = 0) -> Any:
    skeleton = wk.Annotation(name="a", dataset_name="d", voxel_size=(1, 1, 1)).skeleton
    for number in range(trees):
        skeleton.add_tree(f"tree {number}")
    return skeleton


def line(wk: Any) -> Any:
    """A tree of the id 1 with the nodes 2 and 3."""
    tree = empty(wk).add_tree("line")
    tree.add_edge(tree.add_node((1, 2, 3)), tree.add_node((4, 5, 6)))
    return tree


def ids(tree: Any) -> tuple[int, list[int]]:
    return tree.id, sorted(node.id for node in tree.nodes)


def test_a_node_may_have_the_id_of_a_tree(wk: Any) -> None:
    skeleton, tree = empty(wk, trees=5), line(wk)
    assert ids(skeleton.add_tree(tree)) == (6, [2, 3])
    assert ids(skeleton.add_tree(tree)) == (7, [8, 9])
    assert ids(skeleton.add_tree(tree, _enforced_id=55)) == (55, [56, 57])
    assert skeleton.add_tree("new").id == 58


def test_a_tree_with_some_ids_that_are_taken_gets_new_ones(wk: Any) -> None:
    """Documented: all its nodes do; in the other package those that are in the way."""
    skeleton = empty(wk)
    skeleton.add_tree("in the way", _enforced_id=9).add_node((0, 0, 0), _enforced_id=3)
    tree_id, nodes = ids(skeleton.add_tree(line(wk)))
    assert tree_id == 1
    assert nodes == ([10, 11] if wk.__name__ == "wkfast" else [2, 10])


def test_a_tree_without_a_colour_has_none_until_the_server_gives_one(wk: Any, tmp_path: Path) -> None:
    """Documented: the other package writes a random colour, so that no two files of one skeleton are the same."""
    annotation = wk.Annotation(name="a", dataset_name="d", voxel_size=(1, 1, 1))
    tree = annotation.skeleton.add_tree("t")
    assert tree.color is None
    annotation.save(tmp_path / "a.nml")
    assert (wk.Annotation.load(tmp_path / "a.nml").skeleton.get_tree_by_id(tree.id).color is None) == (
        wk.__name__ == "wkfast"
    )


def test_a_tree_of_alpha_zero_is_hidden_as_on_the_server(wk: Any, tmp_path: Path) -> None:
    """Documented: the other package shows it."""
    annotation = wk.Annotation(name="a", dataset_name="d", voxel_size=(1, 1, 1))
    tree = annotation.skeleton.add_tree("t", color=(1, 0, 0, 0.5))
    annotation.save(tmp_path / "a.nml")
    text = (tmp_path / "a.nml").read_text()
    (tmp_path / "a.nml").write_text(text.replace('color.a="0.5"', 'color.a="0"').replace(' isVisible="true"', "", 1))
    loaded = wk.Annotation.load(tmp_path / "a.nml").skeleton.get_tree_by_id(tree.id)
    assert loaded.is_visible == (wk.__name__ == "webknossos")


def test_volume_data_lie_in_a_zip_of_the_layers_name(wk: Any, tmp_path: Path) -> None:
    annotation = wk.Annotation(name="a", dataset_name="d", voxel_size=(1, 1, 1))
    volume = annotation.add_volume_layer("Volume", dtype="uint8")
    with volume.edit(**{} if wk.__name__ == "wkfast" else sequential()) as layer:
        layer.add_mag(1).write(np.ones((32, 32, 32), "uint8"), absolute_offset=(0, 0, 0), allow_resize=True)
    annotation.save(tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert sorted(archive.namelist()) == ["a.nml", "data_0_Volume.zip"]


def sequential() -> dict[str, Any]:
    return {"executor": importlib.import_module("cluster_tools").get_executor("sequential")}


def test_edges_are_looked_up_like_a_dictionary(wk: Any) -> None:
    edges = line(wk).edges
    (pair,) = [tuple(node.id for node in key) for key in edges.keys()]  # noqa: SIM118 - that is what is asked for
    assert sorted(pair) == [2, 3]
    assert list(edges.values()) == [{}]
    assert [value for _, value in edges.items()] == [{}]
    assert edges.get(("no", "edge"), 7) == 7
