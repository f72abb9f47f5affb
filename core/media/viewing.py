# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures and maps as a screen shows them: through a display and view of OpenColorIO, painted, compared, reduced."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import OpenImageIO as oiio  # noqa: N813  # the library's own habit
from numpy.typing import NDArray

from mapreel.core.contract.errors import UsageError
from mapreel.core.media.colour import LINEAR, PINNED, SRGB, UNKNOWN, colour_config, from_light, to_light
from mapreel.core.media.files import limit_openimageio

Codes = NDArray[np.uint8]  # [H, W, 3] as the screen takes it
Size = tuple[int, int]  # width, height

_NODES, _FINE = 64, 128  # of a display transform: computed, and interpolated to
_TOE, _BRIGHTEST = 0.01, 100.0  # of the curve that brings light to 0..1 for it
_MUCH_SMALLER = 0.6  # as an area; above it the mean takes five times as long and looks the same
_DITHER = np.array([[0, 1], [1, 0]], np.uint8)


@dataclass(frozen=True)
class Look:
    """How pictures come to the screen. display, view: of an OpenColorIO config (None: the built-in one); an empty
    display: plain sRGB, nothing in between. exposure: stops. gamma: 1 changes nothing."""

    display: str = ""
    view: str = ""
    exposure: float = 0.0
    gamma: float = 1.0
    config: str | None = None


PLAIN = Look()


