"""How a layer is placed in its dataset's space: the ``coordinateTransformations`` of ``datasource-properties.json``.

They tell WEBKNOSSOS how to draw a layer. Voxels are read and written where they are.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Self

from wkfast._lazy import lazy_import
from wkfast._short import short
from wkfast.dataset.foreign import is_of_reference
from wkfast.errors import DatasetValueError
from wkfast.geometry import Vec3Float

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from wkfast.dataset.layer_properties import Json
    from wkfast.geometry import Vec3FloatLike
else:
    np = lazy_import("numpy")

KEY = "coordinateTransformations"
_AXES = "xyz"


class CoordinateTransformation(ABC):
    """One step of placing a layer. Its arrays are read-only: to change a step, make another."""

    __slots__: tuple[str, ...] = ()
    __hash__ = None  # type: ignore[assignment] # compared by numbers

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and all(
            np.array_equal(getattr(self, name), getattr(other, name)) for name in self.__slots__
        )

    def __repr__(self) -> str:
        stated = ", ".join(f"{name[1:]}={getattr(self, name).tolist()}" for name in self.__slots__)
        return f"{type(self).__name__}({stated})"

    @abstractmethod
    def to_json(self) -> Json:
        """Return the entry to write."""


class AffineCoordinateTransformation(CoordinateTransformation):
    """An affine map of x, y, z in mag-1 voxels.

    Parameters
    ----------
    matrix
        Of shape (4, 4), in homogeneous coordinates, the translation in the last column; float64.

    Raises
    ------
    DatasetValueError
        It has another shape.

    Examples
    --------
    >>> moved = AffineCoordinateTransformation.identity().scale((2, 2, 1)).translate((10, 0, 0))
    >>> (moved.matrix @ [1, 1, 1, 1]).tolist()
    [12.0, 2.0, 1.0, 1.0]
    """

    __slots__ = ("_matrix",)

    def __init__(self, matrix: ArrayLike) -> None:
        self._matrix = _frozen(matrix)
        if self._matrix.shape != (4, 4):
            raise DatasetValueError(f"an affine matrix has the shape (4, 4), not {self._matrix.shape}")

    @property
    def matrix(self) -> NDArray[np.float64]:
        """The matrix, read-only, of shape (4, 4)."""
        return self._matrix

    @classmethod
    def identity(cls) -> Self:
        """Return the map that leaves everything where it is."""
        return cls(np.eye(4))

    @classmethod
    def from_translation(cls, translation: Vec3FloatLike) -> Self:
        """Return a shift by three numbers."""
        matrix = np.eye(4)
        matrix[:3, 3] = Vec3Float(translation).to_tuple()
        return cls(matrix)

    @classmethod
    def from_scale(cls, scale: Vec3FloatLike) -> Self:
        """Return a stretch along x, y, z around the origin."""
        return cls(np.diag([*Vec3Float(scale).to_tuple(), 1.0]))

    @classmethod
    def from_rotation(cls, axis: str, angle: float) -> Self:
        """Return a turn around the origin.

        Parameters
        ----------
        axis
            ``x``, ``y`` or ``z``: what it turns around.
        angle
            In degrees; seen from the axis's far end, against the clock.
        """
        first, second = ((_axis(axis) + step) % 3 for step in (1, 2))
        cosine, sine = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
        matrix = np.eye(4)
        matrix[[first, second], [first, second]] = cosine
        matrix[first, second], matrix[second, first] = -sine, sine
        return cls(matrix)

    def chain(self, other: AffineCoordinateTransformation) -> Self:
        """Return this map followed by another."""
        return type(self)(other.matrix @ self.matrix)

    def translate(self, translation: Vec3FloatLike) -> Self:
        """Return this map followed by a shift."""
        return self.chain(self.from_translation(translation))

    def scale(self, scale: Vec3FloatLike) -> Self:
        """Return this map followed by a stretch."""
        return self.chain(self.from_scale(scale))

    def rotate(self, axis: str, angle: float) -> Self:
        """Return this map followed by a turn.

        Parameters
        ----------
        axis, angle
            As of :meth:`from_rotation`.
        """
        return self.chain(self.from_rotation(axis, angle))

    def flip(self, axis: str) -> Self:
        """Return this map followed by a change of the sign along an axis."""
        place = _axis(axis)
        return self.chain(self.from_scale([-1.0 if each == place else 1.0 for each in range(3)]))

    def to_json(self) -> Json:
        """Return the entry to write."""
        return {"type": "affine", "matrix": self.matrix.tolist()}


class ThinPlateSplineCoordinateTransformation(CoordinateTransformation):
    """A map that takes points to points, and bends as little as it can between them.

    Parameters
    ----------
    source, target
        Points before and after, of shape (n, 3): x, y, z in mag-1 voxels; float64.

    Raises
    ------
    DatasetValueError
        There are none, or not as many on both sides.
    """

    __slots__ = ("_source", "_target")

    def __init__(self, source: ArrayLike, target: ArrayLike) -> None:
        self._source, self._target = _frozen(source), _frozen(target)
        shape = self.source.shape
        if shape != self.target.shape or len(shape) != 2 or shape[1] != len(_AXES) or shape[0] == 0:  # noqa: PLR2004 - points in rows
            raise DatasetValueError(f"points have the shape (n, 3) on both sides, not {shape} and {self.target.shape}")

    @property
    def source(self) -> NDArray[np.float64]:
        """Points before, read-only, of shape (n, 3)."""
        return self._source

    @property
    def target(self) -> NDArray[np.float64]:
        """Points after, read-only, of shape (n, 3)."""
        return self._target

    @classmethod
    def from_pairs(cls, pairs: Iterable[Sequence[Vec3FloatLike]]) -> Self:
        """Return the map of pairs of points, before and after."""
        both = [[Vec3Float(point).to_tuple() for point in pair] for pair in pairs]
        if any(len(pair) != 2 for pair in both):  # noqa: PLR2004 - a pair
            raise DatasetValueError("each pair is a point before and one after")
        return cls([before for before, _ in both], [after for _, after in both])

    @property
    def pairs(self) -> tuple[tuple[Vec3Float, Vec3Float], ...]:
        """Points before and after."""
        return tuple((Vec3Float(a), Vec3Float(b)) for a, b in zip(self.source, self.target, strict=True))

    def to_json(self) -> Json:
        """Return the entry to write."""
        points = {"source": self.source.tolist(), "target": self.target.tolist()}
        return {"type": "thin_plate_spline", "correspondences": points}


def transformations_of(json: Json) -> tuple[CoordinateTransformation, ...]:
    """Return the steps that an entry of a layer states, none where it states none.

    Raises
    ------
    DatasetValueError
        One is of a kind that is not known, or malformed.
    """
    stated = json.get(KEY) or []
    try:
        return tuple(_of_json(each) for each in stated)
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetValueError(f"layer {json.get('name')!r}: {KEY!r} is malformed: {error}") from None


def set_transformations(json: Json, steps: Iterable[Any] | None) -> None:
    """Write steps into the entry of a layer; none takes the key out.

    Raises
    ------
    DatasetValueError
        One is no transformation. Nothing was changed.
    """
    written = [_own(step).to_json() for step in steps or ()]
    if written:
        json[KEY] = written
    else:
        json.pop(KEY, None)


def _of_json(stated: Json) -> CoordinateTransformation:
    if stated["type"] == "affine":
        return AffineCoordinateTransformation(stated["matrix"])
    if stated["type"] == "thin_plate_spline":
        points = stated["correspondences"]
        return ThinPlateSplineCoordinateTransformation(points["source"], points["target"])
    raise ValueError(f"the type is {short(stated['type'])}, not 'affine' or 'thin_plate_spline'")


def _own(step: Any) -> CoordinateTransformation:
    if isinstance(step, CoordinateTransformation):
        return step
    if is_of_reference(step) and hasattr(step, "matrix"):
        return AffineCoordinateTransformation(step.matrix)
    if is_of_reference(step) and hasattr(step, "target"):
        return ThinPlateSplineCoordinateTransformation(step.source, step.target)
    raise DatasetValueError(f"{step!r} is no transformation of coordinates")


def _frozen(values: ArrayLike) -> NDArray[np.float64]:
    try:
        array = np.array(values, np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise DatasetValueError(f"a transformation is made of numbers: {error}") from None
    array.setflags(write=False)
    return array


def _axis(axis: str) -> int:
    if axis not in tuple(_AXES):
        raise DatasetValueError(f"the axis is x, y or z, not {axis!r}")
    return _AXES.index(axis)
