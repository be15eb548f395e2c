"""Notebook views are well-formed and show names as they are; figures have what they should."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import numpy as np
import pytest
from tests.inputs import demo_input

from wkfast import Annotation, Dataset, Skeleton
from wkfast.pictures import html
from wkfast.pictures.planes import bar_length
from wkfast.skeleton.rooted import edge_rows

HOSTILE = "<script>alert('x')</script> & \"q\" <b"


def shown(thing):
    """The texts of a view, which must be well-formed."""
    view = thing._repr_html_()
    root = ET.fromstring(f"<div>{view.replace('<details open', '<details')}</div>")
    assert root.find(".//script") is None
    assert {element.tag for element in root.iter()} <= {
        "div", "details", "summary", "b", "table", "tr", "td", "th", "img",
    }  # fmt: skip
    return [text for element in root.iter() for text in [element.text] if text]


def test_names_are_shown_as_they_are_whatever_they_hold():
    annotation = Annotation(HOSTILE, dataset_name=HOSTILE, voxel_size=(1, 1, 1), organization_id=HOSTILE)
    tree = annotation.skeleton.add_group(HOSTILE).add_tree(HOSTILE, metadata={HOSTILE: HOSTILE})
    tree.add_node((1, 2, 3))
    annotation.add_volume_layer(HOSTILE, fallback_layer=HOSTILE, dtype=np.uint32)
    for thing in (annotation, annotation.skeleton, tree):
        texts = shown(thing)
        assert any(HOSTILE in text for text in texts), thing
    assert shown(annotation).count(HOSTILE) >= 4


def test_many_trees_are_counted_and_the_first_listed():
    skeleton = Skeleton(voxel_size=(1, 1, 1), dataset_name="d")
    for number in range(50):
        skeleton.add_tree(f"tree {number}")
    texts = shown(skeleton)
    assert "Trees (50)" in texts
    assert "and 30 more" in texts
    assert sum(text.startswith("tree ") for text in texts) == html.MOST_ROWS


def test_datasets_layers_and_reports_have_views(tmp_path):
    made = demo_input(tmp_path)
    annotation = Annotation.load(made.annotation)
    report = annotation.merge_fallback_layer(tmp_path / "merged", made.dataset_directory)
    assert any(text.startswith("merged ") for text in shown(report))
    dataset = Dataset.open(tmp_path / "merged")
    (layer,) = dataset.layers.values()
    assert any(layer.name in text for text in shown(dataset))
    assert any(str(layer.dtype) in text for text in shown(layer))


def test_a_figure_has_every_tree_in_its_colour_and_a_bar():
    matplotlib = pytest.importorskip("matplotlib")
    skeleton = Skeleton(voxel_size=(10, 10, 30), dataset_name="a $ b_{ <")
    skeleton.add_tree("a", color=(1, 0, 0, 1)).add_nodes([[0, 0, 0], [3000, 4000, 10]], edges=[[0, 1]])
    skeleton.add_tree("b").add_nodes([[5, 5, 5]])
    skeleton.add_tree("empty")
    hidden = skeleton.add_tree("hidden", color=(0, 1, 0, 1))
    hidden.add_node((1, 1, 1))
    hidden.is_visible = False
    figure = skeleton.plot()
    for axes, ends in zip(figure.axes, ([30, 40], [0.3, 40], [30, 0.3]), strict=True):
        lines = [each for each in axes.collections if isinstance(each, matplotlib.collections.LineCollection)]
        assert np.allclose(lines[0].get_segments()[0][1], ends)
        assert lines[0].get_colors()[0].tolist() == [1, 0, 0, 1]
        assert len(lines) == 2
        (bar,) = axes.lines
        assert axes.texts[0].get_text() == f"{np.ptp(bar.get_xdata()):g} µm"
    figure.canvas.draw()


def test_a_skeleton_without_nodes_has_a_figure():
    pytest.importorskip("matplotlib")
    assert len(Skeleton(voxel_size=(1, 1, 1), dataset_name="d").plot().axes) == 3


@pytest.mark.parametrize("width", [1e-3, 0.7, 1, 4.999, 5, 10, 123456])
def test_a_bar_is_a_round_length_between_a_twelfth_and_a_fifth(width):
    length = bar_length(width)
    assert width / 12.6 <= length <= width / 5 * 1.001
    assert f"{length:.0e}"[0] in "125"


def test_rows_of_edges_are_those_of_the_tables():
    tree = Skeleton(voxel_size=(1, 1, 1), dataset_name="d").add_tree("t")
    ids = tree.add_nodes(np.eye(3), edges=[[2, 0], [1, 2], [1, 1]])
    table = tree.edges_table()
    expected = {frozenset(pair) for pair in zip(table["source"].tolist(), table["target"].tolist(), strict=True)}
    assert {frozenset(ids[pair].tolist()) for pair in edge_rows(tree)} == {pair for pair in expected if len(pair) == 2}


def test_a_tree_comes_back_from_navis():
    navis = pytest.importorskip("navis")
    skeleton = Skeleton(voxel_size=(10, 10, 30), dataset_name="d")
    tree = skeleton.add_tree("axon")
    tree.add_nodes([[1, 2, 3], [4, 5, 6], [7, 8, 9]], edges=[[1, 0], [1, 2]], radius=[5, np.nan, 7])
    neuron = tree.to_navis()
    assert isinstance(neuron, navis.TreeNeuron)
    assert neuron.nodes[["x", "y", "z"]].to_numpy().tolist() == [[10, 20, 90], [40, 50, 180], [70, 80, 270]]
    back = skeleton.add_navis(neuron)
    assert back.nodes_table()["position"].tolist() == tree.nodes_table()["position"].tolist()
    np.testing.assert_array_equal(back.nodes_table()["radius"], [5, np.nan, 7])
    assert {frozenset(pair.tolist()) for pair in edge_rows(back)} == {frozenset({0, 1}), frozenset({1, 2})}
