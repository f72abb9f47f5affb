# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes items from an iterable in a thread of its own, so that decoding the next frames overlaps computing this one."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Generic, Self, TypeVar

T = TypeVar("T")


class Prefetch(Generic[T]):
    """Iterates over `source` in its order, at most `depth` items ahead of whoever consumes it.

    What the source raises reaches the consumer at the place where the item would have come. `close` (or the end of a
    `with` block) stops the thread after the item it is working on and waits for it; the source is closed there.
    """

    def __init__(self, source: Iterable[T], depth: int = 4) -> None:
        """depth: items held ready, 1 or more; each costs the memory of one frame."""
        if depth < 1:
            raise ValueError("prefetch needs a depth of 1 or more")
        self._items: queue.Queue[tuple[T] | _End] = queue.Queue(depth)
        self._stop = threading.Event()
        self._done = False
        self._thread = threading.Thread(target=self._work, args=(source,), name="mapreel-prefetch", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        if self._done:
            raise StopIteration
        item = self._items.get()
        if not isinstance(item, _End):
            return item[0]
        self.close()
        if item.error is not None:
            raise item.error
        raise StopIteration

    def close(self) -> None:
        """Ends early; harmless when it is over already."""
        self._done = True
        self._stop.set()
        while self._thread.is_alive():
            try:  # a full queue would keep the thread waiting
                self._items.get(timeout=0.02)
            except queue.Empty:
                continue
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _work(self, source: Iterable[T]) -> None:
        items = iter(source)
        end = _End()
        try:
            for item in items:
                if not self._put((item,)):
                    break
            closing = getattr(items, "close", None)
            if closing is not None:
                closing()
        except BaseException as error:  # noqa: BLE001  # not swallowed: it crosses to the consumer's thread
            end = _End(error)
        self._put(end)

    def _put(self, item: tuple[T] | _End) -> bool:
        """False when nobody wants it any more."""
        while not self._stop.is_set():
            try:
                self._items.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False


class _End:
    """Marks the end of the source, with the error that ended it, if one did."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


def prefetch(source: Iterable[T], depth: int = 4) -> Prefetch[T]:
    """`source` read ahead by `depth` items in a thread; use it as a context manager where the loop may end early."""
    return Prefetch(source, depth)
