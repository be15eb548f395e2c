"""What an OME-Zarr group says of the arrays in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wkfast._short import short
from wkfast._warnings import warn
from wkfast.dataset.layer_category import COLOR_CATEGORY, SEGMENTATION_CATEGORY
from wkfast.errors import DatasetError, GeometryError
from wkfast.geometry import LengthUnit, Mag, Vec3Float, VoxelSize

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from wkfast.dataset.array_files import ArrayFiles
    from wkfast.dataset.layer_properties import Json

# Before version 0.3 of OME-Zarr groups did not name their axes: there were these.
_EARLY = "tczyx"
# How deep arrays lie below the group that lists them.
_LEVELS = 2
# Axes are called so beside their letters.
_LETTERS = {"time": "t", "channel": "c"}
# Scales of coarser arrays are rounded by their writers, and by the voxel that is left over at the end.
_TOLERANCE = 0.05


def axes_in_group(array: ArrayFiles) -> str | None:
    """Return the axes of an array, as the group around it names them; ``None`` where there is none.

    Raises
    ------
    DatasetError
        The group names axes by more than a letter, which no layer has.
    """
    for depth, (group, path) in enumerate(array.around()):
        if depth == _LEVELS:
            break
        for image in _multiscales(group):
            if any(isinstance(each, dict) and each.get("path") == path for each in image.get("datasets") or ()):
                return _named(image.get("axes"), group)
    return None


@dataclass(frozen=True)
class Level:
    """One array of an image.

    Attributes
    ----------
    path
        Where it lies in the group.
    scale
        Size of a voxel along x, y, z, in the image's unit; ``None`` where the group does not say.
    """

    path: str
    scale: Vec3Float | None


@dataclass(frozen=True)
class Image:
    """One image of a group, in several resolutions.

    Attributes
    ----------
    axes
        What each axis of its arrays is, a letter each.
    levels
        Its arrays, as listed: the finest is the first.
    unit
        Of the scales; ``None`` where the group names none.
    category
        What it shows, ``None`` where the group does not tell.
    """

    group: ArrayFiles
    axes: str
    levels: tuple[Level, ...]
    unit: LengthUnit | None
    category: str | None

    @property
    def voxel_size(self) -> VoxelSize:
        """Size of a voxel of the finest array; of no unit, in nanometres, and 1 along axes that have none."""
        scale = self.levels[0].scale
        return VoxelSize((1, 1, 1) if scale is None else scale, self.unit or LengthUnit.NANOMETER)

    def mags(self, size: VoxelSize | None = None) -> list[tuple[Mag, ArrayFiles]]:
        """Return the arrays with their mags, finest first. What is no mag is left out with a warning.

        Parameters
        ----------
        size
            Of a mag-1 voxel; default: of the finest array's.

        Raises
        ------
        DatasetError
            No array is left.
        """
        found: dict[Mag, ArrayFiles] = {}
        left = []
        for level, ratio in zip(self.levels, self._ratios(size), strict=True):
            mag = _mag(ratio)
            if mag is None or mag in found:
                left.append(f"array {level.path!r} is left out: {ratio} times as coarse as mag 1 is no mag")
            else:
                found[mag] = self.group.at(level.path)
        if not found:
            size = size or self.voxel_size
            raise DatasetError(
                f"{self.group}: its voxels are of {self.voxel_size}, and no array of it has those of {size}, or of 2, "
                "4, 8 … times their edges"
            )
        for reason in left:
            warn(f"{self.group}: {reason}")
        return sorted(found.items(), key=lambda pair: pair[0])

    def _ratios(self, size: VoxelSize | None) -> list[tuple[float, ...]]:
        """Return how many times as coarse as mag 1 each array is, along x, y, z."""
        if any(level.scale is None for level in self.levels):
            return self._ratios_of_shapes()
        one = self.voxel_size.to_nanometer() if size is None else size.to_nanometer()
        unit = (self.unit or (size.unit if size is not None else LengthUnit.NANOMETER)).nanometers
        return [
            tuple(
                edge * unit / base if axis in self.axes else 1.0
                for axis, edge, base in zip("xyz", level.scale or (), one, strict=True)
            )
            for level in self.levels
        ]

    def _ratios_of_shapes(self) -> list[tuple[float, ...]]:
        """Return the same by the arrays' shapes, for groups of versions that had no scales."""
        extents = [self._extent(level) for level in self.levels]
        return [tuple(whole / max(part, 1) for whole, part in zip(extents[0], each, strict=True)) for each in extents]

    def _extent(self, level: Level) -> tuple[int, ...]:
        files = self.group.at(level.path)
        shape = files.object(".zarray").get("shape") or files.object("zarr.json").get("shape")
        if not isinstance(shape, list) or len(shape) != len(self.axes):
            raise DatasetError(f"{self.group}: {level.path!r} is no array with the axes {self.axes}")
        lengths = dict(zip(self.axes, shape, strict=True))
        return tuple(int(lengths.get(axis, 1)) for axis in "xyz")


