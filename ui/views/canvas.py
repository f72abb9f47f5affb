# SPDX-License-Identifier: GPL-3.0-or-later
"""The picture itself: drawn from images that a thread has made in the right size, zoomed, dragged, wiped."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from PyQt6.QtCore import QPointF, QRectF, QSizeF, Qt, pyqtSignal
from PyQt6.QtGui import QColor, QPainter
from PyQt6.QtWidgets import QSizePolicy, QWidget

from mapreel.ui.state.shot import Layer
from mapreel.ui.state.viewer_plan import Mode
from mapreel.ui.state.viewport import Viewport
from mapreel.ui.text import tr
from mapreel.ui.views.layer_names import layer_name
from mapreel.ui.views.wipe import Part, WipeLine

if TYPE_CHECKING:
    from PyQt6.QtGui import QMouseEvent, QPaintEvent, QResizeEvent, QWheelEvent

    from mapreel.ui.state.darkroom import Developed
    from mapreel.ui.state.viewer import ViewerState
    from mapreel.ui.state.viewer_plan import Shown

GROUND = QColor(30, 30, 31)  # of every scheme: colours are judged against it
_WORDS, _CHIP = QColor(190, 190, 194), QColor(0, 0, 0, 130)
_PIXELS = 3.0  # from this zoom on pixels are shown as squares, unless the picture is fitted
_MOST_TARGET = 8_000_000  # pixels that a thread makes in the size of the screen; beyond, Qt stretches what is seen
_WHEEL = 1.2  # for a notch of the wheel


class Canvas(QWidget):
    """Bound to the viewer's state. Costs nothing while nothing changes."""

    painted = pyqtSignal(int)
    """The number of the frame that was drawn."""
    full_screen_wanted = pyqtSignal()

    def __init__(self, viewer: ViewerState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._drag: QPointF | None = None
        self._part = Part.NONE
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(160, 120)
        self.setAccessibleName(tr("Picture"))
        for name in ("fit", "zoom", "centre", "mode"):
            getattr(viewer, f"{name}_changed").connect(self._resized)
        for name in ("shown", "wipe_at", "wipe_angle"):
            getattr(viewer, f"{name}_changed").connect(self._repaint)

    # -- geometry ------------------------------------------------------------------------------------------------------

    def viewport(self) -> Viewport:
        """Where the picture lies now."""
        viewer = self._viewer
        return Viewport(
            QSizeF(self.size()),
            viewer.size,
            2 if viewer.mode is Mode.SIDE else 1,
            None if viewer.fit else viewer.zoom,
            viewer.centre,
            self.devicePixelRatioF(),
        )

    def zoom_by(self, factor: float, about: QPointF | None = None) -> None:
        """Larger or smaller about a point, else about the middle."""
        viewport = self.viewport()
        zoom, centre = viewport.zoomed(factor, about or viewport.areas()[0].center())
        self._place(zoom, centre)

    def set_zoom(self, zoom: float) -> None:
        """So many screen pixels for a pixel of the picture."""
        viewport = self.viewport()
        self.zoom_by(zoom / (viewport.scale() * viewport.ratio))

    def shown_zoom(self) -> float:
        """Screen pixels for a pixel of the picture, fitted or not."""
        viewport = self.viewport()
        return viewport.scale() * viewport.ratio

    def _place(self, zoom: float, centre: tuple[float, float]) -> None:
        self._viewer.zoom, self._viewer.centre = zoom, centre
        self._viewer.fit = False

    def _resized(self, _: object = None) -> None:
        """Tell the thread in which size the picture is needed."""
        viewport = self.viewport()
        rect, ratio = viewport.rects()[0], viewport.ratio
        size = round(rect.width() * ratio), round(rect.height() * ratio)
        soft = self._viewer.fit or viewport.scale() * ratio < _PIXELS
        wanted = soft and size[0] * size[1] <= _MOST_TARGET
        self._viewer.scale = ratio
        self._viewer.target = size if wanted and size != self._viewer.size else None
        self.update()

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802 - Qt's name
        super().resizeEvent(event)
        self._resized()

    # -- painting ------------------------------------------------------------------------------------------------------

    def _repaint(self, _: object = None) -> None:
        self.update()

    def paintEvent(self, _: QPaintEvent | None) -> None:  # noqa: N802 - Qt's name
        painter = QPainter(self)
        painter.fillRect(self.rect(), GROUND)
        shown = self._viewer.shown
        if shown is None:
            self._draw_note(painter, QRectF(self.rect()), self._empty_note())
            return
        viewport = self.viewport()
        if shown.mode is Mode.WIPE:
            self._draw_wipe(painter, shown, viewport)
        else:
            for place, (area, rect) in enumerate(zip(viewport.areas(), viewport.rects(), strict=True)):
                if place < len(shown.panes):
                    painter.setClipRect(area)
                    self._draw_pane(painter, shown, place, area, rect)
        painter.setClipping(False)
        self._draw_names(painter, shown, viewport)
        painter.end()
        self._viewer.note_painted(shown)
        self.painted.emit(shown.number)

    def _draw_wipe(self, painter: QPainter, shown: Shown, viewport: Viewport) -> None:
        area, rect = viewport.areas()[0], viewport.rects()[0]
        line = self._line(viewport)
        line.draw(
            painter,
            lambda: self._draw_pane(painter, shown, 0, area, rect),
            lambda: self._draw_pane(painter, shown, 1, area, rect),
        )

    def _draw_pane(self, painter: QPainter, shown: Shown, place: int, area: QRectF, rect: QRectF) -> None:
        pane = shown.panes[place] if place < len(shown.panes) else None
        if pane is None:
            note = shown.notes[place] if place < len(shown.notes) else ""
            self._draw_note(painter, area, note or self._absent_note(shown, place))
            return
        draw_picture(painter, pane, rect, self.devicePixelRatioF())

    def _draw_note(self, painter: QPainter, area: QRectF, note: str) -> None:
        painter.setPen(_WORDS)
        room = area.adjusted(16, 16, -16, -16)
        painter.drawText(room, int(Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap), note)

    def _draw_names(self, painter: QPainter, shown: Shown, viewport: Viewport) -> None:
        """A and B in their corners, while two layers are looked at."""
        if shown.mode not in (Mode.WIPE, Mode.SIDE):
            return
        areas = viewport.areas()
        metrics = self.fontMetrics()
        for place, layer in enumerate(shown.layers):
            text = f"{'AB'[place]}  {layer_name(layer)}"
            area = areas[min(place, len(areas) - 1)]
            width, height = metrics.horizontalAdvance(text) + 16, metrics.height() + 6
            right = shown.mode is Mode.WIPE and place == 1
            left = area.right() - width - 8 if right else area.left() + 8
            chip = QRectF(left, area.top() + 8, width, height)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(_CHIP)
            painter.drawRoundedRect(chip, 4, 4)
            painter.setPen(QColor(240, 240, 242))
            painter.drawText(chip, int(Qt.AlignmentFlag.AlignCenter), text)

    def _empty_note(self) -> str:
        if not self._viewer.layers:
            return tr("Open a shot, or drop one here.")
        return tr("Reading …")

    def _absent_note(self, shown: Shown, place: int) -> str:
        layer = shown.layers[min(place, len(shown.layers) - 1)]
        if layer is Layer.DRAFT:
            return tr("This frame has no draft yet.")
        if layer is Layer.RESULT:
            return tr("Frame {number} is not rendered yet.", number=shown.number)
        return tr("Frame {number} is not there.", number=shown.number)

    def _line(self, viewport: Viewport) -> WipeLine:
        return WipeLine(viewport.rects()[0], self._viewer.wipe_at, self._viewer.wipe_angle)

    # -- the mouse -----------------------------------------------------------------------------------------------------

    def wheelEvent(self, event: QWheelEvent | None) -> None:  # noqa: N802 - Qt's name
        if event is not None and event.angleDelta().y():
            self.zoom_by(math.pow(_WHEEL, event.angleDelta().y() / 120), event.position())
            event.accept()

    def mousePressEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802 - Qt's name
        if event is None:
            return
        self._part = Part.NONE
        if self._viewer.mode is Mode.WIPE and event.button() == Qt.MouseButton.LeftButton:
            self._part = self._line(self.viewport()).part_at(event.position())
        if event.button() in (Qt.MouseButton.LeftButton, Qt.MouseButton.MiddleButton):
            self._drag = event.position()

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802 - Qt's name
        if event is None:
            return
        viewport = self.viewport()
        if self._drag is not None and self._part is not Part.NONE:
            self._drag_line(viewport, event.position())
        elif self._drag is not None:
            zoom, centre = viewport.panned(event.position() - self._drag)
            self._drag = event.position()
            self._place(zoom, centre)
        elif self._viewer.mode is Mode.WIPE:
            taken = self._line(viewport).part_at(event.position()) is not Part.NONE
            self.setCursor(Qt.CursorShape.SizeAllCursor if taken else Qt.CursorShape.ArrowCursor)
        else:
            self.unsetCursor()
        self._viewer.pointer = self.viewport().pixel_at(event.position()) if self._viewer.layers else None

    def _drag_line(self, viewport: Viewport, point: QPointF) -> None:
        line = self._line(viewport)
        if self._part is Part.KNOB:
            self._viewer.wipe_angle = line.turned(point)
        else:
            self._viewer.wipe_at = line.moved(point)

    def mouseReleaseEvent(self, _: QMouseEvent | None) -> None:  # noqa: N802 - Qt's name
        self._drag, self._part = None, Part.NONE

    def mouseDoubleClickEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802 - Qt's name
        if event is not None and event.button() == Qt.MouseButton.LeftButton:
            self._viewer.fit = True

    def leaveEvent(self, _: object) -> None:  # noqa: N802 - Qt's name
        self._viewer.pointer = None


def draw_picture(painter: QPainter, pane: Developed, rect: QRectF, ratio: float) -> None:
    """A picture in a rectangle: copied where it has its size, else stretched; pixels as squares when they are large."""
    image = pane.image
    if image.width() == round(rect.width() * ratio) and image.height() == round(rect.height() * ratio):
        image.setDevicePixelRatio(ratio)
        painter.drawImage(rect.topLeft(), image)
        return
    smooth = rect.width() * ratio < _PIXELS * image.width()
    painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, smooth)
    painter.drawImage(rect, image, QRectF(0, 0, image.width(), image.height()))
