"""Files in buckets and on servers of files: addresses, the options that reach them, what is read and written there."""

from wkfast.buckets.copying import copy_files
from wkfast.buckets.object_path import ObjectPath, any_path, core_file, core_folder, object_path
from wkfast.buckets.stated import stated_address, stated_path, written_address
from wkfast.buckets.whole_files import local_copy, local_folder, read_whole, remove_file, replace_whole, size_of

__all__ = [
    "ObjectPath",
    "any_path",
    "copy_files",
    "core_file",
    "core_folder",
    "local_copy",
    "local_folder",
    "object_path",
    "read_whole",
    "remove_file",
    "replace_whole",
    "size_of",
    "stated_address",
    "stated_path",
    "written_address",
]
