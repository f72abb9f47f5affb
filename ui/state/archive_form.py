# SPDX-License-Identifier: GPL-3.0-or-later
"""What is chosen for archiving the current shot, and for verifying and decoding the archive that is open."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PyQt6.QtCore import QTimer, pyqtSignal

from mapreel.core.contract.errors import MapreelError, UsageError
from mapreel.core.contract.requests import Preset, VerifyRequest
from mapreel.ui.state.archive_choice import (
    Aim,
    DecodeChoice,
    EncodeChoice,
    decode_problems,
    decode_request,
    encode_problems,
    encode_request,
    meaning,
    target_bytes,
)
from mapreel.ui.state.archive_look import ArchiveFacts, read_facts, recipe_of, source_facts
from mapreel.ui.state.archive_measure import ArchiveMeasure
from mapreel.ui.state.bridge import ServiceState
from mapreel.ui.state.job_watch import JobWatch
from mapreel.ui.state.messages import sentence
from mapreel.ui.state.observable import Observable, Property
from mapreel.ui.state.render_choice import free_bytes, next_name, studio_config
from mapreel.ui.state.shot import Layer, ShotKind
from mapreel.ui.text import tr

if TYPE_CHECKING:
    from mapreel.core.contract.client import ServiceClient
    from mapreel.core.contract.requests import EncodeRequest
    from mapreel.ui.state.archive_look import SourceFacts
    from mapreel.ui.state.bridge import ServiceBridge
    from mapreel.ui.state.errands import Errands
    from mapreel.ui.state.jobs import Jobs
    from mapreel.ui.state.messages import Messages
    from mapreel.ui.state.preferences import Preferences
    from mapreel.ui.state.shot import ShotState
    from mapreel.ui.state.shots import Shots

LOOK_MS = 250
_KEPT = ("aim", "psnr_db", "bits_per_pixel", "size_mb", "preset", "depth", "alpha", "with_maps", "with_recipe")
_FIELDS = (*_KEPT, "layer", "frames", "folder", "name", "recipe", "colour_space")
_DECODE_FIELDS = ("decode_frames", "decode_format", "decode_scale", "decode_maps", "decode_folder", "decode_name")


class ArchiveForm(Observable):
    """Encode for a shot of maps or pictures; facts, verify and decode for an archive."""

    layer = Property(Layer.RESULT)
    """RESULT or TRUTH: what of the shot is archived."""
    layer_changed = pyqtSignal(object)
    frames = Property("")
    """As typed; empty: the cut range."""
    frames_changed = pyqtSignal(object)
    aim = Property(Aim.QUALITY)
    aim_changed = pyqtSignal(object)
    psnr_db = Property(38.0)
    psnr_db_changed = pyqtSignal(object)
    bits_per_pixel = Property(0.1)
    bits_per_pixel_changed = pyqtSignal(object)
    size_mb = Property(5.0)
    size_mb_changed = pyqtSignal(object)
    preset = Property(Preset.GOOD)
    preset_changed = pyqtSignal(object)
    depth = Property("")
    """One of requests.DEPTHS; empty: as the pictures have it."""
    depth_changed = pyqtSignal(object)
    alpha = Property(True)
    alpha_changed = pyqtSignal(object)
    with_maps = Property(True)
    with_maps_changed = pyqtSignal(object)
    with_recipe = Property(True)
    with_recipe_changed = pyqtSignal(object)
    recipe = Property("")
    """The JSON file that goes along; found beside a take."""
    recipe_changed = pyqtSignal(object)
    colour_space = Property("")
    """Empty: as the files say."""
    colour_space_changed = pyqtSignal(object)
    folder = Property("")
    folder_changed = pyqtSignal(object)
    name = Property("")
    name_changed = pyqtSignal(object)
    decode_frames = Property("")
    decode_frames_changed = pyqtSignal(object)
    decode_format = Property("auto")
    decode_format_changed = pyqtSignal(object)
    decode_scale = Property(1)
    decode_scale_changed = pyqtSignal(object)
    decode_maps = Property(False)
    decode_maps_changed = pyqtSignal(object)
    decode_folder = Property("")
    decode_folder_changed = pyqtSignal(object)
    decode_name = Property("")
    decode_name_changed = pyqtSignal(object)
    problems = Property[tuple[tuple[str, str], ...]](())
    """Field and sentence: what cannot be encoded so."""
    problems_changed = pyqtSignal(object)
    decode_problems = Property[tuple[tuple[str, str], ...]](())
    decode_problems_changed = pyqtSignal(object)
    reason = Property("")
    """Why nothing can be encoded now."""
    reason_changed = pyqtSignal(object)
    meaning = Property("")
    """What the aim means in plain words."""
    meaning_changed = pyqtSignal(object)
    weight = Property[int | None](None)
    """Bytes that the archive will have, exactly; None where quality decides."""
    weight_changed = pyqtSignal(object)
    take = Property("")
    """The file name that would be written now."""
    take_changed = pyqtSignal(object)
    free = Property[int | None](None)
    free_changed = pyqtSignal(object)
    estimate = Property[Any](None)
    """What the service thinks an encode takes; None: not known."""
    estimate_changed = pyqtSignal(object)
    facts = Property[ArchiveFacts | None](None)
    """Of the archive that is open; None for another shot, and while it is looked into."""
    facts_changed = pyqtSignal(object)

    def __init__(
        self,
        shots: Shots,
        jobs: Jobs,
        bridge: ServiceBridge,
        errands: Errands,
        preferences: Preferences,
        messages: Messages,
    ) -> None:
        super().__init__()
        self._shots, self._bridge, self._errands = shots, bridge, errands
        self._preferences, self._messages = preferences, messages
        self._shot: ShotState | None = None
        self._source: SourceFacts | None = None
        self._blocked = ""
        self.encoding = JobWatch(jobs, messages, "encode")
        self.verifying = JobWatch(jobs, messages, "verify")
        self.decoding = JobWatch(jobs, messages, "decode")
        self.measure = ArchiveMeasure(bridge)
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(LOOK_MS)
        self._later.timeout.connect(self._look_around)
        self._recall()
        for field in (*_FIELDS, *_DECODE_FIELDS):
            getattr(self, f"{field}_changed").connect(self._changed)
        self.layer_changed.connect(lambda _: self._look_at_source())
        bridge.state_changed.connect(self._changed)
        self.encoding.ended.connect(self._changed)
        shots.current_changed.connect(self._turn_to)
        self._turn_to(shots.current)

    # -- what is chosen --------------------------------------------------------------------------------------------

    def layers(self) -> tuple[Layer, ...]:
        """What of the current shot can be archived."""
        shot = self._shot
        there = {Layer.RESULT: shot.result, Layer.TRUTH: shot.truth} if shot is not None else {}
        return tuple(layer for layer, source in there.items() if source)

    @property
    def is_archive(self) -> bool:
        """Whether the current shot is an archive."""
        return self._shot is not None and self._shot.kind is ShotKind.ARCHIVE

    def choice(self) -> EncodeChoice:
        """What would be encoded."""
        shot, source = self._shot, self._source
        if shot is None or source is None or shot.kind is ShotKind.ARCHIVE:
            return EncodeChoice()
        maps = self.with_maps
        return EncodeChoice(
            source=source.source,
            numbers=source.numbers,
            size=source.size,
            frames=self.frames,
            fps=shot.fps,
            aim=self.aim,
            psnr_db=self.psnr_db,
            bits_per_pixel=self.bits_per_pixel,
            size_mb=self.size_mb,
            preset=self.preset,
            depth=self.depth,
            alpha=self.alpha,
            labels=shot.labels if maps else "",
            instances=shot.instances if maps else "",
            palette=shot.palette,
            recipe=self.recipe if self.with_recipe else "",
            colour_space=self.colour_space,
            ocio=studio_config(),
            folder=self.folder,
            name=self.name,
        )

    def decode_choice(self) -> DecodeChoice:
        """What would be decoded."""
        shot = self._shot
        return DecodeChoice(
            archive=shot.archive if shot is not None else "",
            numbers=shot.numbers if shot is not None else (),
            frames=self.decode_frames,
            format=self.decode_format,
            scale=self.decode_scale,
            maps=self.decode_maps,
            folder=self.decode_folder,
            name=self.decode_name,
        )

    # -- what is done ----------------------------------------------------------------------------------------------

    def encode(self) -> None:
        """Queue the encode."""
        self._start(self.encoding, lambda: encode_request(self.choice()))

    def decode(self) -> None:
        """Queue the decode of the open archive."""
        self._start(self.decoding, lambda: decode_request(self.decode_choice()))

    def verify(self) -> None:
        """Queue the verification of the open archive."""
        if self._shot is not None and self._shot.archive:
            archive = self._shot.archive
            self._start(self.verifying, lambda: VerifyRequest(archive=archive))

    def _start(self, watch: JobWatch, make: Any) -> None:
        try:
            watch.start(make())
        except MapreelError as error:
            self._messages.say_error(error, key="archive")

    # -- following -------------------------------------------------------------------------------------------------

    def _turn_to(self, shot: ShotState | None) -> None:
        if self._shot is not None:
            for signal in (self._shot.result_changed, self._shot.truth_changed, self._shot.takes_changed):
                signal.disconnect(self._sources_changed)
            for signal in (self._shot.cut_in_changed, self._shot.cut_out_changed):
                signal.disconnect(self._cut_changed)
        self._shot, self._source = shot, None
        self.facts = None
        self.verifying.put_away()
        if shot is None:
            self._changed()
            return
        for signal in (shot.result_changed, shot.truth_changed, shot.takes_changed):
            signal.connect(self._sources_changed)
        for signal in (shot.cut_in_changed, shot.cut_out_changed):
            signal.connect(self._cut_changed)
        self._cut_changed()
        if shot.kind is ShotKind.ARCHIVE:
            self._open_archive(shot)
        else:
            self._sources_changed()

    def _sources_changed(self, _: object = None) -> None:
        there = self.layers()
        if there and self.layer not in there:
            self.layer = there[0]
        else:
            self._look_at_source()

    def _cut_changed(self, _: object = None) -> None:
        shot = self._shot
        if shot is not None and shot.numbers:
            whole = (shot.cut_in, shot.cut_out) == (shot.first, shot.last)
            self.frames = self.decode_frames = "" if whole else shot.cut_range

    def _look_at_source(self) -> None:
        shot = self._shot
        if shot is None or shot.kind is ShotKind.ARCHIVE:
            return
        source = shot.result if self.layer is Layer.RESULT else shot.truth
        self._source = None
        if not source:
            self._changed()
            return
        place = Path(source)
        self.folder = str(
            place.parent if place.suffix or place.name.lower() not in ("color", "colour") else place.parent.parent
        )
        self.name = "".join("_" if letter in '/\\:*?"<>|' else letter for letter in shot.name) or "shot"
        self.recipe = ""
        self._errands.ask(
            partial(_both, source), self._found_source, self._lost_source, lane="archive source", newest=True
        )

    def _found_source(self, told: tuple[SourceFacts, str]) -> None:
        self._source, self.recipe = told
        self._blocked = ""
        self._changed()

    def _lost_source(self, error: MapreelError) -> None:
        self._blocked = str(error)
        self._changed()

    def _open_archive(self, shot: ShotState) -> None:
        place = Path(shot.archive)
        self.decode_folder, self.decode_name = str(place.parent), f"{place.stem}_frames"

        def came(facts: ArchiveFacts) -> None:
            if shot is self._shot:
                self.facts = facts
                self.measure.open(shot.archive, len(facts.groups), self._original(facts))

        failed = partial(self._messages.say_error, key="archive facts")
        self._bridge.ask(partial(read_facts, shot.archive), came, failed, lane="peek facts", newest=True)
        self._changed()

    def _original(self, facts: ArchiveFacts) -> str:
        """The pictures that an open archive was made of, where they are open, too."""
        named = dict(facts.provenance).get("source", "")
        for shot in self._shots.open:
            for source in (shot.result, shot.truth):
                if source and Path(source).name == named and set(facts.numbers) <= set(shot.numbers):
                    return source
        return ""

    # -- what comes of it --------------------------------------------------------------------------------------------

    def _changed(self, _: object = None) -> None:
        self._remember()
        choice = self.choice()
        self.problems = tuple(encode_problems(choice).items())
        self.decode_problems = tuple(decode_problems(self.decode_choice()).items()) if self.is_archive else ()
        self.reason = self._reason()
        good = not any(field in ("source", "frames") for field, _ in self.problems)
        self.meaning = meaning(choice) if good else ""
        self.weight = target_bytes(choice) if good else None
        self._later.start()

    def _reason(self) -> str:
        if self._shot is None:
            return tr("No shot is open.")
        if self._blocked:
            return sentence(self._blocked)
        if self._bridge.state is ServiceState.GONE:
            return tr("The service does not answer.")
        if self._source is None and self.layers():
            return tr("The pictures are being looked at.")
        return self.problems[0][1] if self.problems else ""

    def _look_around(self) -> None:
        """The name that would be written, the room for it, and what the service thinks."""
        self.estimate = None
        if not self.folder or self.problems:
            return
        out, folder = self.choice().out, self.folder

        def came(told: tuple[tuple[str, str], int | None]) -> None:
            (self.take, self._blocked), self.free = told
            self.reason = self._reason()

        self._errands.ask(lambda: (next_name(out), free_bytes(folder)), came, lane="archive place", newest=True)
        self._ask_estimate()

    def _ask_estimate(self) -> None:
        """Asked of the service, which knows how fast this machine is; one that runs already."""
        if self._bridge.state is not ServiceState.HERE:
            return
        try:
            request = encode_request(self.choice())
        except UsageError:  # a source has gone since its problems were looked for
            return
        estimate = partial(_estimate, request)
        self._bridge.ask(estimate, lambda told: setattr(self, "estimate", told), lane="estimate encode", newest=True)

    def _recall(self) -> None:
        kept = self._preferences.kept("archive", {})
        kinds: dict[str, Any] = {"aim": Aim, "preset": Preset}
        for field in _KEPT:
            value = kept.get(field) if isinstance(kept, dict) else None
            if value is not None and isinstance(value, type(getattr(self, field)) if field not in kinds else str):
                try:
                    setattr(self, field, kinds.get(field, lambda same: same)(value))
                except ValueError:
                    continue

    def _remember(self) -> None:
        kept = {field: getattr(self, field) for field in _KEPT}
        kept |= {"aim": self.aim.value, "preset": self.preset.value}
        self._preferences.keep("archive", kept)


def _estimate(request: EncodeRequest, client: ServiceClient) -> Any:
    return client.estimate(request)


def _both(source: str) -> tuple[SourceFacts, str]:
    return source_facts(source), recipe_of(source)
