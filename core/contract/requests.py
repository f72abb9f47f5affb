# SPDX-License-Identifier: Apache-2.0
"""What a panel, a node or the command line may ask for: frozen, versioned, checked when made and when read.

Only these cross a process. An unknown field, value or version is an error, never a guess.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import re
import types
import typing
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar, Union

from mapreel.core.contract.errors import UsageError
from mapreel.core.contract.frames import FrameRange, MissingFrames
from mapreel.core.contract.maps import MapOptions
from mapreel.core.contract.paths import checked_path

if typing.TYPE_CHECKING:
    from mapreel.core.contract.strict_json import JSON

FORMAT = "mapreel-request"
VERSION = 1
DEPTHS = ("8", "10", "12", "16", "half")
CRITICS = ("patch", "oasis")
BUILT_IN = "ocio://"
_PICTURE_PATHS = ("ocio", "plate", "c2pa_cert", "c2pa_key")
MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class Quality(str, Enum):
    """Which network renders, and how often (key frames)."""

    TEACHER = "teacher"
    FULL = "full"
    FAST = "fast"
    DRAFT = "draft"


class KeyRule(str, Enum):
    """Which frames the network makes in fast and draft quality: by what can be carried, or the paper's peaks."""

    ADAPTIVE = "adaptive"
    PAPER = "paper"


class ImageFormat(str, Enum):
    """The files of a take: PNG, TIFF or EXR in a folder, or how a movie is packed; png leaves that to its ending."""

    PNG = "png"
    EXR = "exr"
    TIFF = "tiff"
    H264 = "h264"
    H265 = "h265"
    PRORES = "prores"
    FFV1 = "ffv1"


class DecodeFormat(str, Enum):
    """The files of decoded frames. auto: PNG of 8 or 16 bits, or half-float EXR, as the archive's own depth wants it.

    Scene-linear archives become PNG, and display-referred ones EXR, by the curve of sRGB, unless a colour space is
    asked for. Of a movie auto is what its ending means.
    """

    AUTO = "auto"
    PNG = "png"
    PNG16 = "png16"
    EXR = "exr"
    EXR32 = "exr32"
    TIFF = "tiff"
    H264 = "h264"
    H265 = "h265"
    PRORES = "prores"
    FFV1 = "ffv1"


class Preset(str, Enum):
    """How long an encode may take."""

    DRAFT = "draft"
    GOOD = "good"
    BEST = "best"


def _need(good: bool, what: str, remedy: str) -> None:
    if not good:
        raise UsageError(what, remedy)


def _positive(value: float | None, field: str, largest: float) -> None:
    if value is not None:
        good = math.isfinite(value) and 0 < value <= largest
        _need(good, f"{field} is {value}", f"give a number above 0 and at most {largest:g}")


@dataclass(frozen=True, kw_only=True)
class Request:
    """The base of all requests; subclasses say which fields are paths."""

    kind: ClassVar[str] = ""
    path_fields: ClassVar[tuple[str, ...]] = ()
    version: int = VERSION

    def __post_init__(self) -> None:
        _need(self.version == VERSION, f"request version {self.version} is unknown", f"this Mapreel reads {VERSION}")
        for field, path in self.paths():
            checked_path(path, field)
        self._check()

    def _check(self) -> None:
        """Ranges of the fields that are not paths."""

    def paths(self) -> list[tuple[str, str]]:
        """Every path of the request with the name of its field."""
        found: list[tuple[str, str]] = []
        for name in self.path_fields:
            value = getattr(self, name)
            values = value if isinstance(value, tuple) else (value,)
            found += [(name, item[1] if isinstance(item, tuple) else item) for item in values if item is not None]
        return [(name, path) for name, path in found if not (name == "ocio" and path.startswith(BUILT_IN))]

    def to_json(self) -> dict[str, JSON]:
        """What is as it would be without being said is left out: an older service reads whatever asks nothing new."""
        unsaid = {field.name for field in dataclasses.fields(self) if getattr(self, field.name) == field.default}
        return {name: value for name, value in self.whole().items() if name not in unsaid}

    def whole(self) -> dict[str, JSON]:
        """Every field, for what is kept to be compared or read later."""
        fields = {field.name: _plain(getattr(self, field.name)) for field in dataclasses.fields(self)}
        return {"format": FORMAT, "type": self.kind, **fields}


