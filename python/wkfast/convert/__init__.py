"""NML to other formats of skeletons and back, one file or many."""

from wkfast.convert.bulk import Converted, convert
from wkfast.convert.knossos import read_knossos, write_knossos
from wkfast.convert.swc import read_swc, write_swc

__all__ = ["Converted", "convert", "read_knossos", "read_swc", "write_knossos", "write_swc"]
