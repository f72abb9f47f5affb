# SPDX-License-Identifier: GPL-3.0-or-later
"""The comparison of `mapreel bench render` as tables for people: a row for each figure, a column for each contender."""

from __future__ import annotations

from typing import Any

from mapreel.core.commands.console import table

# (name for people, name in the figures, how it is written)
_NETWORKS = (
    ("parameters, millions", "parameters_m", ".1f"),
    ("true GMACs a key frame", "true_gmacs_key_frame", ".1f"),
    ("thop GMACs a key frame", "thop_gmacs_key_frame", ".1f"),
    ("network alone, frames a second", "network_frames_per_second", ".2f"),
    ("peak memory, MB", "peak_memory_mb", ".0f"),
)
_FIGURES = (
    ("key frames", "key_share", ".1%"),
    ("true GMACs a mean frame", "true_gmacs_mean_frame", ".2f"),
    ("thop GMACs a mean frame", "thop_gmacs_mean_frame", ".2f"),
    ("paper's teacher costs this many times", "teacher_over_this", ".1f"),
    ("maps to frames on disk, frames a second", "frames_per_second", ".2f"),
    ("latency p50, ms", "p50_ms", ".0f"),
    ("latency p99, ms", "p99_ms", ".0f"),
    ("PSNR, dB", "psnr_db", ".2f"),
    ("LPIPS-SqueezeNet", "lpips", ".4f"),
    ("LPIPS over paint", "lpips_over_paint", ".3f"),
    ("KID, EfficientNet-Lite0", "kid", ".4f"),
    ("sharpness", "sharpness", ".3f"),
    ("mIoU", "miou", ".3f"),
    ("warping error, 8-bit steps", "warping_error", ".3f"),
    ("LPIPS over teacher", "lpips_over_teacher", ".3f"),
    ("KID over teacher", "kid_over_teacher", ".3f"),
    ("warping error over teacher", "warping_error_over_teacher", ".3f"),
    ("sharpness over teacher", "sharpness_over_teacher", ".3f"),
)
_ORDER = ("paper's teacher", "paper's student", "teacher", "full", "fast", "paper's keys", "draft", "paint", "truth")
_KNOWN = {
    "maps": "labels and instances",
    "motion": "labels, instances and motion",
    "frames": "labels, instances and the first two true frames",
    "motion+frames": "labels, instances, motion and the first two true frames",
}


def comparison_lines(data: dict[str, Any]) -> list[str]:
    """Tables of what `compare` found; figures that nobody has are left out, as are contenders without any."""
    shot = data["shot"]
    lines = [f"{shot['scored']} of {shot['frames']} frames scored, the first two never", ""]
    lines += _table("networks", _NETWORKS, data["networks"])
    for name, found in data["conditions"].items():
        columns = {key: value for key, value in found.items() if key not in {"in_betweens", "pictures"}}
        lines += ["", *_table(_KNOWN[name], _FIGURES, columns), *_in_betweens(found["in_betweens"])]
    return lines


def _table(title: str, rows: tuple[tuple[str, str, str], ...], columns: dict[str, dict[str, float]]) -> list[str]:
    columns = dict(sorted(columns.items(), key=lambda column: _ORDER.index(column[0])))
    cells = [
        [text, *(format(column[key], form) if key in column else "-" for column in columns.values())]
        for text, key, form in rows
        if any(key in column for column in columns.values())
    ]
    return table([[f"[{title}]", *columns], *cells])


def _in_betweens(found: dict[str, Any] | None) -> list[str]:
    if found is None:
        return ["no in-betweens to compare"]
    return [
        f"{found['frames']} in-betweens, LPIPS: {_beside_ffmpeg(found)}",
        f"from true key frames: {_beside_ffmpeg(found['true_keys'])}",
    ]


def _beside_ffmpeg(found: dict[str, Any]) -> str:
    ours, theirs = found["lpips"], found["lpips_minterpolate"]
    return f"ours {ours:.4f}, minterpolate on the same key frames {theirs:.4f}: {found['lower_by']:.1%} lower"