@dataclass(frozen=True, kw_only=True)
class PictureRequest(Request):
    """What requests that write pictures share; all of it came with later versions and may be left out.

    bits, compression: see `pictures.file_spec`. colour_space: what the files shall be in, a name of the colour config;
    ocio: that config, a file or `ocio://…`. plate: EXR frames whose metadata and data window are kept. c2pa: mark every
    file as made by a network, signed with the certificate chain and key in these PEM files.
    """

    bits: int | None = None
    compression: str | None = None
    colour_space: str | None = None
    ocio: str | None = None
    plate: str | None = None
    c2pa: bool = False
    c2pa_cert: str | None = None
    c2pa_key: str | None = None

    def _check_pictures(self) -> None:
        _check_space(self.colour_space)
        given = self.c2pa_cert is not None and self.c2pa_key is not None
        some = self.c2pa_cert is not None or self.c2pa_key is not None
        _need(given or not self.c2pa, "c2pa needs a certificate and its key", "give --c2pa-cert and --c2pa-key")
        _need(self.c2pa or not some, "a certificate is given, but no mark is asked for", "add --c2pa")


PICTURE_FIELDS = ("bits", "compression", "colour_space", "ocio", "plate", "c2pa", "c2pa_cert", "c2pa_key")


@dataclass(frozen=True, kw_only=True)
class RenderRequest(MapOptions, PictureRequest):
    """Semantic maps in, photoreal frames (a folder) or a movie out. `model` is a shipped name or a folder.

    keys: a field of later versions; a request without it means the adaptive rule, the only one there was.
    """

    kind: ClassVar[str] = "render"
    path_fields: ClassVar[tuple[str, ...]] = ("labels", "out", "instances", "motion", "reference", *_PICTURE_PATHS)
    labels: str
    model: str
    out: str
    instances: str | None = None
    motion: str | None = None
    frames: str | None = None
    fps: float = 24.0
    quality: Quality = Quality.FULL
    missing: MissingFrames = MissingFrames.ERROR
    image_format: ImageFormat = ImageFormat.PNG
    reference: tuple[tuple[int, str], ...] = ()
    resume: bool = False
    keys: KeyRule = KeyRule.ADAPTIVE

    def _check(self) -> None:
        if not MODEL_NAME.fullmatch(self.model):
            checked_path(self.model, "model")
        chosen = self.keys is KeyRule.ADAPTIVE or self.quality in (Quality.FAST, Quality.DRAFT)
        _need(chosen, f"quality {self.quality.value} has no key frames to choose", "leave out keys or use quality fast")
        _check_maps(self)
        self._check_pictures()
        _check_frames(self.frames)
        _check_rate(self.fps)


@dataclass(frozen=True, kw_only=True)
class DraftRequest(MapOptions, Request):
    """One frame of a shot as a picture in memory, at once; no take, no job.

    quick: a first look, softer (half resolution) where the frame cannot be carried, for scrubbing; ask again without.
    """

    kind: ClassVar[str] = "draft"
    path_fields: ClassVar[tuple[str, ...]] = ("labels", "instances", "motion", "reference")
    labels: str
    model: str
    frame: int
    instances: str | None = None
    motion: str | None = None
    quality: Quality = Quality.DRAFT
    missing: MissingFrames = MissingFrames.ERROR
    reference: tuple[tuple[int, str], ...] = ()
    quick: bool = False

    def _check(self) -> None:
        if not MODEL_NAME.fullmatch(self.model):
            checked_path(self.model, "model")
        _need(abs(self.frame) < 10**9, f"the frame number is {self.frame}", "give one of at most nine digits")
        _check_maps(self)

    def as_render(self) -> RenderRequest:
        """The render of this frame alone; its `out` names nothing that is ever written."""
        return RenderRequest(
            labels=self.labels,
            model=self.model,
            out=self.labels,
            instances=self.instances,
            motion=self.motion,
            frames=str(self.frame),
            quality=self.quality,
            missing=self.missing,
            reference=self.reference,
            **self.map_options(),
        )


