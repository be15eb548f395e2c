"""Nodes and trees are found by their ids as a walk over all trees finds them, whatever was changed before."""

import copy
import gc
import pickle
import sys

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from wkfast import _core
from wkfast.errors import SkeletonError
from wkfast.skeleton import Skeleton

THING = '<thing id="{0}" name="t{0}" groupId="{1}"><nodes><node id="{2}" x="1" y="2" z="3"/></nodes></thing>'


def _slow_node(skeleton, node_id):
    for tree in skeleton.flattened_trees():
        for node in tree.nodes:
            if node.id == node_id:
                return tree, node
    return None


def _slow_tree(skeleton, tree_id):
    return next((tree for tree in skeleton.flattened_trees() if tree.id == tree_id), None)


def _load(path, things, groups="<group id='1' name='g'><group id='2' name='h'/></group>"):
    head = "<parameters><experiment name='d'/><scale x='1' y='1' z='1'/></parameters>"
    path.write_text(f"<things>{head}{things}<groups>{groups}</groups></things>")
    return Skeleton.load(path)


class Finding(RuleBasedStateMachine):
    """Edits of all kinds; after each, everything is searched for."""

    def __init__(self):
        super().__init__()
        self.skeleton = Skeleton(voxel_size=(1, 1, 1), dataset_name="finding")
        self.groups = [self.skeleton, self.skeleton.add_group("g")]

    def _trees(self):
        return list(self.skeleton.flattened_trees())

    @rule(group=st.integers(0, 1), tree_id=st.none() | st.integers(1, 12))
    def add_tree(self, group, tree_id):
        self.groups[group].add_tree("t", _enforced_id=tree_id)
        self._check()

    @rule(index=st.integers(0, 9), node_id=st.none() | st.integers(1, 12))
    def add_node(self, index, node_id):
        trees = self._trees()
        if trees:
            tree = trees[index % len(trees)]
            if node_id is None or node_id not in tree:
                tree.add_node((1, 2, 3), _enforced_id=node_id)
        self._check()

    @rule(index=st.integers(0, 9))
    def remove_node(self, index):
        nodes = [(tree, node) for tree in self._trees() for node in tree.nodes]
        if nodes:
            tree, node = nodes[index % len(nodes)]
            tree.remove_node(node)
        self._check()

    @rule(index=st.integers(0, 9))
    def remove_tree(self, index):
        trees = self._trees()
        if trees:
            tree = trees[index % len(trees)]
            tree.group.remove_tree_by_id(tree.id)
        self._check()

    @rule(index=st.integers(0, 9))
    def copy_tree(self, index):
        trees = self._trees()
        if trees:
            self.skeleton.add_tree(trees[index % len(trees)])
        self._check()

    @rule(ids=st.lists(st.integers(1, 14), unique=True, max_size=4))
    def add_arrays(self, ids):
        self.skeleton.add_tree_from_arrays("a", [[0, 0, i] for i in ids], node_ids=ids)
        self._check()

    def _check(self):
        for wanted in range(16):
            expected = _slow_node(self.skeleton, wanted)
            if expected is None:
                with pytest.raises(SkeletonError):
                    self.skeleton.get_node_by_id(wanted)
            else:
                node = self.skeleton.get_node_by_id(wanted)
                assert node.columns is expected[0]._columns
                assert node.row == expected[1].row
            assert self.skeleton._find_tree(wanted) is _slow_tree(self.skeleton, wanted)
            assert self.skeleton.has_tree_id(wanted) == (_slow_tree(self.skeleton, wanted) is not None)


TestFinding = Finding.TestCase
TestFinding.settings = settings(max_examples=25, stateful_step_count=15)


def test_trees_of_a_file_are_made_when_they_are_asked_for(tmp_path):
    things = "".join(THING.format(i, "" if i % 3 else 1, 100 + i) for i in range(1, 60))
    skeleton = _load(tmp_path / "a.nml", things)
    assert not skeleton._made
    tree = skeleton.get_tree_by_id(7)
    assert (tree.name, tree.group, len(skeleton._made)) == ("t7", skeleton, 1)
    assert skeleton.get_tree_by_id(9).group.name == "g"
    assert skeleton.get_tree_by_id(7) is tree is next(t for t in skeleton.trees if t.id == 7)
    assert len(skeleton._made) == 6
    assert sorted(t.id for t in skeleton.flattened_trees()) == list(range(1, 60))


