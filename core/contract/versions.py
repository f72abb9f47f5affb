# SPDX-License-Identifier: Apache-2.0
"""Which version of what is installed, said the same everywhere."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def installed_version(package: str) -> str:
    """Version of an installed package; "from a bare checkout" for one that lies here without being installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "from a bare checkout"
