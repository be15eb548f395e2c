"""How WEBKNOSSOS shows layers and datasets at first: the ``defaultViewConfiguration`` of both."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Self

from wkfast._short import short
from wkfast.dataset.foreign import is_of_reference
from wkfast.errors import DatasetValueError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wkfast.dataset.layer_properties import Json

KEY = "defaultViewConfiguration"


class _Configuration:
    """Facts that a JSON object holds by the same names in camel case; ``None`` for those that it does not hold."""

    @classmethod
    def from_json(cls, json: Mapping[str, Any]) -> Self:
        """Return what an entry says; what WEBKNOSSOS knows beyond it stays in the entry."""
        return cls(**{name: _plain(json[key]) for name, key in cls._keys().items() if json.get(key) is not None})

    def to_json(self, before: Mapping[str, Any] | None = None) -> Json:
        """Return the entry to write: these facts, and of the entry before what has no name here."""
        names = self._keys()
        kept = {key: value for key, value in (before or {}).items() if key not in names.values()}
        stated = {key: getattr(self, name) for name, key in names.items()}
        return {**kept, **{key: _as_json(value) for key, value in stated.items() if value is not None}}

    def __repr__(self) -> str:
        stated = [(name, getattr(self, name)) for name in self._keys()]
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in stated if value is not None)})"

    @classmethod
    def _keys(cls) -> dict[str, str]:
        names = [field.name for field in fields(cls)]  # type: ignore[arg-type] # the classes below are dataclasses
        return {name: re.sub(r"_(\w)", lambda found: found[1].upper(), name) for name in names}


@dataclass(repr=False)
class LayerViewConfiguration(_Configuration):
    """How a layer is shown at first.

    Attributes
    ----------
    color
        Red, green, blue, each 0 to 255.
    alpha
        Opacity in percent.
    intensity_range
        Values that are shown black and white.
    min, max
        Ends of the histogram's slider.
    is_disabled, is_inverted, is_in_edit_mode
        Whether it is hidden, shown in negative, its histogram open for editing.
    mapping
        Name and type of the mapping of a segmentation.

    Examples
    --------
    >>> LayerViewConfiguration(color=(255, 0, 0), intensity_range=(10, 200)).to_json()
    {'color': [255, 0, 0], 'intensityRange': [10, 200]}
    """

    color: tuple[int, int, int] | None = None
    alpha: float | None = None
    intensity_range: tuple[float, float] | None = None
    min: float | None = None
    max: float | None = None
    is_disabled: bool | None = None
    is_inverted: bool | None = None
    is_in_edit_mode: bool | None = None
    mapping: dict[str, str] | None = None


@dataclass(repr=False)
class DatasetViewConfiguration(_Configuration):
    """How a dataset is shown at first.

    Attributes
    ----------
    four_bit, interpolation, loading_strategy
        How voxels are fetched and drawn.
    render_missing_data_black
        Or the next coarser mag in their place.
    segmentation_pattern_opacity
        Percent.
    zoom, position, rotation
        Where the view begins: position in mag-1 voxels, rotation in degrees.
    layers
        How each layer is shown, by name.
    color_layer_order, blend_mode
        How image layers cover each other.
    natively_rendered_layer_name
        The layer whose coordinates are the dataset's.

    Examples
    --------
    >>> DatasetViewConfiguration.from_json({"position": [1, 2, 3], "fourBit": True})
    DatasetViewConfiguration(four_bit=True, position=(1, 2, 3))
    """

    four_bit: bool | None = None
    interpolation: bool | None = None
    render_missing_data_black: bool | None = None
    loading_strategy: str | None = None
    segmentation_pattern_opacity: int | None = None
    zoom: float | None = None
    position: tuple[int, int, int] | None = None
    rotation: tuple[int, int, int] | None = None
    layers: dict[str, LayerViewConfiguration] | None = None
    color_layer_order: list[str] | None = None
    blend_mode: str | None = None
    natively_rendered_layer_name: str | None = None

    def __post_init__(self) -> None:
        if self.layers is not None:
            self.layers = {
                name: each if isinstance(each, LayerViewConfiguration) else LayerViewConfiguration.from_json(each)
                for name, each in self.layers.items()
            }


def configuration_of(json: Json, kind: type[Any]) -> Any:
    """Return how an entry of ``datasource-properties.json`` says it is shown, ``None`` if it does not.

    Raises
    ------
    DatasetValueError
        What it says is no JSON object.
    """
    stated = json.get(KEY)
    if stated is None:
        return None
    if not isinstance(stated, dict):
        raise DatasetValueError(f"{KEY!r} is {short(stated)}, expected an object")
    return kind.from_json(stated)


def set_configuration(json: Json, configuration: Any, kind: type[Any]) -> None:
    """Write how something is shown into its entry; ``None`` takes it out.

    Raises
    ------
    DatasetValueError
        It is no configuration of that kind. Nothing was changed.
    """
    if configuration is None:
        json.pop(KEY, None)
        return
    if not isinstance(configuration, _Configuration):
        configuration = _of_reference(configuration)
    if not isinstance(configuration, kind):
        raise DatasetValueError(f"{configuration!r} is no {kind.__name__}")
    json[KEY] = configuration.to_json(json.get(KEY))


def _of_reference(configuration: Any) -> Any:
    """Return ours for a configuration of the ``webknossos`` package; what is none comes back as it is."""
    kinds: dict[str, Any] = {kind.__name__: kind for kind in (LayerViewConfiguration, DatasetViewConfiguration)}
    kind = kinds.get(type(configuration).__name__)
    if kind is None or not is_of_reference(configuration):
        return configuration
    stated = {field.name: getattr(configuration, field.name, None) for field in fields(kind)}
    layers = stated.get("layers") or {}
    if layers:
        stated["layers"] = {name: _of_reference(each) for name, each in layers.items()}
    return kind(**stated)


def _plain(value: Any) -> Any:
    """Return numbers of a list as a tuple; lists of names stay lists."""
    if isinstance(value, list) and value and all(isinstance(each, int | float) for each in value):
        return tuple(value)
    return value


def _as_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _as_json(each) for key, each in value.items()}
    if isinstance(value, _Configuration):
        return value.to_json()
    return list(value) if isinstance(value, tuple) else value
