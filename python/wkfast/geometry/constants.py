"""Names of axes, as scripts import them."""

from typing import Final, Literal, TypeAlias

X_AXIS: Final = "x"
Y_AXIS: Final = "y"
Z_AXIS: Final = "z"
C_AXIS: Final = "c"
T_AXIS: Final = "t"
XY_AXES: Final = (X_AXIS, Y_AXIS)
XYZ_AXES: Final = (*XY_AXES, Z_AXIS)
CXYZ_AXES: Final = (C_AXIS, *XYZ_AXES)
TXYZ_AXES: Final = (T_AXIS, *XYZ_AXES)
TCXYZ_AXES: Final = (T_AXIS, *CXYZ_AXES)
XYZAxis: TypeAlias = Literal["x", "y", "z"]
