# SPDX-License-Identifier: GPL-3.0-or-later
"""From a request to the code that does it; what is heavy is loaded when the first such request comes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapreel.core.contract.errors import UsageError
from mapreel.core.contract.requests import (
    DecodeRequest,
    EncodeRequest,
    InspectRequest,
    PeekRequest,
    RenderRequest,
    RepairRequest,
    Request,
    TrainRequest,
    VerifyRequest,
)

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from mapreel.core.contract.progress import JobContext
    from mapreel.core.contract.strict_json import JSON
    from mapreel.core.nirvana.peek import ArchiveWindow
    from mapreel.core.vid2vid.draft import DraftStudio


def run(request: Request, take: Path | None, context: JobContext) -> dict[str, JSON]:
    """Do the request and give its result; what stands complete in the take is kept, so that a second call goes on.

    take: claimed by whoever queued or started the request; None for requests that write nothing.
    Raises MapreelError, CancelledError among them when the context asks for a stop.
    """
    match request:
        case VerifyRequest():
            from mapreel.core.nirvana.jobs import run_verify

            return run_verify(request, None, context)
        case RenderRequest() if take is not None:
            from mapreel.core.vid2vid.render_job import run_render

            return run_render(request, take, context)
        case EncodeRequest() if take is not None:
            from mapreel.core.nirvana.jobs import run_encode

            return run_encode(request, take, context)
        case DecodeRequest() if take is not None:
            from mapreel.core.nirvana.decoding import run_decode

            return run_decode(request, take, context)
        case InspectRequest():
            from mapreel.core.media.doctor_jobs import run_inspect

            return run_inspect(request, None, context)
        case RepairRequest() if take is not None:
            from mapreel.core.media.doctor_jobs import run_repair

            return run_repair(request, take, context)
        case TrainRequest() if take is not None:
            return _train(request, take, context)
    raise UsageError(f"nobody here runs a request of the type {request.kind}", "use the command of that name")


def _train(request: TrainRequest, take: Path, context: JobContext) -> dict[str, JSON]:
    """Train into the take; an attempt that finds a checkpoint there (after a pause, a crash) goes on from it."""
    from pathlib import Path

    from mapreel.core.vid2vid.train_job import run_train
    from mapreel.core.vid2vid.training_state import CHECKPOINT_FILE

    return run_train(
        [Path(folder) for folder in request.data],
        take,
        steps=request.steps,
        context=context,
        resume=request.resume or (take / CHECKPOINT_FILE).exists(),
        name=request.name,
        licence=request.licence,
        palette=request.palette,
        perceptual=Path(request.perceptual) if request.perceptual else None,
        critic=request.critic,
        teacher=request.teacher,
    )


class Screen:
    """Draws one picture after the other for a viewer; what was loaded for one stays for the next.

    A peek into an archive loads nothing of the renderer, a draft nothing of the codec.
    """

    def __init__(self) -> None:
        self._studio: DraftStudio | None = None
        self._window: ArchiveWindow | None = None

    def draft(self, request: Request) -> tuple[dict[str, Any], bytes]:
        """Facts (number, width, height, seconds …) and RGB8 pixels. Raises MapreelError."""
        if isinstance(request, PeekRequest):
            if self._window is None:
                from mapreel.core.nirvana.peek import ArchiveWindow

                self._window = ArchiveWindow()
            return self._window.peek(request)
        if self._studio is None:
            from mapreel.core.vid2vid.draft import DraftStudio

            self._studio = DraftStudio()
        return self._studio.draft(request)


def open_drafts() -> Screen:
    """What draws drafts and peeks one after the other in this process."""
    return Screen()
