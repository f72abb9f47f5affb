# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that we did not write are decoded in reader processes: what crashes, hangs or swells there fails one file.

`read_apart` marks the functions that do so. A few readers stay warm, are started anew after a crash or at a limit, and
end with us, also when we are killed. See docs/decisions/0011-readers.md.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import inspect
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from mapreel.core.contract.errors import DamagedFileError, FileTooLargeError, InputError, MapreelError, ServiceError
from mapreel.core.media.readerchild import STALE_S, ReaderProcess
from mapreel.core.media.readerlimits import Limits, usual_limits
from mapreel.core.media.readerline import Closed, Late

P = ParamSpec("P")
R = TypeVar("R")

MAX_READERS = max(2, min(8, os.cpu_count() or 1))
_REMEDY = "render or copy it again"


class Readers:
    """A few warm readers, each lent to one thread at a time. Movies that stay open keep theirs, beyond that number."""

    def __init__(self, limits: Limits | None = None, most: int = MAX_READERS) -> None:
        self.limits = limits or usual_limits()
        self.owner = os.getpid()
        self._idle: list[ReaderProcess] = []
        self._lock = threading.Lock()
        self._places = threading.BoundedSemaphore(most)

    @contextlib.contextmanager
    def _lent(self) -> Iterator[ReaderProcess]:
        with self._places:
            reader = self._take()
            sound = False
            try:
                yield reader
                sound = True
            finally:
                self._give_back(reader, sound)

    def _take(self) -> ReaderProcess:
        while True:
            with self._lock:
                reader = self._idle.pop() if self._idle else None
            if reader is None:
                return self._start()
            if reader.is_fresh:
                return reader
            reader.close()

    def _start(self) -> ReaderProcess:
        try:
            return ReaderProcess(self.limits)
        except (OSError, Closed, Late) as error:
            raise ServiceError(
                "no reader process can be started for the pictures",
                "close other programs, then try again; “mapreel doctor” tells more",
                detail=str(error) or type(error).__name__,
            ) from error

    def _give_back(self, reader: ReaderProcess, sound: bool) -> None:
        if not sound:
            reader.close()
            return
        with self._lock:
            self._idle.append(reader)

    def read(self, call: str, arguments: dict[str, Any]) -> Any:
        """What a function gives for a file. Raises what it raises, DamagedFileError where the reader crashed or hung,
        FileTooLargeError where its memory did not do."""
        path, frame = _subject(arguments)
        message = {"call": call, "with": _packed(arguments)}
        trouble: MapreelError | None = None
        with self._lent() as reader:
            value, trouble = self._value(reader, message, path, frame)
            if reader.process.poll() is not None:
                reader.used_s = -STALE_S
        if trouble is not None:
            raise trouble
        return value[0] if value else None

    def stream(self, call: str, arguments: dict[str, Any]) -> Iterator[Any]:
        """What a generator gives, item by item, from a reader of its own. Raises as `read`."""
        path, frame = _subject(arguments)
        reader = self._take()
        sound = False
        try:
            message: dict[str, Any] = {"call": call, "with": _packed(arguments)}
            while True:
                value, trouble = self._value(reader, message, path, frame)
                if trouble is not None or not value:
                    sound = reader.process.poll() is None
                    break
                message = {"next": 1}
                try:
                    yield value[0]
                except GeneratorExit:
                    sound = self._value(reader, {"stop": 1}, path, frame) == ([], None)
                    raise
            if trouble is not None:
                raise trouble
        finally:
            self._give_back(reader, sound)

    def _value(
        self, reader: ReaderProcess, message: dict[str, Any], path: Path, frame: int | None
    ) -> tuple[list[Any], MapreelError | None]:
        """The value in a list (empty: there is no more), and what went wrong."""
        seconds = self.limits.seconds_for(path)
        try:
            reply = reader.ask(message, seconds)
            if "item" in reply:
                from mapreel.core.media.readerwire import unpack

                return [unpack(reply["item"], reply["arrays"])], None
            return [], _trouble(reply, path, frame)
        except Late:
            reader.kill()
            what = f"took longer than {seconds:.0f} seconds to read"
            return [], _failed(DamagedFileError, path, frame, what, "look at its disk, or render it again")
        except (Closed, ValueError, KeyError, TypeError) as error:
            reader.kill()
            detail = reader.story() if isinstance(error, Closed) else f"the reader process said nonsense: {error}"
            return [], _failed(DamagedFileError, path, frame, "made its reader crash", _REMEDY, detail)

    def pids(self) -> frozenset[int]:
        """Processes of the readers that wait for work."""
        with self._lock:
            return frozenset(reader.process.pid for reader in self._idle)

    def close(self) -> None:
        """End all readers that are not at work."""
        with self._lock:
            ended, self._idle = self._idle, []
        for reader in ended:
            reader.close()


