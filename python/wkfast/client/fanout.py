"""Many small requests at once over kept-alive connections."""

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

from wkfast._lazy import lazy_import

if TYPE_CHECKING:
    from concurrent import futures
else:
    futures = lazy_import("concurrent.futures")

K = TypeVar("K")
V = TypeVar("V")


def fan_out(fetch: Callable[[K], V], keys: Iterable[K], *, concurrency: int = 16) -> Iterator[tuple[K, V]]:
    """Yield ``(key, fetch(key))`` as results arrive, in no particular order.

    At most ``2 * concurrency`` keys are under way or waiting to be taken, so that memory does not grow with their
    number, and ``keys`` may be endless. The first error is raised and nothing new is started; requests under way are
    waited for.

    Examples
    --------
    >>> sorted(fan_out(lambda n: n * n, range(3)))
    [(0, 0), (1, 1), (2, 4)]
    """
    if concurrency < 1:
        raise ValueError(f"concurrency is at least 1, not {concurrency}")
    upcoming = iter(keys)
    with futures.ThreadPoolExecutor(concurrency, thread_name_prefix="wkfast-fetch") as executor:
        running = {executor.submit(fetch, key): key for key in itertools.islice(upcoming, 2 * concurrency)}
        try:
            while running:
                done, _ = futures.wait(running, return_when=futures.FIRST_COMPLETED)
                for future in done:
                    key = running.pop(future)
                    for following in itertools.islice(upcoming, 1):
                        running[executor.submit(fetch, following)] = following
                    yield key, future.result()
        finally:
            executor.shutdown(wait=True, cancel_futures=True)
