# SPDX-License-Identifier: GPL-3.0-or-later
"""A reader process: decodes files that we did not write, within limits, for whoever started it.

Started with -m by `readers`, imported by nobody. It loads a library when a file needs it, and ends when its channel
does, when it has had nothing to do for a while, or when the kernel says so (see `readerlimits`).
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import threading
import traceback
from collections.abc import Generator
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mapreel.core.media.readerline import Line

IDLE_S = 60.0
ORPHANED = 70  # exit code when the other side is gone
SLACK = 1.5  # our own alarm rings after the parent's
_KEPT_ARGUMENTS = 16
_LONG_ARGUMENT = 200


class Memory:
    """The block of memory that is shared with the parent; without one, pixels go through the channel."""

    def __init__(self, fd: int | None, size: int) -> None:
        self._fd, self._size = fd, size
        self._block: Any = None

    def put(self, arrays: list[Any], needed: int) -> bool:
        """Copy arrays into the block; False where there is none. Raises MemoryError for what it does not hold."""
        if self._fd is None:
            return False
        import mmap

        from mapreel.core.media.readerwire import fill

        if needed > self._size:
            raise MemoryError
        if needed and (self._block is None or len(self._block) < needed):
            self._block = None
            self._block = mmap.mmap(self._fd, needed)
        fill(self._block, arrays)
        return True


class Reader:
    """Answers one request after the other."""

    def __init__(self, line: Line, memory: Memory) -> None:
        self._line, self._memory = line, memory
        self._stream: Generator[Any, None, None] | None = None
        self._ahead: dict[str, Any] | None = None
        self._arguments: dict[str, Any] = {}
        self._folder = ""

    def serve(self, idle_s: float) -> None:
        """Until there has been nothing to do for so long. Raises Closed at the end of the channel."""
        self._line.send('{"ready":1}')
        while self._line.waits(None if self._stream else idle_s):
            self._answer(self._line.receive())

    def _answer(self, message: dict[str, Any]) -> None:
        from mapreel.core.media.readerlimits import wake_by_death

        wake_by_death(float(message["seconds"]) * SLACK)
        if "call" in message:
            self._drop_stream()
            self._go_to(str(message["folder"]))
            reply = self._guarded(lambda: self._call(message))
        elif "next" in message and self._ahead is not None:
            reply = self._ahead
        else:
            self._drop_stream()
            reply = {"end": 1}
        self._ahead = None
        self._say(reply)
        self._ahead = self._guarded(self._next) if self._stream is not None and "item" in reply else None
        wake_by_death(0)

    def _go_to(self, folder: str) -> None:
        """Relative paths start where the parent stands now."""
        if folder and folder != self._folder:
            os.chdir(folder)
            self._folder = folder

    def _drop_stream(self) -> None:
        if self._stream is not None:
            self._stream.close()
        self._stream = self._ahead = None

    def _call(self, message: dict[str, Any]) -> dict[str, Any]:
        module, _, name = str(message["call"]).partition(":")
        if not module.startswith("mapreel.core.media."):
            raise ValueError("no reader of ours")
        function = getattr(importlib.import_module(module), name)
        if not getattr(function, "read_apart", False):
            raise ValueError("no reader of ours")
        result = function(**{key: self._argument(text) for key, text in message["with"].items()})
        if isinstance(result, Generator):
            self._stream = result
            return self._next()
        return {"item": result}

    def _argument(self, text: str) -> Any:
        """Palettes and rules come with every frame: what they become is kept."""
        if text in self._arguments:
            return self._arguments[text]
        import json

        from mapreel.core.media.readerwire import unpack

        value = unpack(json.loads(text), trusted=True)
        if len(text) > _LONG_ARGUMENT:
            while len(self._arguments) >= _KEPT_ARGUMENTS:
                self._arguments.pop(next(iter(self._arguments)))
            self._arguments[text] = value
        return value

    def _next(self) -> dict[str, Any]:
        assert self._stream is not None
        for item in self._stream:
            return {"item": item}
        self._stream = None
        return {"end": 1}

    def _guarded(self, work: Any) -> dict[str, Any]:
        from mapreel.core.contract.errors import MapreelError

        try:
            reply: dict[str, Any] = work()
        except MapreelError as error:
            self._stream = None
            return {"error": error.to_dict()}
        except MemoryError:
            self._stream = None
            return {"full": 1}
        except Exception as error:  # noqa: BLE001 - the border of the process: what the file did to us fails this file only
            self._stream = None
            told = "".join(traceback.format_exception(error))[-4000:]
            return {"fault": f"{type(error).__name__}: {error}"[:300], "detail": told}
        return reply

    def _say(self, reply: dict[str, Any]) -> None:
        if "item" not in reply:
            self._line.send(_plain(reply))
            return
        from mapreel.core.media.readerwire import layout, pack

        arrays: list[Any] = []
        try:
            text = pack(reply["item"], arrays)
            places, needed = layout(arrays)
            shared = self._memory.put(arrays, needed)
        except (MemoryError, OSError):
            self._stream = None
            self._line.send('{"full":1}')
            return
        inline = 0 if shared else needed
        self._line.send(f'{{"item":{text},"places":{_plain(places)},"bytes":{needed},"inline":{inline}}}')
        if inline:
            from mapreel.core.media.readerwire import fill

            block = bytearray(needed)
            fill(block, arrays)
            self._line.send_bytes(memoryview(block))


def _plain(value: Any) -> str:
    import json

    return json.dumps(value, ensure_ascii=True)


class _StandIn(ModuleType):
    """Stands for a library until the first of its names is used. (importlib's own LazyLoader loads at `import`.)"""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        self.__dict__.update(vars(importlib.import_module(self.__name__)))
        return self.__dict__[name]


def _open(words: list[str]) -> list[int]:
    """Descriptors from what the parent hands down: their numbers, or handles of Windows."""
    if sys.platform == "win32":
        import msvcrt

        return [
            msvcrt.open_osfhandle(int(word), way)
            for word, way in zip(words, (os.O_RDONLY, 0, os.O_RDONLY), strict=True)
        ]
    return [int(word) for word in words]


def _end_with(lifeline: int) -> None:
    """End at once, whatever is being decoded, when the parent does: only it has the other end, and never writes."""

    def watch() -> None:
        os.read(lifeline, 1)
        os._exit(ORPHANED)

    threading.Thread(target=watch, daemon=True, name="lifeline").start()


def main(words: list[str] | None = None) -> int:
    """Run as a process."""
    parser = argparse.ArgumentParser(prog="mapreel.core.media.reader")
    parser.add_argument("--channel", nargs=3, required=True, metavar=("READ", "WRITE", "LIFELINE"))
    parser.add_argument("--shared", nargs=2, type=int, metavar=("FD", "BYTES"))
    parser.add_argument("--memory", type=int, required=True, help="bytes")
    parser.add_argument("--idle", type=float, default=IDLE_S, help="seconds")
    options = parser.parse_args(words)
    sys.dont_write_bytecode = True
    from mapreel.core.media.readerlimits import confine_ourselves

    confine_ourselves(options.memory)
    sys.modules.setdefault("OpenImageIO", _StandIn("OpenImageIO"))  # PNG needs none
    from mapreel.core.media import readers
    from mapreel.core.media.readerline import Closed, Line

    readers.read_here()
    memory = Memory(*options.shared) if options.shared else Memory(None, 0)
    read, write, lifeline = _open(options.channel)
    _end_with(lifeline)
    try:
        Reader(Line(read, write), memory).serve(options.idle)
    except Closed:
        return ORPHANED
    return 0


if __name__ == "__main__":
    sys.exit(main())