def _subject(arguments: dict[str, Any]) -> tuple[Path, int | None]:
    frame = arguments.get("frame", arguments.get("number"))
    return Path(arguments["path"]), frame if isinstance(frame, int) else None


_packed_before: dict[int, tuple[Any, str]] = {}


def _packed(arguments: dict[str, Any]) -> dict[str, str]:
    """Arguments as text. Palettes and rules, which come with every frame, are put into words once."""
    from mapreel.core.media.readerwire import pack

    texts = {}
    for name, value in arguments.items():
        kept = _packed_before.get(id(value))
        if kept is None or kept[0] is not value:
            kept = (value, pack(value))
            if len(kept[1]) > 200:
                if len(_packed_before) >= 16:
                    _packed_before.clear()
                _packed_before[id(value)] = kept
        texts[name] = kept[1]
    return texts


def _trouble(reply: dict[str, Any], path: Path, frame: int | None) -> MapreelError | None:
    if "error" in reply:
        told = reply["error"]
        kind = _kinds()[str(told["code"])]
        number = told["frame"] if isinstance(told["frame"], int) else None
        words = (str(told["what"]), str(told["remedy"]))
        return kind(*words, detail=str(told["detail"]), file=_text(told["file"]), frame=number)
    if "full" in reply:
        return _failed(FileTooLargeError, path, frame, "needs more memory than one picture gets", "make it smaller")
    if "fault" in reply:
        what = f"cannot be read ({reply['fault']})"
        return _failed(DamagedFileError, path, frame, what, _REMEDY, str(reply["detail"]))
    if "end" in reply:
        return None
    raise ValueError("no answer")


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


@functools.cache
def _kinds() -> dict[str, type[MapreelError]]:
    """Errors by their code."""
    found, waiting = {}, [MapreelError]
    while waiting:
        kind = waiting.pop()
        found[kind.code] = kind
        waiting += kind.__subclasses__()
    return found


def _failed(
    kind: type[InputError], path: Path, frame: int | None, how: str, remedy: str, detail: str = ""
) -> MapreelError:
    short = f"{path.parent.name}/{path.name}" if path.parent.name else path.name
    name = short if frame is None else f"frame {frame} ({short})"
    return kind(f"{name} {how}", remedy, detail=detail, file=str(path), frame=frame)


_ours: Readers | None = None
_here = False
_opening = threading.Lock()


def read_here() -> None:
    """From now on files are read in this process: it is a reader."""
    global _here  # noqa: PLW0603  # what this process is
    _here = True


def readers() -> Readers:
    """The readers of this process; after a fork, others than those of its parent."""
    global _ours  # noqa: PLW0603  # one set for each process
    with _opening:
        if _ours is None or _ours.owner != os.getpid():
            _ours = Readers()
            atexit.register(_ours.close)
        return _ours


def warm_pids() -> frozenset[int]:
    """Processes of the readers that wait for work."""
    return _ours.pids() if _ours is not None else frozenset()


def read_apart(function: Callable[P, R]) -> Callable[P, R]:
    """A function of a file (`path`, and `frame` or `number`) that is called in a reader process.

    Its arguments and what it gives must be what `readerwire` takes along. Of a generator each item is fetched when it
    is asked for. Raises what the function raises, and what `Readers.read` raises.
    """
    call = f"{function.__module__}:{function.__qualname__}"
    names = tuple(inspect.signature(function).parameters)
    streams = inspect.isgeneratorfunction(function)

    @functools.wraps(function)
    def apart(*args: P.args, **kwargs: P.kwargs) -> R:
        if _here:
            return function(*args, **kwargs)
        arguments: dict[str, Any] = {**dict(zip(names, args, strict=False)), **kwargs}
        arguments["path"] = Path(arguments["path"])
        if streams:
            return readers().stream(call, arguments)  # type: ignore[return-value]
        result: R = readers().read(call, arguments)
        return result

    apart.read_apart = True  # type: ignore[attr-defined]
    return apart
