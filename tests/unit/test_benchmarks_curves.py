# SPDX-License-Identifier: GPL-3.0-or-later
"""BD-rate and bits at a quality, against cases worked out by hand."""

from __future__ import annotations

import pytest

from mapreel.core.benchmarks_archive_curves import Curve, bd_rate
from mapreel.core.contract.errors import UsageError


def line(start, slope, psnrs):
    """Points on log10(bits) = start + slope · PSNR."""
    return [(10 ** (start + slope * db), db) for db in psnrs]


def test_twice_the_bits_everywhere_is_a_hundred_percent_more():
    reference = [(0.02, 30.0), (0.05, 33.0), (0.07, 34.0), (0.2, 38.5)]
    twice = [(2 * bits, db) for bits, db in reference]
    assert bd_rate(twice, reference) == pytest.approx(1.0, abs=1e-12)
    assert bd_rate(reference, twice) == pytest.approx(-0.5, abs=1e-12)
    assert bd_rate(reference, reference) == pytest.approx(0.0, abs=1e-12)


def test_two_straight_lines():
    """On 32 … 40 dB, which both have, the mean of (-1.4 + x / 20) - (-3 + x / 10) is 1.6 - 36 / 20 = -0.2."""
    reference = line(-3.0, 0.1, (30, 34, 37, 40))
    ours = line(-1.4, 0.05, (32, 33, 38, 42))
    assert bd_rate(ours, reference) == pytest.approx(10**-0.2 - 1, abs=1e-12)


def test_a_cubic_by_hand():
    """Knots 0, 1, 2 with values 0, 1, 4: slopes 0 (parabola 0), 1.5 (harmonic mean of 1 and 3), 4 (parabola).

    Pieces: from 0 to 1 with slopes 0 and 1.5: 1.5 t² - 0.5 t³, area 0.5 - 0.125 = 0.375;
    from 1 to 2 with slopes 1.5 and 4: 1 + 1.5 t + 2 t² - 0.5 t³, area 1 + 0.75 + 2/3 - 0.125.
    """
    curve = Curve.through([(1.0, 0.0), (10.0, 1.0), (10.0**4, 2.0)])
    assert curve.slopes == pytest.approx([0.0, 1.5, 4.0])
    assert curve.area(0.0, 2.0) == pytest.approx(0.375 + 1 + 0.75 + 2 / 3 - 0.125)
    assert curve.bits(0.5) == pytest.approx(10 ** (1.5 / 4 - 0.5 / 8))
    assert curve.bits(2.0) == pytest.approx(10**4)


def test_nothing_is_guessed_outside_the_points():
    curve = Curve.through([(0.1, 30.0), (0.2, 33.0)])
    assert curve.bits(29.9) is None
    assert curve.bits(33.1) is None
    assert curve.bits(31.5) == pytest.approx((0.1 * 0.2) ** 0.5)


def test_points_that_a_better_one_undercuts_are_left_out():
    curve = Curve.through([(0.1, 30.0), (0.3, 31.0), (0.2, 33.0), (0.15, 30.0)])
    assert curve.psnr_db == pytest.approx([30.0, 33.0])


def test_curves_that_share_no_quality_are_refused():
    with pytest.raises(UsageError, match=r"30\.00 to 33\.00 dB and 35\.00 to 36\.00"):
        bd_rate([(0.1, 30.0), (0.2, 33.0)], [(0.1, 35.0), (0.2, 36.0)])
    with pytest.raises(UsageError, match="no curve"):
        bd_rate([(0.1, 30.0)], [(0.1, 29.0), (0.2, 36.0)])
