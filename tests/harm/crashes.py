"""What may be left of a folder when the power goes.

Names and bytes are two things. Names (of what is made, renamed, linked and removed) reach a disk in the order in which
they were asked for, as the journals of ext4 and XFS have it, or, `by_folder`, in that order within every folder only.
Bytes reach it whenever the system likes: not at all, up to some length, as zeros of the full length (space that is
asked for before it is filled), or in some blocks and not in others. To sync a file makes its bytes last, and the names
up to its own last change; `by_folder` those of a folder that is synced itself. Nothing is taken for granted that one
file system does out of kindness, such as writing out what is renamed over another file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tests.harm.disk import Bytes, Disk, Names, Node, Size, Synced, Tree, tree_of

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

BLOCK = 4096
# What becomes of the names that need not be there: all, none, or the first so many; and of bytes.
KeptNames = Literal["all", "least", "some", "by folder"]
KeptBytes = Literal["all", "none", "zeros", "cut", "blocks", "any"]
_WAYS: tuple[KeptBytes, ...] = ("all", "none", "zeros", "cut", "blocks")


@dataclass(frozen=True)
class Crash:
    """A moment, and what was lost with it.

    Attributes
    ----------
    moment
        Steps that were asked for.
    tree
        What is found afterwards.
    lost
        Files in it that are not what the process had made of them.
    told
        What was kept, for messages.
    """

    moment: int
    tree: Tree
    lost: frozenset[str]
    told: str


def crash(disk: Disk, moment: int, names: KeptNames, kept: KeptBytes, chance: random.Random) -> Crash:
    """Return what may be found if the power goes after so many steps."""
    steps = disk.steps[:moment]
    kept_names = _by_folder(steps, chance) if names == "by folder" else _in_order(steps, names, chance)
    entries = {folder: dict(each) for folder, each in disk.first.items()}
    for step in kept_names:
        for folder, name, _, new in step.changes:
            if new is None:
                entries.setdefault(folder, {}).pop(name, None)
            else:
                entries.setdefault(folder, {})[name] = new
    contents: dict[Node, tuple[bytes, bool]] = {}

    def content(node: Node) -> bytes:
        if node not in contents:
            whole = disk.written(node, moment)
            found = _kept_bytes(_lasting(disk, node, steps), whole, kept, chance)
            contents[node] = found, found != whole
        return contents[node][0]

    paths: dict[Node, list[str]] = {}
    tree = tree_of(disk.top, content, lambda folder: entries.get(folder, {}), paths)
    lost = frozenset(path for node, (_, is_lost) in contents.items() if is_lost for path in paths[node])
    asked = sum(isinstance(step, Names) for step in steps)
    return Crash(moment, tree, lost, f"{len(kept_names)} of {asked} names, bytes: {kept}")


def crashes(disk: Disk, chance: random.Random, *, each: int, by_folder: bool) -> Iterator[Crash]:
    """Yield what may be found at every moment, in any order: the plain cases, and `each` by chance."""
    for moment in chance.sample(range(1, len(disk.steps) + 1), len(disk.steps)):
        for names in ("all", "least"):
            for kept in ("none", "zeros", "all"):
                yield crash(disk, moment, names, kept, chance)
        for _ in range(each):
            names = chance.choice(("some", "by folder") if by_folder else ("some", "all"))
            yield crash(disk, moment, names, chance.choice((*_WAYS, "any")), chance)


# -- names -----------------------------------------------------------------------------------------------------------


def _in_order(steps: list, names: KeptNames, chance: random.Random) -> list[Names]:
    told = [(at, step) for at, step in enumerate(steps) if isinstance(step, Names)]
    least = sum(at < _lasting_until(steps) for at, _ in told)
    most = len(told)
    kept = {"all": most, "least": least, "some": chance.randint(least, most)}[names]
    return [step for _, step in told[:kept]]


def _lasting_until(steps: list) -> int:
    """Return the first step whose names may be lost: a sync writes the journal to the last change of what is synced."""
    until = 0
    for at, step in enumerate(steps):
        if isinstance(step, Synced):
            until = max(until, at if step.node is None else _last_change(steps[:at], step.node) + 1)
    return until


def _last_change(steps: list, node: Node) -> int:
    changes = (at for at in range(len(steps) - 1, -1, -1) if _changes(steps[at], node))
    return next(changes, -1)


def _changes(step: object, node: Node) -> bool:
    if isinstance(step, Names):
        return step.concerns(node)
    return isinstance(step, Bytes | Size) and step.node is node


def _by_folder(steps: list, chance: random.Random) -> list[Names]:
    """Choose of every folder how many of its changes are kept; what changes two folders is kept in both or in none."""
    told = [step for step in steps if isinstance(step, Names)]
    lasting = _lasting_in_folders(steps, told)
    rate = chance.choice((0.1, 0.5, 0.9))
    dropped = {id(step) for step in told if id(step) not in lasting and chance.random() < rate}
    gone: set[Node] = set()  # folders of which a change was dropped: all later ones are, too
    kept = []
    for step in told:
        folders = _needed(step)
        if id(step) not in lasting and (id(step) in dropped or folders & gone):
            gone |= {folder for folder, _, _, _ in step.changes}
            continue
        kept.append(step)
    return kept


def _needed(step: Names) -> set[Node]:
    """Return the folders whose earlier changes must be there: its own, and one that is removed, to be empty."""
    removed = {old for _, _, old, new in step.changes if old is not None and old.entries is not None and new is None}
    moved = {new for _, _, _, new in step.changes}
    return {folder for folder, _, _, _ in step.changes} | (removed - moved)


def _lasting_in_folders(steps: list, told: list[Names]) -> set[int]:
    """Return which steps last, by identity: those of folders that were synced, and what they need."""
    until: dict[Node | None, int] = {}
    for at, step in enumerate(steps):
        if isinstance(step, Synced) and (step.node is None or step.node.entries is not None):
            until[step.node] = at
    at_of = {id(step): at for at, step in enumerate(steps)}
    lasting: set[int] = set()
    for step in reversed(told):
        at, folders = at_of[id(step)], {folder for folder, _, _, _ in step.changes}
        if any(at < until.get(folder, -1) for folder in (None, *folders)):
            lasting.add(id(step))
            for folder in _needed(step):
                until[folder] = max(until.get(folder, -1), at)
    return lasting


# -- bytes -----------------------------------------------------------------------------------------------------------


def _lasting(disk: Disk, node: Node, steps: list) -> bytes:
    synced = [at for at, step in enumerate(steps) if isinstance(step, Synced) and step.node in (None, node)]
    return disk.written(node, synced[-1] if synced else 0)


def _kept_bytes(lasting: bytes, whole: bytes, kept: KeptBytes, chance: random.Random) -> bytes:
    if kept == "any":
        kept = chance.choice(_WAYS)
    if kept == "all" or lasting == whole:
        return whole
    if kept == "none":
        return lasting
    size = len(whole)
    old = lasting[:size] + bytes(max(0, size - len(lasting)))
    if kept == "zeros":
        return old
    if kept == "cut":
        end = chance.randint(min(len(lasting), size), size)
        return whole[:end]
    blocks = range(0, size, BLOCK)
    return b"".join((whole if chance.random() < 0.5 else old)[at : at + BLOCK] for at in blocks)