def image_of(group: ArrayFiles) -> Image | None:
    """Return the image of a group, the first of several, with a warning; ``None`` where it lists none.

    Raises
    ------
    DatasetError
        What it says is not OME-Zarr.
    """
    images = [image for image in _multiscales(group) if image.get("datasets") != []]
    if not images:
        return None
    if len(images) > 1:
        warn(f"{group} holds {len(images)} images in one group; the first is read")
    stated, axes = images[0], _named(images[0].get("axes"), group)
    datasets = stated.get("datasets")
    if not isinstance(datasets, list):
        raise DatasetError(f"{group}: 'datasets' is {short(datasets)}, expected a list of arrays")
    common = _scale(stated.get("coordinateTransformations"), axes, group) or Vec3Float(1, 1, 1)
    levels = tuple(_level(each, common, axes, group) for each in datasets)
    unit, factors = _unit(stated.get("axes"), group)
    levels = tuple(Level(each.path, None if each.scale is None else each.scale * factors) for each in levels)
    return Image(group, axes, levels, unit, _category(group))


def label_groups(group: ArrayFiles) -> list[ArrayFiles]:
    """Return the groups of the labels that belong to an image."""
    labels = group.at("labels")
    names: list[Any] = next(
        (each["labels"] for each in _attributes(labels) if isinstance(each.get("labels"), list)), []
    )
    return [labels.at(name) for name in names if _is_inside(name)]


def groups_below(group: ArrayFiles) -> list[str]:
    """Return where images and arrays lie below a group in a folder of this machine, for messages."""
    if group.archive is not None or not isinstance(group.path, Path):
        return []
    found = []
    for child in sorted(group.path.iterdir()):
        below = group.at(child.name)
        if child.is_dir() and (below.data_format is not None or below.is_group):
            found.append(child.name)
    return found


def _multiscales(group: ArrayFiles) -> Iterator[Json]:
    """Yield the images of a group: of version 0.5 in Zarr v3, of those before in v2."""
    for stated in _attributes(group):
        images = stated.get("multiscales")
        yield from (image for image in images if isinstance(image, dict)) if isinstance(images, list) else ()


def _attributes(group: ArrayFiles) -> list[Json]:
    third = _object(group.object("zarr.json").get("attributes"))
    return [_object(third.get("ome")), third, group.object(".zattrs")]


def _category(group: ArrayFiles) -> str | None:
    stated = _attributes(group)
    if any("image-label" in each for each in stated):
        return SEGMENTATION_CATEGORY
    return COLOR_CATEGORY if any("omero" in each for each in stated) else None


def _level(stated: Any, common: Vec3Float, axes: str, group: ArrayFiles) -> Level:
    path: Any = _object(stated).get("path")
    if not _is_inside(path):
        raise DatasetError(f"{group}: the path {path!r} of an array leads out of the group, or is none")
    scale = _scale(stated.get("coordinateTransformations"), axes, group)
    return Level(path, None if scale is None else scale * common)


def _is_inside(path: Any) -> bool:
    return isinstance(path, str) and path != "" and ".." not in path.split("/") and not path.startswith("/")


def _scale(transformations: Any, axes: str, group: ArrayFiles) -> Vec3Float | None:
    """Return the scale along x, y, z of a list of transformations, ``None`` where there is none."""
    listed = transformations if isinstance(transformations, list) else []
    scales: list[Any] = [each.get("scale") for each in listed if isinstance(each, dict) and each.get("type") == "scale"]
    if not scales:
        return None
    try:
        sizes = {axis: float(size) for axis, size in zip(axes, scales[0], strict=True)}
        scale = Vec3Float([sizes.get(axis, 1.0) for axis in "xyz"])
    except (TypeError, ValueError, OverflowError) as error:
        raise DatasetError(f"{group}: the scale {scales[0]!r} is no number for each of the axes {axes}") from error
    if not all(0 < size < float("inf") for size in scale):
        raise DatasetError(f"{group}: the scale {scales[0]!r} is not positive")
    return scale


def _unit(axes: Any, group: ArrayFiles) -> tuple[LengthUnit | None, Vec3Float]:
    """Return the unit of x, and what sizes along x, y, z are multiplied by to be in it."""
    stated = {axis["name"]: axis.get("unit") for axis in axes or () if isinstance(axis, dict)}
    units: list[LengthUnit | None] = []
    for axis in "xyz":
        try:
            units.append(None if stated.get(axis) is None else LengthUnit.from_text(str(stated[axis])))
        except GeometryError:
            warn(f"{group}: {stated[axis]!r} is no unit of length; sizes along {axis} are taken for nanometres")
            units.append(LengthUnit.NANOMETER)
    first = next((unit for unit in units if unit is not None), None)
    if first is None:
        return None, Vec3Float(1, 1, 1)
    return first, Vec3Float([(unit or first).nanometers / first.nanometers for unit in units])


def _mag(ratio: Sequence[float]) -> Mag | None:
    """Return the mag that comes close to three numbers, ``None`` where they are not close to powers of two."""
    edges = [round(number) for number in ratio]
    for edge, number in zip(edges, ratio, strict=True):
        if edge < 1 or edge & (edge - 1) or abs(number / edge - 1) > _TOLERANCE:
            return None
    return Mag(edges)


def _object(json: Any) -> Json:
    return json if isinstance(json, dict) else {}


def _named(axes: Any, group: ArrayFiles) -> str:
    if axes is None:
        return _EARLY
    names: list[Any] = [axis.get("name") if isinstance(axis, dict) else axis for axis in axes if isinstance(axes, list)]
    if not all(isinstance(name, str) for name in names):
        raise DatasetError(f"{group} names the axes {axes}; expected a name each")
    letters = [_LETTERS.get(name.lower(), name) for name in names]
    if not all(len(letter) == 1 for letter in letters) or len(set(letters)) < len(letters):
        raise DatasetError(f"{group} names the axes {axes}; wkfast takes single letters: pass axes=, such as 'zyx'")
    return "".join(letters)
