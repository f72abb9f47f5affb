# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads label maps and instance maps as exact integers: never filtered, scaled or colour-managed.

What a map says is found first (`read_coded`: ids, colours of a palette, names of a Cryptomatte), then brought to
classes (`classes.apply_rules`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapreel.core.contract.errors import InputError, UnknownLabelError
from mapreel.core.contract.maps import MapOptions
from mapreel.core.media.classes import ClassRules, Coded, Entry, apply_rules
from mapreel.core.media.colorcoded import ids_of_colors, no_palette, packed_colors
from mapreel.core.media.cryptomatte import Cryptomatte, choose, cryptomattes, read_cryptomatte
from mapreel.core.media.exrlayers import ExrLayout, exr_layout
from mapreel.core.media.files import damaged, kind_of, picture_name, read_file, read_head, unsupported
from mapreel.core.media.images import read_picture
from mapreel.core.media.indexpass import LARGEST_ID, choose_layer, index_layers, of_pair, read_index
from mapreel.core.media.palettes import Palette, load_palette
from mapreel.core.media.pngfile import PngColor, PngFile, integer_samples, palette_colors, parse_png
from mapreel.core.media.readers import read_apart
from mapreel.core.media.tiffids import Photometric, read_tiff, tiff_ids

_HEAD_BYTES = 64


@dataclass(frozen=True)
class MapReading:
    """How the maps of one sequence are read. layer: of an EXR. flag: the option that names it, for sentences."""

    palette: Palette | None = None
    rules: ClassRules = field(default_factory=ClassRules)
    layer: str | None = None
    flag: str = "--layer"


PLAIN = MapReading()
INSTANCE_FLAG = "--instance-layer"
PLAIN_INSTANCES = MapReading(flag=INSTANCE_FLAG)


def label_reading(options: MapOptions, rules: ClassRules | None = None) -> MapReading:
    """How label maps are read for a request. rules: whose classes they become. Raises as `load_palette`."""
    return MapReading(
        palette=load_palette(options.palette) if options.palette is not None else None,
        rules=rules or ClassRules(options.classes),
        layer=options.layer,
    )


def instance_reading(options: MapOptions) -> MapReading:
    """How instance maps are read for a request: no palette and no classes, every id is one of its own."""
    return MapReading(layer=options.instance_layer, flag=INSTANCE_FLAG)


@read_apart
def read_label_map(path: Path, *, frame: int | None = None, reading: MapReading = PLAIN) -> NDArray[np.uint16]:
    """Class ids [H, W] uint16 of one label map.

    Takes PNG and TIFF: grey (the integers in the file) or indexed (the indices), and with a palette its exact colours;
    EXR: index passes and, by rules, Cryptomatte.
    Raises MissingInputError, DamagedFileError, FileTooLargeError, UnsupportedFileError, InputError (several layers and
    none named), UnknownLabelError (colours without a palette or not in it, names without a class, soft edges).
    """
    path = Path(path)
    coded = read_coded(path, frame, reading, "label map")
    if coded.certain and not reading.rules.rules:
        return coded.codes.astype(np.uint16, copy=False)
    return apply_rules(coded, reading.rules, path, frame)


@read_apart
def read_instance_map(
    path: Path, *, frame: int | None = None, reading: MapReading = PLAIN_INSTANCES
) -> NDArray[np.uint16]:
    """Instance ids [H, W] uint16 of one instance map; files and errors as in read_label_map.

    Ids beyond 65535, colours and Cryptomatte names become `instance_number`s.
    """
    path = Path(path)
    data_kind = kind_of(read_head(path, _HEAD_BYTES, frame))
    if data_kind in ("png", "tiff"):
        found = _instance_colors(path, frame, data_kind)
        if found is not None:
            return instance_numbers(found)
    return instance_numbers(read_coded(path, frame, reading, "instance map").codes)


def label_of_samples(samples: NDArray[Any], path: Path, frame: int, reading: MapReading) -> NDArray[np.uint16]:
    """A label map of the samples of a movie, [H, W] or [H, W, 3]; errors as in read_label_map."""
    if samples.ndim == 2:
        coded = _with_names(samples, reading.palette)
    else:
        coded = _colors(packed_colors(samples, path, frame), path, frame, reading)
    return apply_rules(coded, reading.rules, path, frame)


def instance_of_samples(samples: NDArray[Any], path: Path, frame: int) -> NDArray[np.uint16]:
    """An instance map of the samples of a movie; colours as in read_instance_map."""
    if samples.ndim == 2:
        return instance_numbers(samples)
    packed = packed_colors(samples, path, frame)
    return instance_numbers(((packed & 0xFF) << 16 | (packed & 0xFF00) | packed >> 16).astype(np.uint32))


def instance_numbers(ids: NDArray[np.unsignedinteger]) -> NDArray[np.uint16]:
    """Ids of any size as 16 bit: 0 stays nothing, those up to 65535 stay, others are folded, alike in every frame."""
    if ids.size == 0 or ids.max() <= LARGEST_ID:  # nearly always, and forty times as quick
        return ids.astype(np.uint16)
    wide = ids.astype(np.int64)
    folded = np.where(wide == 0, 0, 1 + (wide - 1) % LARGEST_ID)
    return folded.astype(np.uint16)


def _instance_colors(path: Path, frame: int | None, kind: str) -> NDArray[np.uint32] | None:
    """An instance map of one colour each, as COCO's panoptic maps count: red + 256 green + 65536 blue; None for ids."""
    if kind == "png":
        if parse_png(read_file(path, frame), path, frame).header.color not in (PngColor.RGB, PngColor.RGBA):
            return None
        pixels = read_picture(path, frame=frame)
    else:
        pixels, header = read_tiff(path, frame)
        if header.photometric != Photometric.RGB:
            return None
    packed = packed_colors(pixels, path, frame)
    return ((packed & 0xFF) << 16 | (packed & 0xFF00) | packed >> 16).astype(np.uint32)


def instance_edges(instance: NDArray[np.unsignedinteger]) -> NDArray[np.bool_]:
    """Edge map [H, W] bool: true where a pixel's instance id differs from any of its 4 neighbours.

    Source: the boundary map of pix2pixHD (Wang et al. 2018, section 3.3).
    """
    edges = np.zeros(instance.shape, np.bool_)
    across = instance[:, 1:] != instance[:, :-1]
    down = instance[1:, :] != instance[:-1, :]
    edges[:, 1:] |= across
    edges[:, :-1] |= across
    edges[1:, :] |= down
    edges[:-1, :] |= down
    return edges


def read_coded(path: Path, frame: int | None, reading: MapReading, what: str = "label map") -> Coded:
    """A map as it says itself, before its entries are classes; errors as in read_label_map."""
    data = read_file(path, frame)
    kind = kind_of(data)
    if kind == "png":
        return _png(parse_png(data, path, frame), path, frame, reading)
    if kind == "tiff":
        return _tiff(path, frame, reading)
    if kind == "exr":
        return _exr(exr_layout(path, frame), path, frame, reading)
    if kind == "" and path.suffix.lower() in (".png", ".tif", ".tiff", ".exr"):
        raise damaged(path, frame, f"is called a {path.suffix[1:].upper()} but does not begin like one")
    why = {"jpeg": ", and compression has changed its ids", "bigtiff": " (it is a BigTIFF)"}.get(kind, "")
    raise unsupported(
        path,
        frame,
        f"is no PNG, TIFF or EXR, so it is no {what}{why}",
        "save the ids as 8 or 16 bit grey or indexed PNG",
    )


def _with_names(ids: NDArray[np.unsignedinteger], palette: Palette | None) -> Coded:
    names = palette.names if palette is not None else {}
    return Coded(ids, {i: Entry(name, i) for i, name in names.items()}, certain=palette is None)


def _png(png: PngFile, path: Path, frame: int | None, reading: MapReading) -> Coded:
    color = png.header.color
    if color in (PngColor.GREY, PngColor.INDEXED):
        ids = integer_samples(png, path, frame)
        if color is PngColor.INDEXED and reading.palette is not None:
            return _indexed(ids, palette_colors(png), reading.palette)
        return _with_names(ids, reading.palette)
    if color is PngColor.GREY_ALPHA:
        raise UnknownLabelError(
            f"{picture_name(path, frame)} has alpha beside its grey, so its class ids are unknown",
            "save the ids themselves as 8 or 16 bit grey or indexed PNG",
            file=str(path),
            frame=frame,
        )
    return _colors(packed_colors(read_picture(path, frame=frame), path, frame), path, frame, reading)


def _indexed(ids: NDArray[np.unsignedinteger], colors: NDArray[np.uint32], palette: Palette) -> Coded:
    """Indices are the ids, unless their colours are all the palette's and tell other classes.

    That is what programs make that save few colours as indexed: they number them as they come.
    """
    known, classes = palette.by_color
    used = np.unique(ids)
    used = used[used < len(colors)]
    shown = colors[used]
    at = np.minimum(np.searchsorted(known, shown), len(known) - 1)
    own = {entry.id: entry.color for entry in palette.classes}
    straight = all(
        tuple(int(color) >> shift & 0xFF for shift in (16, 8, 0)) == own.get(int(i))
        for i, color in zip(used, shown, strict=True)
    )
    if straight or len(used) == 0 or (known[at] != shown).any():
        return _with_names(ids, palette)
    table = np.zeros(256, np.uint16)
    table[used] = classes[at]
    return _with_names(table[ids], palette)


def _tiff(path: Path, frame: int | None, reading: MapReading) -> Coded:
    pixels, header = read_tiff(path, frame)
    if header.samples == 1:
        ids = tiff_ids(pixels, header, path, frame)
        if header.photometric == Photometric.PALETTE and reading.palette is not None and header.bits == 8:
            wide = np.array(header.colors, np.uint32).reshape(3, -1) >> 8
            return _indexed(ids, wide[0] << 16 | wide[1] << 8 | wide[2], reading.palette)
        return _with_names(ids, reading.palette)
    if header.samples not in (3, 4) or pixels.dtype not in (np.uint8, np.uint16):
        raise unsupported(path, frame, f"has {header.samples} channels of {header.bits} bits", "save 8-bit RGB or ids")
    return _colors(packed_colors(pixels, path, frame), path, frame, reading)


def _colors(packed: NDArray[np.uint32], path: Path, frame: int | None, reading: MapReading) -> Coded:
    if reading.palette is None:
        raise no_palette(packed, path, frame)
    return _with_names(ids_of_colors(packed, reading.palette, path, frame), reading.palette)


def _exr(layout: ExrLayout, path: Path, frame: int | None, reading: MapReading) -> Coded:
    mattes = cryptomattes(layout, path, frame)
    if reading.layer is not None:
        matte = choose(mattes, reading.layer, path, frame)
        if matte is not None:
            return read_cryptomatte(matte, path, frame)
        channels = choose_layer(layout, reading.layer)
        if channels:
            return _with_names(read_index(channels, path, frame), reading.palette)
        raise _which(path, frame, f"has no layer {reading.layer[:100]}", mattes, layout, reading.flag)
    indices = index_layers(layout)
    paired = of_pair(indices, instances=reading.flag == INSTANCE_FLAG) if not mattes else None
    if paired is not None:
        return _with_names(read_index(indices[paired], path, frame), reading.palette)
    if len(mattes) + len(indices) != 1:
        how = "holds several maps" if mattes or indices else "holds no Cryptomatte and no index pass that we know"
        raise _which(path, frame, how, mattes, layout, reading.flag)
    if mattes:
        return read_cryptomatte(mattes[0], path, frame)
    return _with_names(read_index(next(iter(indices.values())), path, frame), reading.palette)


def _which(
    path: Path, frame: int | None, how: str, mattes: list[Cryptomatte], layout: ExrLayout, flag: str
) -> InputError:
    mattes_and_indices = [matte.name for matte in mattes] + list(index_layers(layout))
    names = mattes_and_indices or [name for name in layout.layers() if name] or [c.name for c in layout.channels]
    listed = ", ".join(names[:12]) + (" …" if len(names) > 12 else "")
    return InputError(
        f"{picture_name(path, frame)} {how}", f"choose with {flag} NAME (it has {listed})", file=str(path), frame=frame
    )
