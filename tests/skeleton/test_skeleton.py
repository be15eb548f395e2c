"""Groups and skeletons: structure, ids, equality, representations as scripts know them."""

import copy
import pickle

import networkx as nx
import numpy as np
import pytest

from wkfast.errors import SkeletonError
from wkfast.geometry import LengthUnit, Vec3Float, VoxelSize
from wkfast.skeleton import AdditionalAxis, Skeleton, Tree, metadata_from_entries, metadata_to_entries


@pytest.fixture
def skeleton() -> Skeleton:
    """Root with tree u; group a holds group b holds tree t of two nodes."""
    skeleton = Skeleton(voxel_size=(11.24, 11.24, 28), dataset_name="d")
    tree = skeleton.add_group("a").add_group("b").add_tree("t", color=(1, 0, 0), metadata={"k": ["x", "y"]})
    tree.add_edge(tree.add_node((1, 2, 3)), tree.add_node((4, 5, 6), comment="end"))
    skeleton.add_tree("u")
    return skeleton


def test_trees_groups_and_nodes_draw_ids_from_one_counter(skeleton):
    assert [group.id for group in skeleton.flattened_groups()] == [1, 2]
    assert [tree.id for tree in skeleton.flattened_trees()] == [6, 3]
    assert [node.id for node in skeleton.get_tree_by_id(3)] == [4, 5]
    assert skeleton.add_tree("enforced", _enforced_id=1000).id == 1000
    assert skeleton.add_group("next").id == 1001
    assert skeleton.get_tree_by_id(3).add_node((0, 0, 0), _enforced_id=5000).id == 5000
    assert skeleton.add_tree("after").id == 5001
    assert (skeleton.id, skeleton.name) == (0, "Root")


def test_a_skeleton_shows_itself_as_in_the_reference(skeleton):
    assert repr(skeleton) == (
        "Skeleton(_child_groups=<1 child group>, _child_trees=<1 child tree>, _voxel_size=VoxelSize(factor="
        "Vec3Float(11.24,11.24,28.0), unit=<LengthUnit.NANOMETER: 'nanometer'>), dataset_name='d', dataset_id=None, "
        "organization_id=None, description=None)"
    )
    group = skeleton.add_group("my_group")
    assert (
        repr(group)
        == f"Group(_id={group.id}, name='my_group', _child_groups=<No child groups>, _child_trees=<No child trees>)"
    )
    group.add_tree("1")
    group.add_tree("2")
    assert "_child_trees=<2 child trees>" in str(group)


def test_what_is_inside_is_found_by_id(skeleton):
    tree = skeleton.get_tree_by_id(3)
    assert tree.group is skeleton.get_group_by_id(2)
    assert skeleton.get_node_by_id(5).comment == "end"
    assert skeleton.has_tree_id(3)
    assert not skeleton.has_tree_id(4)
    assert (skeleton.get_max_tree_id(), skeleton.get_max_node_id(), skeleton.get_total_node_count()) == (6, 5, 2)
    assert [child.name for child in skeleton.children] == ["a", "u"]
    for ask in (skeleton.get_tree_by_id, skeleton.get_group_by_id, skeleton.get_node_by_id, skeleton.remove_tree_by_id):
        with pytest.raises(ValueError, match="99 was found"):
            ask(99)
    with pytest.raises(KeyError):
        tree.get_node_by_id(99)
    empty = Skeleton((1, 1, 1), "d")
    assert (empty.get_max_tree_id(), empty.get_max_node_id(), empty.get_total_node_count()) == (0, 0, 0)


def test_a_tree_is_removed_from_wherever_it_is(skeleton):
    skeleton.remove_tree_by_id(3)
    assert [tree.name for tree in skeleton.flattened_trees()] == ["u"]


def test_an_added_tree_is_a_copy_with_ids_of_its_own(skeleton):
    tree = skeleton.get_tree_by_id(3)
    added = skeleton.get_group_by_id(1).add_tree(tree)
    assert added.id not in (3, 6)
    assert added.group.name == "a"
    assert not {node.id for node in added} & {node.id for node in tree}
    assert (added.name, added.color, added.metadata) == (tree.name, tree.color, tree.metadata)
    assert added.number_of_edges() == 1
    assert [node.comment for node in added] == [None, "end"]
    next(iter(added)).comment = "mine"
    added.metadata["k"] = 1
    assert [node.comment for node in tree] == [None, "end"]
    assert tree.metadata == {"k": ["x", "y"]}
    assert skeleton.add_tree(tree, color=(0, 1, 0), _enforced_id=77).id == 77