@dataclass(frozen=True, kw_only=True)
class EncodeRequest(Request):
    """A shot (sequence or movie) into a neural archive; at most one of the three targets.

    depth: bits a channel (8, 10, 12, 16) or half, as the source has them when left out. alpha: keep it where there is
    one. labels, instances: maps that go along, losslessly; palette: NAME or file, the names of their ids and what their
    colours mean; classes, layer, instance_layer: how they are read, as in MapOptions. recipe: a JSON file that goes
    along. timecode: HH:MM:SS:FF of the first frame. tags: names and texts. dated: note the day.
    intra: groups from one that stands alone to the next; the codec's own choice when left out. ocio: the colour config
    that knows the colour space.
    """

    kind: ClassVar[str] = "encode"
    path_fields: ClassVar[tuple[str, ...]] = ("source", "out", "labels", "instances", "recipe", "ocio")
    source: str
    out: str
    frames: str | None = None
    fps: float = 24.0
    profile: str = "reel"
    preset: Preset = Preset.GOOD
    psnr_db: float | None = None
    bits_per_pixel: float | None = None
    size_mb: float | None = None
    depth: str | None = None
    colour_space: str | None = None
    alpha: bool = True
    labels: str | None = None
    instances: str | None = None
    palette: str | None = None
    recipe: str | None = None
    timecode: str | None = None
    tags: tuple[tuple[str, str], ...] = ()
    dated: bool = False
    intra: int | None = None
    ocio: str | None = None
    classes: tuple[tuple[str, str], ...] = ()
    layer: str | None = None
    instance_layer: str | None = None

    @property
    def map_reading(self) -> MapOptions:
        """How the maps are read."""
        told = {"classes": self.classes, "layer": self.layer, "instance_layer": self.instance_layer}
        return MapOptions(palette=self.palette, **told)  # type: ignore[arg-type]

    def _check(self) -> None:
        _check_frames(self.frames)
        self.map_reading.check_map_options()
        bounded = self.intra is None or 1 <= self.intra <= 4096
        _need(bounded, f"intra is {self.intra}", "give a number of groups from 1 to 4096")
        known = self.depth is None or self.depth in DEPTHS
        _need(known, f"a depth of {str(self.depth)[:20]} is unknown", f"use one of {', '.join(DEPTHS)}")
        _check_space(self.colour_space)
        texts = all(0 < len(name) <= 200 and len(text) <= 10_000 for name, text in self.tags)
        _need(texts and len(self.tags) <= 1000, "the tags are too many or too long", "give fewer and shorter ones")
        _need(len({name for name, _ in self.tags}) == len(self.tags), "a tag is given twice", "give each once")
        if self.palette is not None and not MODEL_NAME.fullmatch(self.palette):
            checked_path(self.palette, "palette")
        _need(self.profile in {"nirvana", "reel"}, f"the profile “{self.profile}” is unknown", "use nirvana or reel")
        _check_rate(self.fps)
        _positive(self.psnr_db, "psnr_db", 100)
        _positive(self.bits_per_pixel, "bits_per_pixel", 96)
        _positive(self.size_mb, "size_mb", 1e6)
        targets = [self.psnr_db, self.bits_per_pixel, self.size_mb]
        many = sum(target is not None for target in targets) > 1
        _need(not many, "more than one target is given", "give one of psnr_db, bits_per_pixel and size_mb")


@dataclass(frozen=True, kw_only=True)
class DecodeRequest(PictureRequest):
    """Frames of a neural archive into a folder or a movie.

    region: x, y, width, height in pixels of the frame. scale: 1, 2, 4 or 8, what the sides are divided by. maps: also
    write the label and instance maps, their names and the render recipe, where the archive keeps them.
    """

    kind: ClassVar[str] = "decode"
    path_fields: ClassVar[tuple[str, ...]] = ("archive", "out", *_PICTURE_PATHS)
    archive: str
    out: str
    frames: str | None = None
    image_format: DecodeFormat = DecodeFormat.AUTO
    region: tuple[int, int, int, int] | None = None
    scale: int = 1
    maps: bool = False

    def _check(self) -> None:
        _check_frames(self.frames)
        self._check_pictures()
        _check_window(self.region, self.scale)


