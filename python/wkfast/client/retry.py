"""When to try again, how long to wait, and when to give up."""

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from wkfast.client.errors import ClientError, ClientTimeoutError

_LOGGER = logging.getLogger("wkfast.client")

T = TypeVar("T")


class Clock:
    """Time and chance, as one value that a test can replace."""

    def monotonic(self) -> float:
        """Return seconds that never run backwards."""
        return time.monotonic()

    def time(self) -> float:
        """Return seconds since the epoch."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    def chance(self) -> float:
        """Return a random number in ``[0, 1)``."""
        return random.random()  # noqa: S311 (spreads retries in time, keeps no secret)


class Deadline:
    """The moment until which a call and all its attempts must be done."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds
        self._end = clock.monotonic() + seconds

    def anew(self) -> "Deadline":
        """Return the deadline of another call that starts now and may take as long."""
        return Deadline(self._clock, self._seconds)

    def remaining(self) -> float:
        """Return the seconds left, never negative."""
        return max(0.0, self._end - self._clock.monotonic())

    def is_over(self) -> bool:
        """Whether the time is over."""
        return self._clock.monotonic() >= self._end

    def error(self, what: str) -> ClientTimeoutError:
        """Return what is said when the time is over."""
        return ClientTimeoutError(
            f"{what}: not done within the {self._seconds:g} s allowed in total (WK_TIMEOUT, or timeout= of the context)"
        )

    def check(self, what: str) -> None:
        """Raise :class:`ClientTimeoutError` when the time is over."""
        if self.is_over():
            raise self.error(what)


@dataclass(frozen=True)
class Timing:
    """How long parts of a call may take: seconds of a phase, and the deadline of all of it, down to the last byte."""

    where: str
    deadline: Deadline
    connect_seconds: float
    read_seconds: float
    first_byte_seconds: float

    def seconds(self) -> tuple[float, float, float, float]:
        """Return what is left for connecting, for the first byte, between two bytes, and for all of it."""
        return self.connect_seconds, self.first_byte_seconds, self.read_seconds, self.deadline.remaining()


@dataclass(frozen=True)
class RetryPolicy:
    """Up to ``retries`` further attempts, exponentially spaced with full jitter.

    A ``Retry-After`` of the server is honoured when it is longer than the pause, up to ``retry_after_ceiling`` seconds.
    """

    retries: int = 5
    base: float = 0.5
    ceiling: float = 60.0
    retry_after_ceiling: float = 120.0

    def pause(self, attempt: int, retry_after: float | None, chance: float) -> float:
        """Return the seconds to wait after the given failed attempt, counted from 0."""
        spread = min(self.ceiling, self.base * 2.0 ** min(attempt, 64)) * chance
        return max(spread, min(retry_after or 0.0, self.retry_after_ceiling))


def with_retries(
    attempt: Callable[[], T],
    *,
    policy: RetryPolicy,
    clock: Clock,
    deadline: Deadline,
    retries_after: Callable[[ClientError], int],
) -> T:
    """Return what ``attempt`` returns, tried again after errors that another attempt may mend.

    Parameters
    ----------
    retries_after
        How many further attempts an error is worth in all, those made before it counted; no more than the policy's.

    Raises
    ------
    ClientError
        The error of the last attempt, once attempts or time are used up.
    """
    number = 0
    while True:
        try:
            return attempt()
        except ClientError as error:
            pause = policy.pause(number, error.retry_after, clock.chance())
            most = min(policy.retries, retries_after(error))
            if number >= most or pause >= deadline.remaining():
                if number:
                    error.add_note(f"({number + 1} attempts were made)")
                raise
            _LOGGER.warning("%s; attempt %d of %d in %.1f s", error, number + 2, most + 1, pause)
        clock.sleep(pause)
        number += 1
