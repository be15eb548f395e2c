"""Skeletons: trees of nodes in groups, views over columns that the core reads and writes."""

from wkfast._core import Node
from wkfast.records import metadata_from_entries, metadata_to_entries
from wkfast.skeleton.group import Group
from wkfast.skeleton.reading import LoadProblem
from wkfast.skeleton.skeleton import (
    AdditionalAxis,
    Document,
    Skeleton,
    document_of,
    empty_header,
    iterate_trees,
    load_document,
    save_document,
)
from wkfast.skeleton.tree import Tree

__all__ = [
    "AdditionalAxis",
    "Document",
    "Group",
    "LoadProblem",
    "Node",
    "Skeleton",
    "Tree",
    "document_of",
    "empty_header",
    "iterate_trees",
    "load_document",
    "metadata_from_entries",
    "metadata_to_entries",
    "save_document",
]
