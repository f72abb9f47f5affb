# SPDX-License-Identifier: GPL-3.0-or-later
"""The worked example for TDs, inside real Blenders: from a .blend to an MP4 and an archive without a window."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import OpenImageIO

from mapreel.core.contract.client import ServiceClient
from mapreel.core.contract.requests import VerifyRequest

EXAMPLE = Path(__file__).resolve().parents[2] / "docs" / "examples" / "blender_shot.py"


def test_from_a_blend_to_a_movie_and_an_archive(blender, shared_state, tmp_path):
    made = blender("example", size=(128, 64), example=str(EXAMPLE))["made"]
    out = tmp_path / "out"
    assert made == {
        "maps": str(out / "maps"),
        "frames": str(out / "frames"),
        "archive": str(out / "shot.nirv"),
        "movie": str(out / "shot.mp4"),
    }
    frames = sorted(Path(made["frames"]).glob("*.png"))
    assert len(frames) == 3
    with ServiceClient(shared_state) as client:
        checked = client.wait(client.submit(VerifyRequest(archive=made["archive"])).id)
    assert checked.error is None
    with av.open(made["movie"]) as movie:
        shown = [frame.to_ndarray(format="rgb24").astype(float) for frame in movie.decode(video=0)]
    assert [picture.shape for picture in shown] == [(64, 128, 3)] * 3
    for path, picture in zip(frames, shown, strict=True):
        true = np.asarray(OpenImageIO.ImageBuf(str(path)).get_pixels(OpenImageIO.UINT8))[..., :3].astype(float)
        assert np.abs(picture - true).mean() < 12
