"""How a layer's voxels are stored."""

from enum import Enum

from wkfast.errors import DatasetError


class DataFormat(Enum):
    """Name of a format, as ``datasource-properties.json`` spells it."""

    WKW = "wkw"
    Zarr = "zarr"
    Zarr3 = "zarr3"

    @classmethod
    def parse(cls, text: str, *, layer: str) -> "DataFormat":
        """Return the format named `text`; others that WEBKNOSSOS knows are refused by name.

        Raises
        ------
        DatasetError
            For ``n5``, ``neuroglancerPrecomputed`` and unknown names.

        Examples
        --------
        >>> DataFormat.parse("zarr3", layer="segmentation")
        <DataFormat.Zarr3: 'zarr3'>
        """
        try:
            return cls(text)
        except ValueError:
            known = ", ".join(member.value for member in cls)
            raise DatasetError(
                f"layer {layer!r} has the data format {text!r}, which wkfast does not read; it reads {known}"
            ) from None