def test_trees_that_nobody_asked_for_are_saved_beside_those_that_were_changed(tmp_path):
    things = "".join(THING.format(i, 1 + i % 2, 100 + i) for i in range(1, 30))
    skeleton, twin = _load(tmp_path / "a.nml", things), _load(tmp_path / "a.nml", things)
    for loaded in (skeleton, twin):
        loaded.get_tree_by_id(11).name = "renamed"
        loaded.get_tree_by_id(12).add_node((9, 9, 9))
        loaded.remove_tree_by_id(13)
    assert sum(1 for _ in twin.flattened_trees()) == 28  # makes all
    skeleton.save(tmp_path / "few.nml")
    twin.save(tmp_path / "all.nml")
    assert (tmp_path / "few.nml").read_bytes() == (tmp_path / "all.nml").read_bytes()
    assert Skeleton.load(tmp_path / "few.nml") == twin


def test_copies_of_a_skeleton_hold_trees_that_nobody_asked_for(tmp_path):
    things = "".join(THING.format(i, 2, 100 + i) for i in range(1, 30))
    skeleton = _load(tmp_path / "a.nml", things)
    for twin in (copy.deepcopy(skeleton), pickle.loads(pickle.dumps(skeleton))):
        assert twin == skeleton
        assert twin.get_node_by_id(105).id == 105
        assert twin.get_tree_by_id(5).group.name == "h"
        assert twin.get_tree_by_id(5).group.skeleton is twin


def test_copies_and_pickles_make_no_objects_of_trees_that_nobody_asked_for(tmp_path):
    large = "<thing id='99' groupId=''><nodes>{}</nodes><edges/></thing>".format(
        "".join(f"<node id='{i}' x='{i}' y='2' z='3' radius='1'/>" for i in range(1000, 1200))
    )
    things = "".join(THING.format(i, 2, 100 + i) for i in range(1, 30)) + large
    skeleton = _load(tmp_path / "a.nml", things)
    wanted = {tree.id: len(tree) for tree in _load(tmp_path / "a.nml", things).flattened_trees()}
    for asked in (set(), {3}, {3, 99}):
        for tree_id in asked:
            skeleton.get_tree_by_id(tree_id).name = f"asked for {tree_id}"
        for twin in (copy.deepcopy(skeleton), pickle.loads(pickle.dumps(skeleton))):
            again = pickle.loads(pickle.dumps(twin))
            assert {tree.id for tree in again._made.values()} == {tree.id for tree in twin._made.values()} == asked
            for tree_id in asked:
                assert again.get_tree_by_id(tree_id).name == f"asked for {tree_id}"
            assert {tree.id: len(tree) for tree in again.flattened_trees()} == wanted
            assert again == skeleton == twin
            assert twin.get_tree_by_id(5) is not skeleton.get_tree_by_id(5)
        skeleton = pickle.loads(pickle.dumps(_load(tmp_path / "a.nml", things)))


def test_what_is_pickled_beside_a_skeleton_is_still_its_own(tmp_path):
    skeleton = _load(tmp_path / "a.nml", "".join(THING.format(i, 2, 100 + i) for i in range(1, 30)))
    tree, node, group = skeleton.get_tree_by_id(5), skeleton.get_node_by_id(105), skeleton.get_group_by_id(2)
    for order in ((0, 1, 2, 3), (3, 2, 1, 0)):
        things = [(skeleton, tree, node, group)[i] for i in order]
        back = dict(zip(order, pickle.loads(pickle.dumps(things)), strict=True))
        assert back[0].get_tree_by_id(5) is back[1]
        assert back[0].get_node_by_id(105) is back[2]
        assert back[0].get_group_by_id(2) is back[3]


def test_a_tree_that_is_asked_for_while_the_skeleton_is_pickled_is_not_lost(tmp_path):
    skeleton = _load(tmp_path / "a.nml", "".join(THING.format(i, 2, 100 + i) for i in range(1, 30)))

    class Asks:
        def __reduce__(self):
            skeleton.get_tree_by_id(7)
            return str, ()

    # Visited before and behind the trees of the file.
    skeleton.__dict__ = {"_first": Asks(), **skeleton.__dict__, "_last": Asks()}
    back = pickle.loads(pickle.dumps(skeleton))
    assert sorted(tree.id for tree in back.flattened_trees()) == list(range(1, 30))
    assert len(back.get_tree_by_id(7)) == 1


