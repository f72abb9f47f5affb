# SPDX-License-Identifier: Apache-2.0
"""Every error an artist can meet, as one tree, each a single sentence that says what to do.

MapreelError
├ UsageError                     wrong use, exit code 2
│ ├ InputError                   what was given cannot be used
│ │ ├ MissingInputError  EmptySequenceError  GapError  MixedSizesError  UnknownLabelError
│ │ └ DamagedFileError   FileTooLargeError   UnsupportedFileError
│ ├ ModelError
│ │ └ ModelMismatchError PickleRefusedError  DamagedModelError  MissingModelError
│ └ ArchiveError
│   └ DamagedArchiveError  UnsupportedArchiveError
├ FramesLostError                a part of the result is written, the rest cannot be, exit code 1
├ OutputError                    the result cannot be written, exit code 1
│ └ DiskFullError  OutputExistsError
├ ServiceError                   the background service, exit code 1
│ ├ ServiceUnreachableError ServiceNotTrustedError ServiceRefusedError UnknownJobError JobStateError QueueDamagedError
│ └ DraftSupersededError   DraftFailedError
├ CancelledError                 somebody asked for it, exit code 1
│ └ PausedError
└ InternalError                  a fault of ours, exit code 1
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from pathlib import Path


def one_line(text: str) -> str:
    """The text with every control character (line feeds in file names, terminal escapes) written out as an escape."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "backslashreplace").decode() for char in text
    )


class MapreelError(Exception):
    """What went wrong and what to do about it; `str(error)` is one sentence on one line."""

    code: ClassVar[str] = "error"
    exit_code: ClassVar[int] = 1

    def __init__(
        self, what: str, remedy: str = "", *, detail: str = "", file: str | None = None, frame: int | None = None
    ) -> None:
        super().__init__(what, remedy)
        self.what = what
        self.remedy = remedy
        self.detail = detail
        self.file = file
        self.frame = frame

    def __str__(self) -> str:
        parts = [one_line(part).strip().rstrip(".") for part in (self.what, self.remedy)]
        return "; ".join(part for part in parts if part) + "."

    def to_dict(self) -> dict[str, Any]:
        return {
            "code": self.code,
            "what": self.what,
            "remedy": self.remedy,
            "detail": self.detail,
            "file": self.file,
            "frame": self.frame,
        }


class UsageError(MapreelError):
    """Wrong use: what was asked for cannot be done as asked."""

    code = "usage"
    exit_code = 2


class InputError(UsageError):
    """A file or folder that was given cannot be used."""

    code = "input"


class MissingInputError(InputError):
    """An input is not there."""

    code = "missing-input"


class EmptySequenceError(InputError):
    """A folder or pattern holds no frame."""

    code = "empty-sequence"


class GapError(InputError):
    """A planned frame is not there and the policy for missing frames is `error`."""

    code = "gap"


class MixedSizesError(InputError):
    """Frames of one sequence differ in size."""

    code = "mixed-sizes"


class UnknownLabelError(InputError):
    """A label map holds something that is no class of the model or palette."""

    code = "unknown-label"


class DamagedFileError(InputError):
    """A file is cut off, or is not what its name says."""

    code = "damaged-file"


class FileTooLargeError(InputError):
    """A file claims more pixels, layers or bytes than we open."""

    code = "file-too-large"


class UnsupportedFileError(InputError):
    """A kind of file that we do not read."""

    code = "unsupported-file"


class ModelError(UsageError):
    """A model that cannot be used."""

    code = "model"


class ModelMismatchError(ModelError):
    """A model that does not fit the maps."""

    code = "model-mismatch"


class PickleRefusedError(ModelError):
    """A model as a pickle (.pt, .pth, .pkl, .ckpt): opening it could run foreign code."""

    code = "pickle-refused"


class DamagedModelError(ModelError):
    """A checkpoint whose hash, header or shapes are wrong."""

    code = "damaged-model"


class MissingModelError(ModelError):
    """No model of that name."""

    code = "missing-model"


class ArchiveError(UsageError):
    """A neural archive that cannot be used."""

    code = "archive"


class DamagedArchiveError(ArchiveError):
    """An archive that is cut off or altered."""

    code = "damaged-archive"


class UnsupportedArchiveError(ArchiveError):
    """An archive of a newer version or with an unknown part."""

    code = "unsupported-archive"