def displays(config: str | None = None) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The displays of a config and the views of each. Raises UsageError."""
    colour_config(config)  # says what is wrong with it
    found = oiio.ColorConfig(config or PINNED)
    return tuple((name, tuple(found.getViewNames(name))) for name in found.getDisplayNames())


def develop(pixels: NDArray[Any], look: Look = PLAIN, *, space: str = SRGB, exact: bool = True) -> Codes:
    """A picture [H, W, 3] as the screen takes it, uint8: whole numbers are sRGB, floats light of the given space.

    exact: each pixel goes through OpenColorIO itself; else through a table of it, a step or two of 255 beside it and
    thirty times as fast. Plain sRGB of Rec. 709 is quick and exact.
    Raises UsageError for what the config does not know.
    """
    source = _source(pixels, space)
    if not look.display and source in (SRGB, LINEAR):
        if pixels.dtype == np.uint8 and look.exposure == 0.0 and look.gamma == 1.0:
            return np.asarray(pixels, np.uint8)
        table = _plain_table(pixels.dtype.str, look.exposure, look.gamma)
        return np.asarray(table[pixels.view(np.uint16) if pixels.dtype == np.float16 else pixels], np.uint8)
    if not look.display:
        look = Look(*_plain_view(look.config), look.exposure, look.gamma, look.config)
    return _through(_light(pixels), source, look) if exact else _by_table(pixels, source, look)


def _source(pixels: NDArray[Any], space: str) -> str:
    if pixels.dtype.kind != "f":
        return SRGB
    return LINEAR if space in (SRGB, UNKNOWN) else space


@functools.lru_cache(maxsize=16)
def _plain_table(kind: str, exposure: float, gamma: float) -> Codes:
    """Screen codes of every value that 8 bits, 16 bits or half floats can have."""
    dtype = np.dtype(kind)
    if dtype.kind == "f":
        light = np.arange(65536, dtype=np.uint16).view(np.float16).astype(np.float32)
        light = np.nan_to_num(light, nan=0.0, posinf=65504.0, neginf=0.0)
    else:
        top = np.iinfo(dtype).max
        light = to_light(np.arange(top + 1, dtype=np.float32) / np.float32(top))
    codes = from_light(light * np.float32(2.0**exposure)) ** (1.0 / gamma)
    return _rounded(codes)


def _rounded(shares: NDArray[np.floating]) -> NDArray[np.uint8]:
    """0..1 as codes; what lies beyond is held."""
    return np.asarray(np.rint(np.clip(shares, 0.0, 1.0) * 255.0), np.uint8)


def _plain_view(config: str | None) -> tuple[str, str]:
    """The display and view of a config that show colours as they are. Raises UsageError."""
    for display, views in displays(config):
        for view in views:
            if "srgb" in display.lower() and view.lower() in ("un-tone-mapped", "raw display", "standard"):
                return display, view
    display, views = displays(config)[0]
    return display, views[0]


def _light(pixels: NDArray[Any]) -> NDArray[np.float32]:
    if pixels.dtype.kind == "f":
        return pixels.astype(np.float32)
    return pixels.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max)


def _through(pixels: NDArray[np.float32], source: str, look: Look) -> Codes:
    """Colours [H, W, 3] of a space through OpenColorIO."""
    return _rounded(_displayed(pixels, source, look))


def _displayed(pixels: NDArray[np.float32], source: str, look: Look) -> NDArray[np.float32]:
    config = colour_config(look.config)
    start = config.resolve(source)
    if look.exposure:
        linear = config.resolve(LINEAR) if not config.is_linear(start) else start
        pixels = config.convert(pixels, start, linear) * np.float32(2.0**look.exposure)
        start = linear
    limit_openimageio()
    before = oiio.ImageBuf(np.ascontiguousarray(pixels, np.float32))
    after = oiio.ImageBufAlgo.ociodisplay(
        before, look.display, look.view, start, "", False, False, "", "", look.config or PINNED
    )
    if after.has_error:
        what = f"the view {look.view} of {look.display} cannot be shown"
        raise UsageError(what, "choose another view", detail=after.geterror())
    shown: NDArray[np.float32] = np.asarray(after.get_pixels(oiio.FLOAT), np.float32)
    return shown if look.gamma == 1.0 else np.clip(shown, 0.0, 1.0) ** np.float32(1.0 / look.gamma)


def _by_table(pixels: NDArray[Any], source: str, look: Look) -> Codes:
    """The same by 128 steps of each colour, dithered."""
    shaped = _shaper(pixels.dtype.str)[pixels.view(np.uint16) if pixels.dtype == np.float16 else pixels]
    h, w = shaped.shape[:2]
    pattern = np.tile(_DITHER, (h // 2 + 1, w // 2 + 1))[:h, :w, None].repeat(3, axis=2)
    steps = np.asarray(cv2.add(shaped, pattern), np.uint8) >> 1
    place = steps[..., 0].astype(np.int32)
    for channel in (1, 2):
        place = (place << 7) | steps[..., channel]
    return _table(source, look, pixels.dtype.kind == "f")[place]


@functools.lru_cache(maxsize=3)
def _shaper(kind: str) -> NDArray[np.uint8]:
    """Codes 0..255 of every value, evenly spread over what the eye tells apart."""
    dtype = np.dtype(kind)
    if dtype.kind == "f":
        light = np.nan_to_num(np.arange(65536, dtype=np.uint16).view(np.float16).astype(np.float32), nan=0.0)
        shaped = np.arcsinh(np.clip(light, 0.0, _BRIGHTEST) / _TOE) / np.arcsinh(_BRIGHTEST / _TOE)
    else:
        shaped = np.arange(np.iinfo(dtype).max + 1, dtype=np.float32) / np.iinfo(dtype).max
    return _rounded(shaped)


@functools.lru_cache(maxsize=4)
def _table(source: str, look: Look, floats: bool) -> Codes:
    """Screen codes [128³, 3]: the transform at 64³ colours, interpolated."""
    axis = np.linspace(0.0, 1.0, _NODES, dtype=np.float32)
    if floats:
        axis = (_TOE * np.sinh(axis * np.arcsinh(_BRIGHTEST / _TOE))).astype(np.float32)
    colors = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(_NODES, -1, 3)
    cube = _displayed(colors, source, look).reshape(_NODES, _NODES, _NODES, 3)
    at = np.linspace(0.0, _NODES - 1.0, _FINE)
    low = np.minimum(at.astype(int), _NODES - 2)
    weight = (at - low).astype(np.float32)
    for dimension in range(3):
        rest = np.moveaxis(cube, dimension, 0)
        between = weight.reshape(-1, 1, 1, 1)
        cube = np.moveaxis(rest[low] * (1 - between) + rest[low + 1] * between, 0, dimension)
    return _rounded(cube).reshape(-1, 3)


# -- maps --------------------------------------------------------------------------------------------------------------


def paint(ids: NDArray[np.unsignedinteger], colors: Codes) -> Codes:
    """Ids [H, W] in colours [N + 1, 3] of their own; the last one is for all ids beyond."""
    padded = np.zeros((len(colors), 4), np.uint8)
    padded[:, :3] = colors
    words = padded.view(np.uint32)[:, 0]  # a colour moved as one value
    if ids.dtype == np.uint8:
        found = words[np.minimum(np.arange(256), len(colors) - 1)].take(ids)
    else:
        found = words.take(np.minimum(ids, len(colors) - 1))
    return np.asarray(cv2.cvtColor(found.view(np.uint8).reshape(*ids.shape, 4), cv2.COLOR_RGBA2RGB), np.uint8)


def shades(ids: NDArray[np.unsignedinteger]) -> Codes:
    """Ids in colours that neighbours rarely share; 0 is black. For instances, which have no palette."""
    table = np.random.default_rng(3).integers(64, 256, (1024, 3), np.uint8)
    table[0] = 0
    return table[np.where(ids == 0, 0, 1 + ids.astype(np.uint32) % 1023)]


def arrows(motion: NDArray[np.floating]) -> Codes:
    """Motion [H, W, 2] as colours: the direction is the hue, the length the brightness."""
    field = motion.astype(np.float32)
    length, angle = cv2.cartToPolar(field[..., 0], field[..., 1], angleInDegrees=True)
    longest = max(1.0, float(np.percentile(length[::4, ::4], 99)))
    hsv = np.empty((*length.shape, 3), np.uint8)
    hsv[..., 0], hsv[..., 1] = (angle / 2).astype(np.uint8) % 180, 200
    hsv[..., 2] = np.clip(length * (255.0 / longest), 0, 255).astype(np.uint8)
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), np.uint8)


def hatch(picture: Codes, ids: NDArray[np.unsignedinteger], tiles: NDArray[np.bool_], scale: float = 1.0) -> Codes:
    """Draws over each id its pattern, darker or lighter than its colour.

    picture, ids: of one size. tiles: [N, S, S], the pattern of every id; the last one is for all ids beyond.
    scale: pixels of the screen for a point, so that lines stay as wide.
    """
    h, w = ids.shape
    wide = max(1, round(scale))
    side = tiles.shape[1]
    rows, columns = np.arange(h)[:, None] // wide % side, np.arange(w)[None, :] // wide % side
    marked = tiles[np.minimum(ids, len(tiles) - 1), rows, columns]
    bright = picture.astype(np.uint16).sum(axis=2) > 3 * 110
    shaded = np.where(bright[..., None], picture // 2, picture // 2 + 127).astype(np.uint8)
    return np.where(marked[..., None], shaded, picture)


# -- comparing and showing ---------------------------------------------------------------------------------------------


def fit_size(picture: NDArray[Any], size: Size) -> NDArray[Any]:
    """The picture in another size; where it becomes much smaller, by the mean of what falls together."""
    h, w = picture.shape[:2]
    if (w, h) == size:
        return picture
    smaller = size[0] * size[1] < _MUCH_SMALLER * w * h
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR))


def fit_ids(ids: NDArray[Any], size: Size) -> NDArray[Any]:
    """Ids in another size, none of them mixed."""
    if ids.shape[1::-1] == size:
        return ids
    return np.asarray(cv2.resize(ids, size, interpolation=cv2.INTER_NEAREST))


def difference(first: Codes, second: Codes, gain: float = 1.0) -> tuple[Codes, float]:
    """|first - second| times gain, and its mean in 8-bit steps without the gain. The second takes the first's size."""
    apart = cv2.absdiff(first, fit_size(second, (first.shape[1], first.shape[0])))
    mean = float(np.mean(cv2.mean(apart)[:3]))
    return (apart if gain == 1.0 else cv2.convertScaleAbs(apart, alpha=gain)), mean  # type: ignore[return-value]


def blend(below: Codes, above: Codes, opacity: float) -> Codes:
    """One picture over the other, in the size of the lower one."""
    fitted = fit_size(above, (below.shape[1], below.shape[0]))
    return np.asarray(cv2.addWeighted(below, 1.0 - opacity, fitted, opacity, 0.0), np.uint8)


def for_screen(picture: Codes, size: Size | None = None) -> NDArray[np.uint8]:
    """The picture as four bytes a pixel (blue, green, red, 255), reduced to a size."""
    words = np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2BGRA), np.uint8)
    return words if size is None else fit_size(words, size)
