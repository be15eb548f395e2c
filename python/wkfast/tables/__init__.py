"""Many annotation files as one set of columnar tables: numpy, pyarrow, pandas, polars, Parquet."""

from wkfast.tables.frames import to_arrow, to_pandas, to_polars
from wkfast.tables.parquet import skeletons_to_parquet
from wkfast.tables.reading import FileError, SkeletonTables, iterate_skeletons, read_skeletons
from wkfast.tables.table import Labels, Table

__all__ = [
    "FileError",
    "Labels",
    "SkeletonTables",
    "Table",
    "iterate_skeletons",
    "read_skeletons",
    "skeletons_to_parquet",
    "to_arrow",
    "to_pandas",
    "to_polars",
]