def test_an_added_skeleton_is_a_copy_of_all_its_trees_and_groups(skeleton):
    other = copy.deepcopy(skeleton)
    skeleton.get_group_by_id(2).add_skeleton(other)
    assert [group.name for group in skeleton.flattened_groups()] == ["a", "b", "a", "b"]
    assert skeleton.get_total_node_count() == 4
    ids = [tree.id for tree in skeleton.flattened_trees()]
    assert len(ids) == len(set(ids)) == 4


def test_colors_of_three_numbers_get_alpha_one(skeleton):
    assert skeleton.add_tree("c", color=(1, 0, 0)).color == (1.0, 0.0, 0.0, 1.0)
    assert skeleton.add_tree("c", color=(1, 0, 0, 0.5)).color == (1.0, 0.0, 0.0, 0.5)
    assert skeleton.add_tree("c", color=Vec3Float(0, 1, 0)).color == (0.0, 1.0, 0.0, 1.0)
    assert skeleton.add_tree("c").color is None


def test_skeletons_compare_pickle_and_copy_by_content(skeleton):
    for twin in (copy.deepcopy(skeleton), pickle.loads(pickle.dumps(skeleton))):
        assert twin == skeleton
        assert twin.add_tree("new").id == 7
        assert twin != skeleton
    changes = (
        lambda s: setattr(s, "dataset_name", "x"),
        lambda s: setattr(s, "voxel_size", (1, 1, 1)),
        lambda s: setattr(s, "description", "x"),
        lambda s: s.add_group("g"),
        lambda s: setattr(s.get_group_by_id(2), "name", "x"),
        lambda s: setattr(s.get_node_by_id(4), "position", (9, 9, 9)),
    )
    for change in changes:
        twin = copy.deepcopy(skeleton)
        change(twin)
        assert twin != skeleton
    assert skeleton.get_group_by_id(1) != skeleton


def test_a_copied_tree_belongs_to_the_copied_skeleton(skeleton):
    twin = copy.deepcopy(skeleton)
    tree = twin.get_tree_by_id(3)
    assert tree.group.skeleton is twin
    tree.add_node((0, 0, 0))
    assert skeleton.get_total_node_count() == 2


def test_the_voxel_size_is_in_nanometers_and_remembers_its_unit():
    skeleton = Skeleton(VoxelSize((1, 2, 3), LengthUnit.MICROMETER), "d")
    assert skeleton.voxel_size == (1000, 2000, 3000)
    skeleton.voxel_size = (4, 5, 6)
    assert skeleton.voxel_size_with_unit == VoxelSize((0.004, 0.005, 0.006), LengthUnit.MICROMETER)
    skeleton.voxel_size_with_unit = VoxelSize((7, 7, 7))
    assert skeleton.voxel_size == (7, 7, 7)


@pytest.mark.parametrize(("text", "nanometers"), [("nm", 1), ("µm", 1e3), ("m", 1e9), ("Å", 0.1), ("yottameter", 1e33)])
def test_units_are_known_by_name_and_abbreviation(text, nanometers):
    assert LengthUnit.from_text(text).nanometers == pytest.approx(nanometers)


@pytest.mark.parametrize("text", ["um", "Nanometer", "", "lightyear"])
def test_other_units_are_refused_with_those_that_are_known(text):
    with pytest.raises(ValueError, match="known are"):
        LengthUnit.from_text(text)


def _graph(**attributes) -> nx.Graph:
    graph = nx.Graph(**attributes)
    graph.add_node("p", position=(1, 2, 3), comment="c", radius=3.0)
    graph.add_node("q", position=(4, 5, 6), unknown=7)
    graph.add_edge("p", "q")
    return graph


