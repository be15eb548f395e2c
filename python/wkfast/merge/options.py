"""What a merge can be told. Written once: keyword arguments, the command line and the core are checked against it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypedDict

from wkfast._lazy import lazy_import
from wkfast.dataset.missing_labels import Missing
from wkfast.errors import MergeError

if TYPE_CHECKING:
    from collections.abc import Callable

    from wkfast.merge import label_rule
    from wkfast.progress import Progress
    from wkfast.rules import ForAll
else:
    label_rule = lazy_import("wkfast.merge.label_rule")


class Policy(StrEnum):
    """Which voxels win."""

    CHUNK = "chunk"
    NONZERO = "nonzero"


class Mags(StrEnum):
    """Which mags the result has."""

    ALL = "all"
    FINEST = "finest"


class Link(StrEnum):
    """How untouched files get into the result."""

    COPY = "copy"
    HARD = "hard"


# What the options that are words may be.
CHOICES: dict[str, type[StrEnum]] = {"policy": Policy, "mags": Mags, "link": Link, "missing": Missing}


@dataclass(frozen=True)
class MergeOptions:
    """What is decided by the caller, validated.

    Attributes
    ----------
    executor
        Anything with the ``submit`` of ``concurrent.futures``; ``None`` for the core's own threads.
    policy
        ``"chunk"``: a chunk of the annotation replaces the fallback's whole, zeros included. ``"nonzero"``: only labels
        replace. Or a rule: a function of the annotation's and the fallback's label that returns one, see
        ``wkfast.rules``.
    mags
        ``"all"`` mags of the fallback from the annotation's finest on, or that ``"finest"`` one alone.
    threads
        Of this process, or of each job of the executor. Default: ``WKFAST_THREADS``, else one per core, in jobs one.
    resume
        Accept a target in which this very merge has begun.
    progress
        See ``wkfast.progress.observed``.
    dry_run
        Plan only.
    verify
        Read the result back and compare it with what it was made of.
    link
        ``"copy"`` files that no annotation touches, or let both datasets share them: ``"hard"``.
    mapping
        What the fallback's labels become: a dict, two arrays, a function of one label, the path of an agglomerate file,
        or an annotation, for what merger mode makes of the layer. Default: that which the volume layers name, if its
        agglomerate file lies with the fallback layer; ``{}``: none.
    missing
        What labels become that the mapping does not name: they ``"keep"`` what they are, are ``"zero"``, or an
        ``"error"``.
    jobs
        How many jobs the executor is asked to keep busy; default: its workers, if it tells.

    Raises
    ------
    MergeError
        A choice does not exist, a number of threads or an executor is none.

    Examples
    --------
    >>> MergeOptions(policy="newest")
    Traceback (most recent call last):
    ...
    wkfast.errors.MergeError: policy is 'newest', expected 'chunk' or 'nonzero'
    """

    executor: Any = None
    policy: str | Callable[..., Any] | ForAll = "chunk"
    mags: str = "all"
    threads: int | None = None
    resume: bool = True
    progress: Progress = None
    dry_run: bool = False
    verify: bool = False
    link: str = "copy"
    mapping: Any = None
    missing: str = "keep"
    jobs: int | None = None

    def __post_init__(self) -> None:
        self.rule  # noqa: B018 - refuses what is none
        for name, choices in CHOICES.items():
            if name == "policy" and self.rule is not None:
                continue
            words = [choice.value for choice in choices]
            if getattr(self, name) not in words:
                raise MergeError(f"{name} is {getattr(self, name)!r}, expected {' or '.join(map(repr, words))}")
        if self.threads is not None and self.threads < 1:
            raise MergeError(f"threads is {self.threads!r}, expected a positive number, or None for one per core")
        if self.executor is not None and not callable(getattr(self.executor, "submit", None)):
            kind = type(self.executor).__name__
            raise MergeError(f"executor is a {kind}, expected something like concurrent.futures.ProcessPoolExecutor()")

    @property
    def rule(self) -> label_rule.RuleSource | None:
        """The rule that `policy` is, if it is one."""
        return label_rule.RuleSource.of(self.policy) if callable(self.policy) else None

    @property
    def core(self) -> dict[str, Any]:
        """What the core is told: all that the result depends on."""
        link = {} if self.link == Link.COPY else {"link": str(self.link)}
        # with a rule, no chunk replaces another whole
        policy = {"policy": str(self.policy)} if self.rule is None else {"policy": "nonzero", "rule": self.rule.core}
        return {**policy, "mags": str(self.mags), **link}


class MergeKeywords(TypedDict, total=False):
    """The keyword arguments of a merge beside ``executor`` and ``dry_run``, for type checkers."""

    policy: str | Callable[..., Any] | ForAll
    mags: str
    threads: int | None
    resume: bool
    progress: Progress
    verify: bool
    link: str
    mapping: Any
    missing: str
