# SPDX-License-Identifier: Apache-2.0
"""What a job will probably take, by what such jobs took on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mapreel.core.contract.errors import ServiceError

ESTIMATE_PATH = "/v1/estimates"


@dataclass(frozen=True)
class Estimate:
    """Seconds of work and bytes written, either None where no job like it has finished here: nothing is invented.

    based_on: how many finished jobs the seconds stand on. frames: how many the job has, None where nobody knows before
    it runs. The seconds are of the whole job, from its start (loading the model included) to its end; not the waiting
    in the queue, and not less for frames that stand in a take that is gone on with.
    """

    seconds: float | None
    size_bytes: float | None
    based_on: int
    frames: int | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "seconds": self.seconds,
            "size_bytes": self.size_bytes,
            "based_on": self.based_on,
            "frames": self.frames,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Estimate:
        """Read what POST /v1/estimates gave. Raises ServiceError."""
        try:
            seconds, size, frames = data["seconds"], data["size_bytes"], data["frames"]
            return cls(
                None if seconds is None else float(seconds),
                None if size is None else float(size),
                int(data["based_on"]),
                None if frames is None else int(frames),
            )
        except (KeyError, TypeError, ValueError) as exc:
            raise ServiceError("the answer of the service is no estimate", "look at its log") from exc
