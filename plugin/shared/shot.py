# SPDX-License-Identifier: Apache-2.0
"""What an artist sets for one shot inside a host, and the requests that it makes. Knows no host."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from mapreel.core.contract.errors import UsageError
from mapreel.core.contract.requests import (
    DecodeRequest,
    DraftRequest,
    EncodeRequest,
    ImageFormat,
    Preset,
    Quality,
    RenderRequest,
    TrainRequest,
)


@dataclass(frozen=True)
class Shot:
    """One shot as its host knows it. Paths are absolute; an empty one means: none.

    first, last, step: frame numbers of the host. `take`: the folder that the last render wrote.
    """

    labels: str
    model: str
    out: str
    first: int
    last: int
    step: int = 1
    fps: float = 24.0
    instances: str = ""
    motion: str = ""
    quality: str = "fast"
    image_format: str = "png"
    references: tuple[tuple[int, str], ...] = ()
    take: str = ""

    @property
    def frames(self) -> str:
        """The range as the contract writes it."""
        return f"{self.first}-{self.last}" + (f"x{self.step}" if self.step > 1 else "")

    def _need(self, **wanted: str) -> None:
        for name, remedy in wanted.items():
            if not getattr(self, name):
                raise UsageError(f"no {name} chosen", remedy)

    def render_request(self) -> RenderRequest:
        """The whole range as a take. Raises UsageError naming what is missing."""
        self._need(
            labels="choose a sequence of label maps, or write maps from the scene",
            model="choose a model, such as street",
            out="choose a folder for the pictures; an unsaved file has none of its own",
        )
        return RenderRequest(
            labels=self.labels,
            instances=self.instances or None,
            motion=self.motion or None,
            model=self.model,
            out=self.out,
            frames=self.frames,
            fps=self.fps,
            quality=Quality(self.quality),
            image_format=ImageFormat(self.image_format),
            reference=self.references,
        )

    def draft_request(self, frame: int, *, quick: bool = False) -> DraftRequest:
        """One frame now. Raises UsageError naming what is missing."""
        self._need(labels="choose a sequence of label maps, or write maps from the scene", model="choose a model")
        return DraftRequest(
            labels=self.labels,
            instances=self.instances or None,
            motion=self.motion or None,
            model=self.model,
            frame=frame,
            reference=self.references,
            quick=quick,
        )

    def encode_request(
        self, source: str, out: str, *, psnr_db: float | None = None, preset: str = "draft", maps: bool = False
    ) -> EncodeRequest:
        """A take into an archive, on wish with the maps that made it."""
        return EncodeRequest(
            source=source,
            out=out,
            fps=self.fps,
            preset=Preset(preset),
            psnr_db=psnr_db,
            labels=self.labels if maps else None,
            instances=(self.instances or None) if maps else None,
        )

    def train_request(self, data: tuple[str, ...], out: str, steps: int) -> TrainRequest:
        """A model of this shot from maps and true frames."""
        return TrainRequest(data=data, out=out, steps=steps, name=Path(out).name)


def decode_request(archive: str, out: str) -> DecodeRequest:
    """All frames of an archive into a folder."""
    return DecodeRequest(archive=archive, out=out)


def shot_from(values: dict[str, Any]) -> Shot:
    """A shot from plain values; unknown names are an error of ours and raise TypeError."""
    known = {field.name for field in fields(Shot)}
    unknown = set(values) - known
    if unknown:
        raise TypeError(f"a shot has no {', '.join(sorted(unknown))}")
    return Shot(**values)
