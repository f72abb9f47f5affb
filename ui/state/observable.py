# SPDX-License-Identifier: GPL-3.0-or-later
"""State that tells when it changes: properties with a signal each, so that views are bound to them and never asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from PyQt6.QtCore import QObject

if TYPE_CHECKING:
    from collections.abc import Iterator

T = TypeVar("T")


class Property(Generic[T]):
    """A value of an Observable. Assigning another value emits the owner's signal NAME_changed(value).

    Values are compared by ==; give immutable ones (tuples, frozen dataclasses), for nobody sees a list change inside.
    """

    def __init__(self, default: T) -> None:
        self.default = default

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Property[T]: ...
    @overload
    def __get__(self, instance: Observable, owner: type) -> T: ...
    def __get__(self, instance: Observable | None, owner: type) -> T | Property[T]:
        if instance is None:
            return self
        value: T = instance.__dict__.get(self.name, self.default)
        return value

    def __set__(self, instance: Observable, value: T) -> None:
        if value == instance.__dict__.get(self.name, self.default):
            return
        instance.__dict__[self.name] = value
        getattr(instance, self.name + "_changed").emit(value)


class Observable(QObject):
    """An object with Properties. Declare `name = Property(1)` and beside it `name_changed = pyqtSignal(object)`."""

    def __init_subclass__(cls, **words: Any) -> None:
        super().__init_subclass__(**words)
        mute = [name for name, _ in properties(cls) if not hasattr(cls, f"{name}_changed")]
        if mute:
            raise TypeError(f"{cls.__name__} has no signal for {', '.join(mute)}")


def properties(kind: type[Observable]) -> Iterator[tuple[str, Property[Any]]]:
    """Every Property of a class and of what it is made from, by name."""
    for base in reversed(kind.__mro__):
        for name, value in vars(base).items():
            if isinstance(value, Property):
                yield name, value
