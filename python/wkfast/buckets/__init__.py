"""Files in buckets and on servers of files: addresses, the options that reach them, and what is read there."""

from wkfast.buckets.object_path import ObjectPath, any_path, object_path
from wkfast.buckets.stated import stated_address, stated_path

__all__ = ["ObjectPath", "any_path", "object_path", "stated_address", "stated_path"]
