# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts of the street drive: materials, things that stand and drive in it, camera, passes, files."""