@dataclass(frozen=True, kw_only=True)
class PeekRequest(Request):
    """One frame of a neural archive as a picture for the screen, at once; no take, no job.

    frame: a frame number; None asks what the archive holds, without a picture. region, scale: as in DecodeRequest.
    """

    kind: ClassVar[str] = "peek"
    path_fields: ClassVar[tuple[str, ...]] = ("archive",)
    archive: str
    frame: int | None = None
    scale: int = 1
    region: tuple[int, int, int, int] | None = None

    def _check(self) -> None:
        near = self.frame is None or abs(self.frame) <= 10**9
        _need(near, f"the frame number is {self.frame}", "give one of at most nine digits")
        _check_window(self.region, self.scale)


@dataclass(frozen=True, kw_only=True)
class VerifyRequest(Request):
    """Read an archive from end to end and say what is whole."""

    kind: ClassVar[str] = "verify"
    path_fields: ClassVar[tuple[str, ...]] = ("archive",)
    archive: str


@dataclass(frozen=True, kw_only=True)
class InspectRequest(Request):
    """Say what is wrong with a sequence of label maps, and where; writes nothing but the picture.

    palette: NAME or file. picture: a PNG that shows the places. classes, layer: of EXR maps, as in MapOptions.
    """

    kind: ClassVar[str] = "inspect"
    path_fields: ClassVar[tuple[str, ...]] = ("source", "picture")
    source: str
    palette: str | None = None
    frames: str | None = None
    picture: str | None = None
    classes: tuple[tuple[str, str], ...] = ()
    layer: str | None = None

    @property
    def map_reading(self) -> MapOptions:
        """How the maps are read."""
        return MapOptions(classes=self.classes, layer=self.layer)

    def _check(self) -> None:
        _check_frames(self.frames)
        _check_palette(self.palette)
        _check_png(self.picture)
        self.map_reading.check_map_options()


@dataclass(frozen=True, kw_only=True)
class RepairRequest(Request):
    """Write mended copies of label maps into the folder `out`; fields as those of InspectRequest.

    missing: what stands for frames that are not there or cannot be read.
    """

    kind: ClassVar[str] = "repair"
    path_fields: ClassVar[tuple[str, ...]] = ("source", "out", "picture")
    source: str
    out: str
    palette: str | None = None
    frames: str | None = None
    picture: str | None = None
    missing: MissingFrames = MissingFrames.ERROR
    classes: tuple[tuple[str, str], ...] = ()
    layer: str | None = None

    @property
    def map_reading(self) -> MapOptions:
        """How the maps are read."""
        return MapOptions(classes=self.classes, layer=self.layer)

    def _check(self) -> None:
        _check_frames(self.frames)
        _check_palette(self.palette)
        _check_png(self.picture)
        self.map_reading.check_map_options()


@dataclass(frozen=True, kw_only=True)
class TrainRequest(Request):
    """Train a model on the artist's own shots (folders or prepared data sets) into the folder `out`.

    steps: in all, those before a resume included. palette: NAME or file; perceptual: LPIPS weights; teacher: a model
    whose frames are learnt from as well; critic: patch or oasis.
    """

    kind: ClassVar[str] = "train"
    path_fields: ClassVar[tuple[str, ...]] = ("data", "out", "perceptual")
    data: tuple[str, ...]
    out: str
    steps: int
    resume: bool = False
    name: str | None = None
    licence: str = ""
    palette: str | None = None
    perceptual: str | None = None
    teacher: str | None = None
    critic: str = "oasis"

    def _check(self) -> None:
        _need(bool(self.data), "no training data is given", "give at least one folder")
        _need(1 <= self.steps <= 10_000_000, f"steps is {self.steps}", "give a number from 1 to 10000000")
        _need(len(self.name or "") <= 200 and len(self.licence) <= 200, "name or licence is too long", "shorten it")
        _need(self.critic in CRITICS, f"there is no critic called {self.critic[:40]}", f"use {' or '.join(CRITICS)}")
        for field in ("palette", "teacher"):
            value = getattr(self, field)
            if value is not None and not MODEL_NAME.fullmatch(value):
                checked_path(value, field)


KINDS: dict[str, type[Request]] = {
    kind.kind: kind
    for kind in (
        RenderRequest,
        DraftRequest,
        EncodeRequest,
        DecodeRequest,
        PeekRequest,
        VerifyRequest,
        InspectRequest,
        RepairRequest,
        TrainRequest,
    )
}


def _check_frames(frames: str | None) -> None:
    if frames is not None:
        FrameRange.parse(frames)


