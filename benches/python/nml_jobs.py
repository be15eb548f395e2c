"""Loading and saving skeletons, by wkfast, by the reference, and by those who only tokenise. Each returns its work."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.parsers import expat

if TYPE_CHECKING:
    from collections.abc import Callable


def wkfast_load(path: str) -> Callable[[], Any]:
    """``wkfast.Annotation.load``."""
    import wkfast

    wkfast.Annotation.load  # noqa: B018 - loads what is loaded on first use
    return lambda: wkfast.Annotation.load(path)


def reference_load(path: str) -> Callable[[], Any]:
    """``webknossos.Annotation.load``."""
    import webknossos

    return lambda: webknossos.Annotation.load(path)


def wkfast_save(path: str, target: str) -> Callable[[], Any]:
    """``wkfast`` saves what it has loaded."""
    annotation = wkfast_load(path)()
    return lambda: annotation.save(target)


def reference_save(path: str, target: str) -> Callable[[], Any]:
    """``webknossos`` saves what it has loaded."""
    annotation = reference_load(path)()
    return lambda: annotation.save(target)


def wkfast_edit(path: str, target: str) -> Callable[[], Any]:
    """``wkfast`` loads, moves one node and saves."""
    import wkfast

    def work() -> None:
        annotation = wkfast.Annotation.load(path)
        tree = next(iter(annotation.skeleton.flattened_trees()))
        next(iter(tree.nodes)).position = (1, 2, 3)
        annotation.save(target)

    return work


def _iterate(annotation: Any) -> Callable[[], Any]:
    def work() -> None:
        for tree in annotation.skeleton.flattened_trees():
            for _node in tree.nodes:
                pass

    return work


def _use(annotation: Any) -> Callable[[], Any]:
    def work() -> int:
        total = 0
        for tree in annotation.skeleton.flattened_trees():
            for node in tree.nodes:
                total += node.id + node.position.x
        return total

    return work


def wkfast_iterate(path: str) -> Callable[[], Any]:
    """A plain loop over all nodes of what ``wkfast`` has loaded."""
    return _iterate(wkfast_load(path)())


def reference_iterate(path: str) -> Callable[[], Any]:
    """The same over the objects that ``webknossos`` made while loading."""
    return _iterate(reference_load(path)())


def wkfast_use(path: str) -> Callable[[], Any]:
    """As a script does: a loop over all nodes that reads id and position."""
    return _use(wkfast_load(path)())


def reference_use(path: str) -> Callable[[], Any]:
    """The same with ``webknossos``."""
    return _use(reference_load(path)())


def expat_tokenise(path: str) -> Callable[[], Any]:
    """The C parser under the reference, with empty handlers: the floor of any parser that builds on it."""

    def work() -> None:
        parser = expat.ParserCreate()
        parser.StartElementHandler = lambda _name, _attributes: None
        parser.EndElementHandler = lambda _name: None
        with Path(path).open("rb") as file:
            parser.ParseFile(file)

    return work


def read_bytes(path: str) -> Callable[[], Any]:
    """Read the file and do nothing with it: the physical limit."""

    def work() -> None:
        with Path(path).open("rb", buffering=0) as file:
            buffer = bytearray(1 << 20)
            while file.readinto(buffer):
                pass

    return work


def _content(annotation: Any) -> str:
    trees = list(annotation.skeleton.flattened_trees())
    nodes = sum(tree.number_of_nodes() for tree in trees)
    edges = sum(tree.number_of_edges() for tree in trees)
    return f"{len(trees)} trees, {nodes} nodes, {edges} edges"


check_wkfast_load = check_reference_load = _content
