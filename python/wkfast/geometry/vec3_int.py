"""Where scripts look for vectors of three integers."""

from wkfast.geometry.vec_int import Vec3Int, Vec3IntLike

__all__ = ["Vec3Int", "Vec3IntLike"]