class FramesLostError(MapreelError):
    """Some frames cannot be read out of an archive, or made from their maps; all others were written."""

    code = "frames-lost"


class OutputError(MapreelError):
    """The result cannot be written."""

    code = "output"


class DiskFullError(OutputError):
    """The disk is full."""

    code = "disk-full"


class OutputExistsError(OutputError):
    """The output is there already and no new take could be made."""

    code = "output-exists"


class ServiceError(MapreelError):
    """Something about the background service."""

    code = "service"


class ServiceUnreachableError(ServiceError):
    """The service does not answer and could not be started."""

    code = "service-unreachable"


class ServiceStoppingError(ServiceUnreachableError):
    """The service was told to end or ends because nothing is to do; its queue is kept."""

    code = "service-stopping"


class ServiceNotTrustedError(ServiceError):
    """Who answers on the port cannot prove to be our service."""

    code = "service-not-trusted"


class ServiceRefusedError(ServiceError):
    """The service refused the request."""

    code = "service-refused"


class UnknownJobError(ServiceError):
    """No job has this id."""

    code = "unknown-job"


class JobStateError(ServiceError):
    """The job is in a state from which the asked step does not exist (cancelling what is finished, for one)."""

    code = "job-state"


class DraftSupersededError(ServiceError):
    """A newer draft of the same session was asked for; nobody waits for this one."""

    code = "draft-superseded"


class DraftFailedError(ServiceError):
    """The interactive compute process died, hung or was late over this draft; the next one gets a new process."""

    code = "draft-failed"


class QueueDamagedError(ServiceError):
    """The queue's database cannot be used; a copy of it was kept."""

    code = "queue-damaged"


class CancelledError(MapreelError):
    """A cancel was asked for; what stands complete in the take is kept."""

    code = "cancelled"


class PausedError(CancelledError):
    """A pause was asked for: the attempt ends here, the next one takes up what stands complete in the take."""

    code = "paused"


class InternalError(MapreelError):
    """A fault of ours; `detail` holds the traceback."""

    code = "internal"


def _tree(root: type[MapreelError]) -> dict[str, type[MapreelError]]:
    """Code -> error. One that has no code of its own, a private one of some module, is read back as its base."""
    found = {root.code: root}
    for child in root.__subclasses__():
        found = {**_tree(child), **found}
    return found


def error_from_dict(data: dict[str, Any]) -> MapreelError:
    """The error that `to_dict` wrote; a code that this version does not know becomes a plain MapreelError."""
    kind = _tree(MapreelError).get(str(data.get("code")), MapreelError)
    frame = data.get("frame")
    file = data.get("file")
    return kind(
        str(data.get("what", "")),
        str(data.get("remedy", "")),
        detail=str(data.get("detail", "")),
        file=file if isinstance(file, str) else None,
        frame=frame if isinstance(frame, int) else None,
    )


_FULL = {errno.ENOSPC, errno.EDQUOT} if hasattr(errno, "EDQUOT") else {errno.ENOSPC}
_CAUSES = {
    errno.EROFS: ("the disk of {path} is read-only", "choose an output folder on a disk that can be written"),
    errno.EACCES: ("{path} may not be written", "change its permissions or choose another output folder"),
    errno.EPERM: ("{path} may not be written", "change its permissions or choose another output folder"),
    errno.ENAMETOOLONG: ("the name {path} is too long for this disk", "choose a shorter output name"),
    errno.ENOENT: ("the folder of {path} is gone", "bring the disk or share back, or choose another output folder"),
    errno.ENOTDIR: ("a part of {path} is a file and not a folder", "choose another output folder"),
    errno.EMFILE: ("too many files are open to write {path}", "raise the open-file limit (ulimit -n) and try again"),
}


def disk_error(exc: OSError, path: str | Path) -> OutputError:
    """The sentence for a failed write to `path`. Raise it `from exc`."""
    name = str(path)
    detail = f"{type(exc).__name__}: {exc}"
    if exc.errno in _FULL:
        return DiskFullError(
            f"the disk is full: {name} was not written", "free some space, then resume", detail=detail, file=name
        )
    what, remedy = _CAUSES.get(
        exc.errno or 0, ("{path} could not be written (" + (exc.strerror or "no reason given") + ")", "check the disk")
    )
    return OutputError(what.replace("{path}", name), remedy, detail=detail, file=name)
