"""Files in buckets and on servers of files: addresses, the options that reach them, what is read and written there."""

from wkfast.buckets.copying import copy_files
from wkfast.buckets.object_path import ObjectPath, any_path, core_file, object_path
from wkfast.buckets.stated import stated_address, stated_path, written_address

__all__ = [
    "ObjectPath",
    "any_path",
    "copy_files",
    "core_file",
    "object_path",
    "stated_address",
    "stated_path",
    "written_address",
]