def test_networkx_graphs_become_trees(skeleton):
    skeleton.add_nx_graphs([_graph(name="named", color=(1, 0, 0)), _graph()])
    skeleton.add_nx_graphs({"g": [_graph()]})
    main, own = (group for group in skeleton.groups if group.name in ("main_group", "g"))
    named, plain = main.trees
    assert (named.name, named.color, plain.name) == ("named", (1, 0, 0, 1), "tree_1")
    assert [(node.position, node.comment, node.radius) for node in named] == [((1, 2, 3), "c", 3), ((4, 5, 6), None, 1)]
    assert [tree.name for tree in own.trees] == ["tree_0"]
    with pytest.raises(SkeletonError, match="has no position"):
        skeleton.add_nx_graphs([nx.path_graph(2)])


def test_a_tree_goes_to_networkx_and_comes_back(skeleton):
    tree = skeleton.get_tree_by_id(3)
    skeleton.add_nx_graphs({"back": [tree.to_networkx()]})
    back = next(next(group for group in skeleton.groups if group.name == "back").trees)
    assert [node.comment for node in back] == [None, "end"]
    assert back.number_of_edges() == 1


def test_tables_hold_all_trees_and_tell_absent_from_zero(skeleton):
    tree = skeleton.get_tree_by_id(3)
    extra = skeleton.get_tree_by_id(6).add_node((7, 8, 9), radius=0, time=0, rotation=(1, 2, 3), is_branchpoint=True)
    nodes = skeleton.nodes_table()
    assert nodes["id"].tolist() == [extra.id, 4, 5]
    assert nodes["tree_id"].tolist() == [6, 3, 3]
    assert nodes["position"].tolist() == [[7, 8, 9], [1, 2, 3], [4, 5, 6]]
    assert nodes["radius"][0] == 0
    assert np.isnan(nodes["radius"][1:]).all()
    assert nodes["time"].tolist() == [0, None, None]
    assert nodes["inVp"].mask.all()
    assert nodes["rotation"][0].tolist() == [1, 2, 3]
    assert skeleton.edges_table()["source"].tolist() == [4]
    assert skeleton.edges_table()["tree_id"].tolist() == [3]
    trees = skeleton.trees_table()
    assert (trees["id"].tolist(), trees["nodes"].tolist(), trees["group_id"].tolist()) == ([6, 3], [1, 2], [0, 2])
    assert trees["path_length"][1] == tree.path_length()
    comments = skeleton.comments_table()
    assert (comments["node_id"].tolist(), comments["content"].tolist()) == ([5], ["end"])
    assert skeleton.branchpoints_table()["time"].tolist() == [None]
    empty = Skeleton((1, 1, 1), "d")
    assert all(len(column) == 0 for column in empty.nodes_table().values())
    assert all(len(column) == 0 for column in (empty.edges_table() | empty.trees_table()).values())


def test_tables_leave_out_removed_rows_and_hold_ids_of_any_size(skeleton):
    tree = skeleton.get_tree_by_id(3)
    tree.remove_node(4)
    assert skeleton.nodes_table()["id"].tolist() == [5]
    assert skeleton.edges_table()["source"].tolist() == []
    wide = tree.add_node((0, 0, 0), _enforced_id=2**70)
    tree.add_edge(wide, 5)
    assert tree.nodes_table()["id"].tolist() == [5, 2**70]
    assert tree.edges_table()["source"].tolist() == [2**70]


def _entry(key: str, **values) -> dict:
    empty = {"string": None, "number": None, "bool": None, "list": [], "extras": {"attributes": [], "elements": []}}
    return {"key": key, **empty, **values}


def test_metadata_of_every_kind_go_through_entries_and_back():
    metadata = {"s": "x", "i": 7, "f": 1.5, "yes": True, "no": False, "list": ["a", "b"], "empty": []}
    assert metadata_from_entries(metadata_to_entries(metadata)) == metadata
    kinds = {
        type(value)
        for value in metadata_from_entries(metadata_to_entries({"n": np.int64(3), "b": np.bool_(1)})).values()
    }
    assert kinds == {int, bool}
    assert metadata_from_entries(metadata_to_entries({"none": None})) == {"none": []}
    with pytest.raises(SkeletonError, match="'bad'"):
        metadata_to_entries({"bad": object()})


