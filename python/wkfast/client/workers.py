"""Many small requests at once over kept-alive connections."""

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


def fetch_all(fetch: Callable[[K], V], keys: Iterable[K], *, concurrency: int = 16) -> Iterator[tuple[K, V]]:
    """Yield ``(key, fetch(key))`` as results arrive, in no particular order.

    At most ``2 * concurrency`` keys are under way or waiting to be taken, so that memory does not grow with their
    number, and ``keys`` may be endless. The first error is raised and nothing new is started; requests under way are
    waited for, except after Ctrl-C, when they are left to end by themselves.

    Examples
    --------
    >>> sorted(fetch_all(lambda n: n * n, range(3)))
    [(0, 0), (1, 1), (2, 4)]
    """
    if concurrency < 1:
        raise ValueError(f"concurrency is at least 1, not {concurrency}")
    workers = _Workers(fetch, iter(keys), concurrency)
    try:
        yield from workers.results()
    except (Exception, GeneratorExit):
        workers.stop()
        workers.join()
        raise
    except BaseException:
        workers.stop()
        raise
    workers.join()


class _Workers(Generic[K, V]):
    """Threads that take keys from one iterator until it ends, one fails or they are told to stop."""

    def __init__(self, fetch: Callable[[K], V], keys: Iterator[K], concurrency: int) -> None:
        self._fetch = fetch
        self._keys = keys
        self._concurrency = concurrency
        self._lock = threading.Lock()
        # beside the first key of each thread, which needs no room: hiring must not wait for results to be taken
        self._room = threading.Semaphore(concurrency)
        # what a thread has to tell: a result, an error, or that it found nothing more to do
        self._told: queue.SimpleQueue[tuple[K, V] | BaseException | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []

    def results(self) -> Iterator[tuple[K, V]]:
        """Yield the results, raise the first error."""
        self._hire()
        working = len(self._threads)
        while working:
            told = self._told.get()
            if told is None:
                working -= 1
            elif isinstance(told, BaseException):
                raise told
            else:
                self._room.release()
                yield told

    def stop(self) -> None:
        """Let no thread begin anything new."""
        with self._lock:
            self._keys = iter(())
        self._room.release(self._concurrency)

    def join(self) -> None:
        """Wait for what is under way."""
        for thread in self._threads:
            thread.join()

    def _hire(self) -> None:
        """Start as many threads as there are keys for, up to the limit; each gets its first key here."""
        for _ in range(self._concurrency):
            try:
                with self._lock:
                    first = next(self._keys)
            except StopIteration:
                return
            # daemons: a process that is interrupted does not wait for a server that says nothing
            thread = threading.Thread(target=self._work, args=(first,), name="wkfast-fetch", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _work(self, key: K) -> None:
        try:
            while True:
                self._told.put((key, self._fetch(key)))
                self._room.acquire()
                with self._lock:
                    key = next(self._keys)
        except StopIteration:
            pass
        except BaseException as error:  # noqa: BLE001 (it is raised where the results are taken)
            self._told.put(error)
            return
        self._told.put(None)
