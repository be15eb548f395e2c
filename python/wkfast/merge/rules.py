"""How a merge decides, and how it goes about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict

from wkfast.errors import MergeError

if TYPE_CHECKING:
    from wkfast.progress import Progress

POLICIES = ("chunk", "nonzero")
MAG_CHOICES = ("all", "finest")
LINKS = ("copy", "hard")


class MergeOptions(TypedDict, total=False):
    """What every call that merges takes, beside what is merged; see ``Annotation.merge_fallback_layer``."""

    policy: str
    mags: str
    threads: int | None
    resume: bool
    progress: Progress
    verify: bool
    link: str


@dataclass(frozen=True)
class MergeRules:
    """What decides about the result, validated.

    Attributes
    ----------
    policy
        ``"chunk"``: a painted chunk replaces the fallback's whole, zeros included. ``"nonzero"``: only labels replace.
    mags
        ``"all"`` mags of the fallback from the finest painted one on, or the ``"finest"`` painted one alone.
    link
        ``"copy"`` files that nothing was painted over, or let both datasets share them: ``"hard"``.

    Raises
    ------
    MergeError
        A choice does not exist.

    Examples
    --------
    >>> MergeRules(policy="newest")
    Traceback (most recent call last):
    ...
    wkfast.errors.MergeError: policy is 'newest', expected 'chunk' or 'nonzero'
    """

    policy: str = "chunk"
    mags: str = "all"
    link: str = "copy"

    def __post_init__(self) -> None:
        if callable(self.policy):
            raise MergeError(
                "policy is a function: rules of your own are not supported yet, only 'chunk' and 'nonzero'"
            )
        chosen = (("policy", self.policy, POLICIES), ("mags", self.mags, MAG_CHOICES), ("link", self.link, LINKS))
        for name, value, choices in chosen:
            if value not in choices:
                raise MergeError(f"{name} is {value!r}, expected {' or '.join(map(repr, choices))}")

    @property
    def options(self) -> dict[str, str]:
        """What the core is told."""
        link = {} if self.link == "copy" else {"link": self.link}
        return {"policy": self.policy, "mags": self.mags, **link}


@dataclass(frozen=True)
class MergeRun:
    """How a merge is carried out; the result does not depend on it.

    Attributes
    ----------
    executor
        Anything with the ``submit`` of ``concurrent.futures``; ``None`` for the core's own threads.
    threads
        Of this process, or of each job of the executor. Default: ``WKFAST_THREADS``, else one per core, in jobs one.
    jobs
        How many jobs the executor is asked to keep busy; default: its workers, if it tells.
    verify
        Read the result back and compare it with what it was made of.
    progress
        See ``wkfast.progress.observed``.

    Raises
    ------
    MergeError
        A number of threads that is none, or an executor that is none.
    """

    executor: Any = None
    threads: int | None = None
    jobs: int | None = None
    verify: bool = False
    progress: Any = None

    def __post_init__(self) -> None:
        if self.threads is not None and self.threads < 1:
            raise MergeError(f"threads is {self.threads!r}, expected a positive number, or None for one per core")
        if self.executor is not None and not callable(getattr(self.executor, "submit", None)):
            kind = type(self.executor).__name__
            raise MergeError(f"executor is a {kind}, expected something like concurrent.futures.ProcessPoolExecutor()")
