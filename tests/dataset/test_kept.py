"""What properties keep is what their getters say: an entry that changes is never answered by what it said before."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wkfast import Dataset, SegmentationLayer, _core
from wkfast.dataset.kept import kept_by_entry
from wkfast.errors import DatasetError, LayerNotFoundError, MagNotFoundError, ReadOnlyError
from wkfast.geometry import BoundingBox, Mag

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from wkfast.dataset import Layer, MagView


@kept_by_entry("both", one=("a",), both=("a", "b"), nothing=())
class Thing(_core.Keeper):
    """Something whose getters are counted."""

    def __init__(self, entry: dict[str, Any], owner: object = None) -> None:
        self.entry, self.owner, self.looks = entry, owner, 0

    def _kept_by(self) -> tuple[dict[str, Any], object]:
        return self.entry, self.owner

    @property
    def one(self) -> tuple[str, Any]:
        """The first."""
        self.looks += 1
        return "one", self.entry.get("a")

    @property
    def both(self) -> dict[str, Any]:
        """Both of them."""
        self.looks += 1
        return dict(self.entry)

    @property
    def nothing(self) -> list[int]:
        """A list that follows from nothing."""
        return []


changes = st.lists(
    st.one_of(
        st.tuples(st.just("set"), st.sampled_from("abc"), st.one_of(st.none(), st.integers(), st.text())),
        st.tuples(st.just("drop"), st.sampled_from("abc"), st.none()),
        st.tuples(st.just("clear"), st.none(), st.none()),
        st.tuples(st.just("changed"), st.none(), st.none()),
        st.tuples(st.just("owner"), st.none(), st.none()),
        st.tuples(st.just("look"), st.none(), st.none()),
    )
)


@given(changes)
def test_what_is_kept_is_what_the_getter_says_whatever_happens_to_the_entry(steps):
    owner = Thing({})
    thing = Thing({"a": 1}, owner)
    for what, key, value in steps:
        if what == "set":
            thing.entry[key] = value
        elif what == "drop":
            thing.entry.pop(key, None)
        elif what == "clear":
            thing.entry.clear()
        elif what == "changed":
            thing._changed()
        elif what == "owner":
            owner._changed()
        assert thing.one == ("one", thing.entry.get("a"))
        # of `c` it was never said that the value follows from it
        assert {**thing.both, "c": 0} == {**thing.entry, "c": 0}


def test_a_getter_is_called_once_for_each_state():
    owner = Thing({})
    thing = Thing({"a": 1}, owner)
    assert (thing.one, thing.one, thing.looks) == (("one", 1), ("one", 1), 1)
    thing.entry["b"] = 5
    assert (thing.one, thing.looks) == (("one", 1), 1)
    thing.entry["a"] = 2
    assert (thing.one, thing.looks) == (("one", 2), 2)
    owner._changed()
    assert (thing.one, thing.looks) == (("one", 2), 3)
    assert thing.nothing is thing.nothing
    kept = thing.nothing
    owner._changed()
    assert thing.nothing is not kept


def test_dicts_are_handed_out_as_copies():
    thing = Thing({"a": 1})
    thing.both.clear()
    assert thing.both == {"a": 1} == thing.entry


def test_errors_are_not_kept():
    class Failing(Thing):
        @property
        def one(self):
            raise DatasetError("no")

    kept_by_entry(one=("a",))(Failing)
    failing = Failing({"a": 1})
    for _ in range(2):
        with pytest.raises(DatasetError):
            _ = failing.one
    assert Failing.one.__doc__ is None
    assert Thing.one.__doc__ == "The first."
    assert isinstance(Thing.one, property)
    assert Thing.one.fget(Thing({})) == ("one", None)


@pytest.mark.parametrize("entry", [None, [], type("Entry", (dict,), {})(a=1)])
def test_of_what_is_no_plain_dict_nothing_is_kept(entry):
    thing = Thing(entry)
    with pytest.raises(AttributeError) if not isinstance(entry, dict) else pytest.MonkeyPatch.context():
        assert (thing.one, thing.one, thing.looks) == (("one", 1), ("one", 1), 2)


def test_keys_are_checked():
    kept = _core.KeptProperty(lambda _: 1, None, None, "One.")
    for arguments in [(0, ("a", "b", "c", "d", "e"), False), (0, ["a"], False), (0, (1,), False), (0, ())]:
        with pytest.raises(TypeError):
            kept._keep(*arguments)


def test_what_keeps_itself_goes_all_the_same():
    @kept_by_entry(me=())
    class Circle(Thing):
        @property
        def me(self):
            return [self]

    circle = Circle({})
    assert circle.me[0] is circle
    gone = weakref.ref(circle)
    del circle
    gc.collect()
    assert gone() is None


# ------------------------------------------------------------------------------------------------- datasets and layers

PLAIN: dict[str, Callable[[Layer], Any]] = {
    "name": lambda layer: layer._properties.name,
    "category": lambda layer: layer._properties.category,
    "data_format": lambda layer: layer._properties.data_format,
    "num_channels": lambda layer: layer._properties.num_channels,
    "dtype": lambda layer: layer._properties.dtype,
    "bounding_box": lambda layer: layer._properties.full_bounding_box,
    "read_only": lambda layer: layer._place.read_only_reason is not None,
    "mags": lambda layer: {
        mag: layer._view(mag) for mag in sorted(map(layer._properties.mag_of, layer._properties.mags))
    },
}


def agrees(dataset: Dataset) -> None:
    """Everything that is kept is what its slow twin says."""
    assert list(dataset.layers) == [entry.name for entry in dataset._properties.layers]
    assert dataset.name == dataset._properties.name
    assert dataset.voxel_size_with_unit.factor.to_tuple() == dataset._properties.voxel_size
    for name, layer in dataset.layers.items():
        assert dataset.get_layer(name) is layer
        assert {what: getattr(layer, what) for what in PLAIN} == {what: slow(layer) for what, slow in PLAIN.items()}
        for mag, view in layer.mags.items():
            assert layer.get_mag(mag) is layer.get_mag(mag.to_tuple()) is view
            assert view.path.is_dir()
            assert view.name == mag.to_layer_name()
        if layer.mags:
            assert layer.get_finest_mag().mag == min(layer.mags)


CHANGES: list[tuple[str, Callable[[Dataset], Any]]] = [
    ("a mag more", lambda d: d.get_layer("a").add_mag("4-4-1")),
    ("a finer mag", lambda d: d.get_layer("a").add_mag(1)),
    ("a larger box", lambda d: setattr(d.get_layer("a"), "bounding_box", BoundingBox((0, 0, 0), (99, 9, 9)))),
    ("another name", lambda d: setattr(d.get_layer("a"), "name", "renamed")),
    ("another layer of the old name", lambda d: d.add_layer("a", "segmentation", dtype="uint32")),
    ("another category", lambda d: d.get_layer("renamed").as_segmentation_layer()),
    ("a mag less", lambda d: d.get_layer("renamed").delete_mag(1)),
    ("a layer less", lambda d: d.delete_layer("a")),
    ("another name of all", lambda d: setattr(d, "name", "other")),
]


def test_a_layer_says_what_is_written_down_after_every_change(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path / "d", voxel_size=(1, 2, 3))
    dataset.add_layer("a", "color", bounding_box=BoundingBox((0, 0, 0), (8, 8, 8))).add_mag(2)
    held = dataset.get_layer("a")
    for what, change in CHANGES:
        agrees(dataset)
        change(dataset)
        agrees(dataset)
        agrees(Dataset.open(dataset.path))
        assert what
    # whoever held the layer sees what became of it
    assert (held.name, held.category) == ("renamed", "segmentation")
    assert type(dataset.get_layer("renamed")) is SegmentationLayer


def test_what_another_handle_wrote_is_seen_with_the_next_change_as_before(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path / "d", voxel_size=(1, 1, 1))
    layer = dataset.add_layer("a", "color", bounding_box=BoundingBox((0, 0, 0), (8, 8, 8)))
    assert (list(layer.mags), layer.bounding_box.size) == ([], (8, 8, 8))
    other = Dataset.open(dataset.path)
    other.get_layer("a").add_mag(2)
    other.get_layer("a").bounding_box = BoundingBox((0, 0, 0), (16, 16, 16))
    other.add_layer("b", "color")
    dataset.name = "changed"
    assert (list(layer.mags), layer.bounding_box.size) == ([Mag(2)], (16, 16, 16))
    assert list(dataset.layers) == ["a", "b"]
    agrees(dataset)


def test_handles_are_pickled_and_copied_without_what_they_keep(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path / "d", voxel_size=(1, 1, 1))
    layer = dataset.write_layer("a", "color", np.ones((8, 8, 8), "uint8"), downsample=False)
    agrees(dataset)
    for again in (pickle.loads(pickle.dumps(layer)), copy.deepcopy(layer)):
        agrees(again.dataset)
        assert again.get_mag(1).read().all()
        assert again.mags[Mag(1)].read_only is False


def test_what_is_malformed_is_said_each_time_and_only_of_what_is_asked_for(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path / "d", voxel_size=(1, 1, 1))
    layer = dataset.add_layer("a", "color")
    entry = layer._properties.json
    entry["mags"] = [{"mag": "none"}]
    entry["elementClass"] = "text"
    for _ in range(2):
        for asked in (lambda: layer.mags, lambda: layer.get_mag(1), lambda: layer.dtype, layer.get_finest_mag):
            with pytest.raises(DatasetError):
                asked()
        assert layer.name == "a"
    entry["mags"] = []
    entry["elementClass"] = "uint16"
    assert (layer.mags, layer.dtype) == ({}, np.dtype("uint16"))
    with pytest.raises(MagNotFoundError, match="its mags: none"):
        layer.get_mag(1)
    with pytest.raises(LayerNotFoundError, match="its layers: 'a'"):
        dataset.get_layer("b")
    # one that is damaged is in the way of those behind it alone
    dataset._properties.json["dataLayers"] = [entry, {"name": "../out"}, {**entry, "name": "c"}]
    assert dataset.get_layer("a") is layer
    with pytest.raises(DatasetError, match="leads out"):
        dataset.get_layer("c")


def test_a_folder_that_becomes_a_link_is_another_datasets_at_once(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path / "d", voxel_size=(1, 1, 1))
    mag = dataset.write_layer("a", "color", np.ones((8, 8, 8), "uint8"), downsample=False).get_mag(1)

    def again() -> MagView:
        return Dataset.open(dataset.path).get_layer("a").get_mag(1)

    assert (mag.read_only, mag.layer.is_foreign, mag.layer.is_mag_view_foreign(mag)) == (False, False, False)
    for moved in ("a/1", "a"):
        (dataset.path / moved).rename(tmp_path / "elsewhere")
        (dataset.path / moved).symlink_to(tmp_path / "elsewhere")
        assert again().read_only
        assert (mag.layer.is_foreign, mag.layer.is_mag_view_foreign(mag)) == (moved == "a", True)
        # whatever was said of it before, it is not written through
        with pytest.raises(ReadOnlyError):
            mag.write(np.zeros((8, 8, 8), "uint8"), absolute_offset=(0, 0, 0))
        (dataset.path / moved).unlink()
        (tmp_path / "elsewhere").rename(dataset.path / moved)
        assert not again().read_only
        assert mag.read().all()
    # a link to another layer of the dataset is not foreign, and is not written through
    dataset.add_layer("b", "color")
    (dataset.path / "a/1").rename(dataset.path / "b/1")
    (dataset.path / "a/1").symlink_to("../b/1")
    assert (again().read_only, mag.layer.is_mag_view_foreign(mag)) == (True, False)
    with pytest.raises(ReadOnlyError):
        mag.write(np.zeros((8, 8, 8), "uint8"), absolute_offset=(0, 0, 0))
    assert mag.read().all()


@pytest.mark.parametrize("layers", [1000])
def test_looking_up_all_layers_parses_the_list_once(tmp_path: Path, layers: int, monkeypatch: Any) -> None:
    dataset = Dataset(tmp_path / "d", voxel_size=(1, 1, 1))
    dataset.add_layer("a", "color")
    (entry,) = dataset._properties.json["dataLayers"]
    dataset._properties.json["dataLayers"] = [{**entry, "name": f"l{number}"} for number in range(layers)]
    looks = []
    whole = type(dataset._properties).layers
    monkeypatch.setattr(type(dataset._properties), "layers", property(lambda of: looks.append(1) or whole.__get__(of)))
    assert [dataset.get_layer(f"l{number}").name for number in range(layers)] == list(dataset.layers)
    assert len(looks) <= 3