def test_entries_that_did_not_change_stay_as_they_were():
    before = [_entry("twice", number=1), _entry("gap", list=[(0, "a"), (5, "b")]), _entry("twice", number=2)]
    metadata = metadata_from_entries(before)
    assert metadata == {"twice": 2, "gap": ["a", "b"]}
    assert metadata_to_entries(metadata, before) == before
    changed = metadata_to_entries(metadata | {"new": "x"}, before)
    assert [entry["key"] for entry in changed] == ["twice", "gap", "new"]
    assert changed[1] == before[1]
    assert metadata_to_entries({"twice": True, "gap": ["a", "b"]}, before)[0]["bool"] is True


def test_facts_that_the_reference_loses_can_be_set(skeleton):
    skeleton.active_node_id = 4
    skeleton.additional_axes = [AdditionalAxis("t", 0, 0, 9)]
    skeleton.get_group_by_id(1).is_expanded = False
    tree = skeleton.get_tree_by_id(3)
    tree.tree_type, tree.edges_are_visible = "AGGLOMERATE", False
    assert copy.deepcopy(skeleton) == skeleton
    assert isinstance(tree, Tree)


def test_a_copied_tree_keeps_the_ids_that_are_free(skeleton):
    tree = skeleton.get_tree_by_id(3)
    other = Skeleton((1, 1, 1), "d")
    kept = other.add_tree(tree)
    assert (kept.id, [node.id for node in kept], kept.number_of_edges()) == (3, [4, 5], 1)
    again = other.add_tree(tree)
    assert (again.id, [node.id for node in again]) == (6, [7, 8])
    assert other.add_tree("new").id == 9
    kept.add_node((0, 0, 0))
    assert tree.number_of_nodes() == 2
    third = Skeleton((1, 1, 1), "d")
    third.add_tree("in the way").add_node((0, 0, 0), _enforced_id=5)
    assert [node.id for node in third.add_tree(tree)] == [6, 7]
    assert [node.id for node in third.add_tree(tree, _enforced_id=40)] == [41, 42]


def _pairs(count):
    """Trees of two nodes each, ids from 1 on."""
    skeleton = Skeleton((1, 1, 1), "d")
    for i in range(count):
        tree = skeleton.add_tree("t", _enforced_id=i + 1)
        for j in (1, 2):
            tree.add_node((i, j, 0), _enforced_id=2 * i + j)
    return skeleton


@pytest.mark.parametrize("backwards", [False, True])
def test_copies_of_many_trees_keep_their_ids_and_look_at_all_others_once(monkeypatch, backwards):
    trees = list(_pairs(200).flattened_trees())
    target, looks = Skeleton((1, 1, 1), "d"), []
    all_trees = Skeleton.flattened_trees
    monkeypatch.setattr(Skeleton, "flattened_trees", lambda self: looks.append(self) or all_trees(self))
    for tree in reversed(trees) if backwards else trees:
        copied = target.add_tree(tree)
        assert (copied.id, [node.id for node in copied]) == (tree.id, [node.id for node in tree])
    assert len(looks) <= 2
    for tree in trees:
        copied = target.add_tree(tree)
        assert copied.id > 400
        assert min(node.id for node in copied) > 400
    assert len(looks) <= 3
    assert len({node.id for tree in all_trees(target) for node in tree}) == 800


def test_ids_that_were_given_up_are_free_for_copies():
    source, target = _pairs(3), _pairs(3)
    tree = source.get_tree_by_id(2)
    assert target.add_tree(tree).id == 7
    target.remove_tree_by_id(2)
    copied = target.add_tree(tree)
    assert (copied.id, [node.id for node in copied]) == (2, [3, 4])
    for id_ in (3, 4):
        copied.remove_node(id_)
    again = target.add_tree(tree)
    assert again.id > 9
    assert [node.id for node in again] == [3, 4]
    copied.add_node((0, 0, 0), _enforced_id=100)
    last = target.add_tree(tree)
    assert not {3, 4, 100} & {node.id for node in last}


@pytest.mark.parametrize("color", [(1, 0), (1, 0, 0, 1, 1), "red", 5])
def test_what_is_no_color_is_refused(skeleton, color):
    with pytest.raises(SkeletonError, match="red, green, blue"):
        skeleton.add_tree("t", color=color)


@pytest.mark.parametrize("value", [{"a": 1}, b"bytes"])
def test_metadata_without_a_form_in_nml_is_refused(value):
    with pytest.raises(SkeletonError, match="'k'"):
        metadata_to_entries({"k": value})
