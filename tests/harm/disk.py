"""A model of what a process did to a folder: its names and its bytes, step by step."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.harm.recording import Call, name_of, text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

# What lies below a folder, by path: bytes of a file, the target of a link, nothing for a folder.
Tree = dict[str, "bytes | str | None"]
_AT_CWD = "AT_FDCWD"
_BY_NUMBER = "/proc/self/fd/"


@dataclass(eq=False)
class Node:
    """A file, a folder or a link, as it is for the process."""

    target: str | None = None
    content: bytearray = field(default_factory=bytearray)
    entries: dict[str, Node] | None = None


@dataclass(frozen=True)
class Names:
    """A step that changes names: of each folder and name, what it stood for and stands for now."""

    changes: tuple[tuple[Node, str, Node | None, Node | None], ...]

    def concerns(self, node: Node) -> bool:
        return any(node in (folder, old, new) for folder, _, old, new in self.changes)


@dataclass(frozen=True)
class Bytes:
    """A step that writes into a file."""

    node: Node
    at: int
    data: bytes

    def apply(self, content: bytearray) -> None:
        if len(content) < self.at:
            content.extend(bytes(self.at - len(content)))
        content[self.at : self.at + len(self.data)] = self.data


@dataclass(frozen=True)
class Size:
    """A step that cuts or extends a file."""

    node: Node
    size: int

    def apply(self, content: bytearray) -> None:
        del content[self.size :]
        content.extend(bytes(self.size - len(content)))


@dataclass(frozen=True)
class Synced:
    """A step that waits for a file or folder, or for everything."""

    node: Node | None


Step = Names | Bytes | Size | Synced


@dataclass
class _Open:
    """What a number stands for: several may share a place in the file."""

    node: Node
    at: int = 0
    appends: bool = False


def scanned(folder: Path) -> Node:
    """Return what lies below a folder on the disk."""
    if folder.is_symlink():
        return Node(target=str(folder.readlink()))
    if folder.is_file():
        return Node(content=bytearray(folder.read_bytes()))
    return Node(entries={each.name: scanned(each) for each in sorted(folder.iterdir())})


def tree_of(
    node: Node,
    content: Callable[[Node], bytes],
    entries: Callable[[Node], dict[str, Node]],
    paths: dict[Node, list[str]] | None = None,
) -> Tree:
    """Return what lies below a folder, by path; `paths` takes up where everything was found."""
    found: Tree = {}

    def walk(folder: Node, path: str) -> None:
        for name, each in entries(folder).items():
            below = f"{path}/{name}" if path else name
            if paths is not None:
                paths.setdefault(each, []).append(below)
            if each.entries is not None:
                found[below] = None
                walk(each, below)
            else:
                found[below] = each.target if each.target is not None else content(each)

    walk(node, "")
    return found


class Disk:
    """A folder, followed through the calls of a process.

    Parameters
    ----------
    root
        The folder, as the process names it.
    """

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self.top = scanned(root)
        self.first = {folder: dict(folder.entries or {}) for folder in _folders(self.top)}
        self.contents = {node: bytes(node.content) for node in _files(self.top)}
        self.steps: list[Step] = []
        self._numbers: dict[int, _Open] = {}
        self._known: dict[tuple[Node, int], bytes] = {}

    def follow(self, calls: Iterable[Call]) -> None:
        """Take over all calls that concern the folder."""
        for call in calls:
            follow = getattr(self, f"_{call.name}", None)
            if follow is None:
                raise ValueError(f"a call that the recorder does not know: {call}")
            follow(call.arguments, call.result)

    def tree(self) -> Tree:
        """Return what the process sees at the end."""
        return tree_of(self.top, lambda node: bytes(node.content), lambda node: node.entries or {})

    def written(self, node: Node, moment: int) -> bytes:
        """Return what a file holds after so many steps."""
        own = [step for step in self.steps[:moment] if isinstance(step, Bytes | Size) and step.node is node]
        if (node, len(own)) not in self._known:
            content = bytearray(self.contents.get(node, b""))
            for step in own:
                step.apply(content)
            self._known[node, len(own)] = bytes(content)
        return self._known[node, len(own)]

    # -- paths ----------------------------------------------------------------------------------------------------

    def _find(self, folder: str, path: str, *, follow: bool = True) -> tuple[Node, str] | None:
        """Return the folder and name that a path leads to, ``None`` where that is elsewhere."""
        if path.startswith(_BY_NUMBER):
            folder, _, path = path.removeprefix(_BY_NUMBER).partition("/")
        if path.startswith("/"):
            if not f"{path}/".startswith(f"{self._root}/"):
                return None
            return self._walk([self.top], path[len(self._root) :].split("/"), follow=follow)
        if folder == _AT_CWD:
            return None  # jobs are given whole paths
        opened = self._numbers.get(int(folder))
        if opened is None:
            return None
        return self._walk([self.top, opened.node], path.split("/"), follow=follow)

    def _walk(self, way: list[Node], parts: list[str], *, follow: bool) -> tuple[Node, str] | None:
        parts = [part for part in parts if part not in {"", "."}]
        if not parts:
            return way[-1], ""
        for at, part in enumerate(parts):
            is_last = at == len(parts) - 1
            if part == "..":
                raise ValueError("a path that climbs")
            each = (way[-1].entries or {}).get(part)
            if each is not None and each.target is not None and (follow or not is_last):
                rest = [*each.target.split("/"), *parts[at + 1 :]]
                if each.target.startswith("/"):
                    return self._find(_AT_CWD, "/".join(rest))
                return self._walk(way, rest, follow=follow)
            if is_last:
                return way[-1], part
            if each is None:
                return None
            way = [*way, each]
        return None

    def _node(self, place: tuple[Node, str] | None) -> Node | None:
        if place is None:
            return None
        folder, name = place
        return (folder.entries or {}).get(name) if name else folder

    def _change(self, *changes: tuple[Node, str, Node | None]) -> None:
        told = []
        for folder, name, new in changes:
            entries = folder.entries
            assert entries is not None
            told.append((folder, name, entries.get(name), new))
            if new is None:
                entries.pop(name, None)
            else:
                entries[name] = new
        self.steps.append(Names(tuple(told)))

    # -- numbers --------------------------------------------------------------------------------------------------

    def _opened(self, place: tuple[Node, str] | None, flags: str, number: int) -> None:
        self._numbers.pop(number, None)
        if place is None:
            return
        node = self._node(place)
        if node is None:
            node = Node()
            self._change((*place, node))
        elif "O_TRUNC" in flags and node.content:
            self._resize(node, 0)
        self._numbers[number] = _Open(node, appends="O_APPEND" in flags)

    def _openat(self, given: list[str], number: int) -> None:
        follow = "O_NOFOLLOW" not in given[2]
        if "O_TMPFILE" in given[2]:
            raise ValueError("a file without a name")
        self._opened(self._find(given[0], name_of(given[1]), follow=follow), given[2], number)

    def _open(self, given: list[str], number: int) -> None:
        self._openat([_AT_CWD, *given], number)

    def _openat2(self, given: list[str], number: int) -> None:
        self._openat([given[0], given[1], " ".join(given[2:])], number)

    def _creat(self, given: list[str], number: int) -> None:
        self._openat([_AT_CWD, given[0], "O_TRUNC"], number)

    def _close(self, given: list[str], _result: int) -> None:
        self._numbers.pop(int(given[0]), None)

    def _dup(self, given: list[str], number: int) -> None:
        known = self._numbers.get(int(given[0]))
        if known is None:
            self._numbers.pop(number, None)
        else:
            self._numbers[number] = known

    def _dup2(self, given: list[str], number: int) -> None:
        self._dup(given, number)

    def _dup3(self, given: list[str], number: int) -> None:
        self._dup(given, number)

    def _fcntl(self, given: list[str], number: int) -> None:
        if given[1].startswith("F_DUPFD"):
            self._dup(given, number)

    def _lseek(self, given: list[str], place: int) -> None:
        opened = self._numbers.get(int(given[0]))
        if opened is not None:
            opened.at = place

    def _chdir(self, _given: list[str], _result: int) -> None:
        """Paths are whole."""

    # -- bytes ----------------------------------------------------------------------------------------------------

    def _put(self, number: str, data: bytes, at: int | None = None) -> None:
        opened = self._numbers.get(int(number))
        if opened is None:
            return
        if opened.appends:
            opened.at = len(opened.node.content)
        step = Bytes(opened.node, opened.at if at is None else at, data)
        step.apply(opened.node.content)
        self.steps.append(step)
        if at is None:
            opened.at += len(data)

    def _write(self, given: list[str], count: int) -> None:
        if int(given[0]) in self._numbers:
            self._put(given[0], text_of(given[1])[:count])

    def _pwrite64(self, given: list[str], count: int) -> None:
        if int(given[0]) in self._numbers:
            self._put(given[0], text_of(given[1])[:count], int(given[3]))

    def _writev(self, given: list[str], count: int) -> None:
        if int(given[0]) in self._numbers:
            texts = re.findall(r'iov_base=("[^"]*")', ", ".join(given))
            self._put(given[0], b"".join(map(text_of, texts))[:count])

    def _pwritev(self, given: list[str], count: int) -> None:
        if int(given[0]) in self._numbers:
            texts = re.findall(r'iov_base=("[^"]*")', ", ".join(given))
            self._put(given[0], b"".join(map(text_of, texts))[:count], int(given[-1]))

    def _pwritev2(self, given: list[str], count: int) -> None:
        self._pwritev(given[:-1], count)

    def _moved(self, source: str, target: str, places: tuple[str, str], count: int) -> None:
        from_, to = self._numbers.get(int(source)), self._numbers.get(int(target))
        if to is None or not count:
            return
        assert from_ is not None, "bytes from a file that is not followed"
        start = from_.at if places[0] == "NULL" else _number(places[0])
        there = None if places[1] == "NULL" else _number(places[1])
        self._put(target, bytes(from_.node.content[start : start + count]), there)
        if places[0] == "NULL":
            from_.at += count

    def _copy_file_range(self, given: list[str], count: int) -> None:
        self._moved(given[0], given[2], (given[1], given[3]), count)

    def _sendfile(self, given: list[str], count: int) -> None:
        self._moved(given[1], given[0], (given[2], "NULL"), count)

    def _splice(self, given: list[str], _count: int) -> None:
        assert int(given[2]) not in self._numbers, "bytes from a pipe"

    def _ioctl(self, given: list[str], _result: int) -> None:
        opened = self._numbers.get(int(given[0]))
        if opened is None or "FICLONE" not in given[1]:
            return
        source = self._numbers[int(given[2])]
        self._resize(opened.node, 0)
        step = Bytes(opened.node, 0, bytes(source.node.content))
        step.apply(opened.node.content)
        self.steps.append(step)

    def _mmap(self, given: list[str], _result: int) -> None:
        number = int(given[4]) if given[4].lstrip("-").isdigit() else -1
        written = "PROT_WRITE" in given[2] and "MAP_SHARED" in given[3]
        assert not (written and number in self._numbers), "bytes that no call writes"

    def _resize(self, node: Node, size: int) -> None:
        step = Size(node, size)
        step.apply(node.content)
        self.steps.append(step)

    def _ftruncate(self, given: list[str], _result: int) -> None:
        opened = self._numbers.get(int(given[0]))
        if opened is not None:
            self._resize(opened.node, int(given[1]))

    def _truncate(self, given: list[str], _result: int) -> None:
        node = self._node(self._find(_AT_CWD, name_of(given[0])))
        if node is not None:
            self._resize(node, int(given[1]))

    def _fallocate(self, given: list[str], _result: int) -> None:
        opened = self._numbers.get(int(given[0]))
        if opened is not None:
            assert given[1] in {"0", "FALLOC_FL_KEEP_SIZE"}, given
            end = int(given[2]) + int(given[3])
            if given[1] == "0" and end > len(opened.node.content):
                self._resize(opened.node, end)

    # -- what lasts -----------------------------------------------------------------------------------------------

    def _fsync(self, given: list[str], _result: int) -> None:
        opened = self._numbers.get(int(given[0]))
        if opened is not None:
            self.steps.append(Synced(opened.node))

    _fdatasync = _fsync

    def _syncfs(self, given: list[str], _result: int) -> None:
        if int(given[0]) in self._numbers:
            self.steps.append(Synced(None))

    def _sync(self, _given: list[str], _result: int) -> None:
        self.steps.append(Synced(None))

    def _sync_file_range(self, _given: list[str], _result: int) -> None:
        """Promises nothing of what a file system needs to find the bytes again."""

    # -- names ----------------------------------------------------------------------------------------------------

    def _renameat2(self, given: list[str], _result: int) -> None:
        old = self._find(given[0], name_of(given[1]), follow=False)
        new = self._find(given[2], name_of(given[3]), follow=False)
        if old is None and new is None:
            return
        assert old is not None, "a file from outside"
        assert new is not None, "a file to the outside"
        node, other = self._node(old), self._node(new)
        if "RENAME_EXCHANGE" in given[4]:
            self._change((*old, other), (*new, node))
        elif node is not other:
            self._change((*old, None), (*new, node))

    def _renameat(self, given: list[str], result: int) -> None:
        self._renameat2([*given, "0"], result)

    def _rename(self, given: list[str], result: int) -> None:
        self._renameat2([_AT_CWD, given[0], _AT_CWD, given[1], "0"], result)

    def _linkat(self, given: list[str], _result: int) -> None:
        new = self._find(given[2], name_of(given[3]), follow=False)
        if new is not None:
            follow = "AT_SYMLINK_FOLLOW" in given[4]
            self._change((*new, self._node(self._find(given[0], name_of(given[1]), follow=follow))))

    def _link(self, given: list[str], result: int) -> None:
        self._linkat([_AT_CWD, given[0], _AT_CWD, given[1], "0"], result)

    def _symlinkat(self, given: list[str], _result: int) -> None:
        new = self._find(given[1], name_of(given[2]), follow=False)
        if new is not None:
            self._change((*new, Node(target=name_of(given[0]))))

    def _symlink(self, given: list[str], result: int) -> None:
        self._symlinkat([given[0], _AT_CWD, given[1]], result)

    def _unlinkat(self, given: list[str], _result: int) -> None:
        place = self._find(given[0], name_of(given[1]), follow=False)
        if place is not None:
            self._change((*place, None))

    def _unlink(self, given: list[str], result: int) -> None:
        self._unlinkat([_AT_CWD, given[0]], result)

    _rmdir = _unlink

    def _mkdirat(self, given: list[str], _result: int) -> None:
        place = self._find(given[0], name_of(given[1]), follow=False)
        if place is not None:
            self._change((*place, Node(entries={})))

    def _mkdir(self, given: list[str], result: int) -> None:
        self._mkdirat([_AT_CWD, given[0]], result)


def _number(argument: str) -> int:
    """Return a place in a file as strace writes it: what was asked for, and maybe what it became."""
    return int(argument.split("]", maxsplit=1)[0].lstrip("["))


def _folders(node: Node) -> Iterator[Node]:
    if node.entries is not None:
        yield node
        for each in node.entries.values():
            yield from _folders(each)


def _files(node: Node) -> Iterator[Node]:
    if node.entries is None:
        yield node
    for each in (node.entries or {}).values():
        yield from _files(each)
