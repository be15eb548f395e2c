"""Integer vectors with named axes, mags and bounding boxes: immutable values, validated once."""

from wkfast.geometry.bounding_box import BoundingBox, NDBoundingBox, NormalizedBoundingBox
from wkfast.geometry.mag import Mag, MagLike
from wkfast.geometry.vec3_float import Vec3Float, Vec3FloatLike
from wkfast.geometry.vec_int import Vec3Int, Vec3IntLike, VecInt, VecIntLike
from wkfast.geometry.voxel_size import LengthUnit, VoxelSize

__all__ = [
    "BoundingBox",
    "LengthUnit",
    "Mag",
    "MagLike",
    "NDBoundingBox",
    "NormalizedBoundingBox",
    "Vec3Float",
    "Vec3FloatLike",
    "Vec3Int",
    "Vec3IntLike",
    "VecInt",
    "VecIntLike",
    "VoxelSize",
]