class Fails:
    def __reduce__(self):
        raise RuntimeError("no pickle of it")


class FailsToReturn:
    def __reduce__(self):
        return _fail, ()


def _fail():
    raise RuntimeError("no way back")


@pytest.mark.parametrize("collects", [True, False])
def test_garbage_is_collected_again_after_a_pickle_whatever_came_of_it(collects):
    skeleton = Skeleton(voxel_size=(1, 1, 1), dataset_name="d")
    skeleton.add_tree("t").add_node((1, 2, 3))
    (gc.enable if collects else gc.disable)()
    try:
        pickle.loads(pickle.dumps([skeleton, copy.deepcopy(skeleton)]))
        assert gc.isenabled() is collects
        skeleton.odd = Fails()
        with pytest.raises(RuntimeError, match="no pickle"):
            pickle.dumps(skeleton)
        assert gc.isenabled() is collects
        skeleton.odd = FailsToReturn()
        whole = pickle.dumps(skeleton)
        for bad in (whole, whole[: len(whole) // 2]):
            with pytest.raises((RuntimeError, EOFError, pickle.UnpicklingError)):
                pickle.loads(bad)
            assert gc.isenabled() is collects
    finally:
        gc.enable()


def test_a_tree_that_names_no_group_of_the_file_is_outside_of_one_that_comes_later(tmp_path):
    with pytest.warns(UserWarning, match="no such group"):
        skeleton = _load(tmp_path / "a.nml", THING.format(1, 77, 5))
    skeleton.save(tmp_path / "kept.nml")
    assert 'groupId="77"' in (tmp_path / "kept.nml").read_text()
    skeleton.add_group("new", _enforced_id=77)
    skeleton.save(tmp_path / "b.nml")
    assert [tree.id for tree in Skeleton.load(tmp_path / "b.nml").trees] == [1]


def test_groups_nest_as_deep_as_a_file_may_have_them_and_no_deeper(tmp_path):
    skeleton = group = Skeleton(voxel_size=(1, 1, 1), dataset_name="deep")
    for i in range(_core.GROUP_DEPTH):
        group = group.add_group(f"g{i}")
    group.add_tree("leaf").add_node((1, 2, 3))
    with pytest.raises(SkeletonError, match="510"):
        group.add_group("too deep")
    skeleton.save(tmp_path / "deep.nml")
    back = Skeleton.load(tmp_path / "deep.nml", strict=True)
    other = Skeleton(voxel_size=(1, 1, 1), dataset_name="deep")
    other.add_skeleton(back)
    for twin in (back, copy.deepcopy(back), pickle.loads(pickle.dumps(back)), other):
        assert sum(1 for _ in twin.flattened_groups()) == _core.GROUP_DEPTH
        assert [tree.name for tree in twin.flattened_trees()] == ["leaf"]
        assert twin.get_total_node_count() == 1
    assert back == copy.deepcopy(back) == pickle.loads(pickle.dumps(back)) == skeleton
    assert pickle.loads(pickle.dumps(group)).skeleton == skeleton
    shallow = copy.copy(skeleton)
    assert (
        sum(1 for _ in shallow.flattened_groups()) == sum(1 for _ in skeleton.flattened_groups()) == _core.GROUP_DEPTH
    )


def _calls_to_remove_all(path, trees):
    """How many functions are called, which a busy machine does not change."""
    skeleton = _load(path, "".join(f'<thing id="{number}"/>' for number in range(1, trees + 1)))
    found, calls = list(skeleton.flattened_trees()), 0

    def count(*_):
        nonlocal calls
        calls += 1

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        for tree in found:
            skeleton.remove_tree_by_id(tree.id)
    finally:
        sys.setprofile(before)
    assert not list(skeleton.flattened_trees())
    return calls


def test_what_is_done_to_remove_trees_grows_as_their_number(tmp_path):
    few, many = (_calls_to_remove_all(tmp_path / "many.nml", trees) for trees in (100, 1_600))
    assert many < 20 * few