def _check_window(region: tuple[int, int, int, int] | None, scale: int) -> None:
    _need(scale in (1, 2, 4, 8), f"the scale is 1/{scale}", "use 1, 1/2, 1/4 or 1/8")
    if region is not None:
        x, y, width, height = region
        sound = min(x, y) >= 0 and min(width, height) >= 1 and max(region) < 10**9
        _need(sound, f"the region is {region}", "give X,Y,WIDTH,HEIGHT in pixels")


def _check_space(space: str | None) -> None:
    named = space is None or (0 < len(space) <= 64 and space.isascii() and space.isprintable())
    _need(named, "the colour space has no usable name", "give 1 to 64 plain characters")


def _check_maps(options: MapOptions) -> None:
    options.check_map_options()
    if options.palette is not None and not MODEL_NAME.fullmatch(options.palette):
        checked_path(options.palette, "palette")


def _check_palette(palette: str | None) -> None:
    if palette is not None and not MODEL_NAME.fullmatch(palette):
        checked_path(palette, "palette")


def _check_png(picture: str | None) -> None:
    good = picture is None or picture.lower().endswith(".png")
    _need(good, f"the picture {picture} is no PNG", "call it name.png")


def _check_rate(fps: float) -> None:
    good = 0.001 <= fps <= 1000  # below, the fraction that a movie keeps would be zero
    _need(good, f"fps is {fps}", "give a number from 0.001 to 1000")


def _plain(value: Any) -> JSON:
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    plain: JSON = value
    return plain


def _wrong(value: object, field: str, expected: str) -> UsageError:
    shown = repr(value)
    return UsageError(f"{field} is {shown[:80]}", f"it must be {expected}")


def _read_enum(kind: type[Enum], value: object, field: str) -> Enum:
    words = [str(member.value) for member in kind]
    if not isinstance(value, str) or value not in words:
        raise _wrong(value, field, "one of " + ", ".join(words))
    return kind(value)


def _read_tuple(kinds: tuple[Any, ...], value: object, field: str) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise _wrong(value, field, "a list")
    if kinds[-1] is Ellipsis:
        return tuple(_read(kinds[0], item, field) for item in value)
    if len(value) != len(kinds):
        raise _wrong(value, field, f"a list of {len(kinds)} values")
    return tuple(_read(kind, item, field) for kind, item in zip(kinds, value, strict=True))


def _read(kind: Any, value: object, field: str) -> Any:
    origin = typing.get_origin(kind)
    if origin in (Union, types.UnionType):
        inner = [part for part in typing.get_args(kind) if part is not type(None)]
        return None if value is None else _read(inner[0], value, field)
    if origin is tuple:
        return _read_tuple(typing.get_args(kind), value, field)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _read_enum(kind, value, field)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise _wrong(value, field, {str: "text", int: "a whole number", float: "a number", bool: "true or false"}[kind])
    return value


@functools.cache  # a millisecond each time, and an estimate reads hundreds of requests
def _hints(kind: str) -> dict[str, Any]:
    return typing.get_type_hints(KINDS[kind])


def _fields(kind: type[Request], data: dict[str, object]) -> dict[str, Any]:
    hints = _hints(kind.kind)
    known = {field.name: field for field in dataclasses.fields(kind)}
    unknown = sorted(set(data) - set(known))
    _need(not unknown, f"a {kind.kind} request has no field “{', '.join(unknown)[:100]}”", "leave it out")
    needed = [name for name, field in known.items() if field.default is dataclasses.MISSING and name not in data]
    _need(not needed, f"the {kind.kind} request lacks {', '.join(needed)}", "give it")
    return {name: _read(hints[name], value, name) for name, value in data.items()}


def request_from_json(data: object) -> Request:
    """The request that `to_json` wrote. Raises UsageError for whatever is unknown, missing or of the wrong type."""
    if not isinstance(data, dict):
        raise UsageError("a request is not an object", "send what to_json gives")
    rest = dict(data)
    _need(rest.pop("format", FORMAT) == FORMAT, "this is no Mapreel request", f"its format must be {FORMAT}")
    name = rest.pop("type", None)
    kind = KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise _wrong(name, "the type of the request", "one of " + ", ".join(KINDS))
    return kind(**_fields(kind, rest))
