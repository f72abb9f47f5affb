# SPDX-License-Identifier: GPL-3.0-or-later
"""Any frame of a movie, in any order, is the one that reading from the start gives."""

from __future__ import annotations

import random

import cv2
import numpy as np
import pytest

from mapreel.core.contract.errors import DamagedFileError
from mapreel.core.media.movies import read_movie
from mapreel.core.media.movieseek import MovieReader, movie_times
from mapreel.core.media.moviewriter import MovieCodec, MovieWriter

COUNT = 70  # more than one group of pictures of H.264


@pytest.fixture(scope="module", params=[("a.mp4", MovieCodec()), ("a.mkv", MovieCodec(name="ffv1"))])
def movie(request, tmp_path_factory):
    name, codec = request.param
    path = tmp_path_factory.mktemp("movie") / name
    noise = np.random.default_rng(0).integers(0, 256, (48, 64 + COUNT, 3)).astype(np.uint8)
    soft = cv2.GaussianBlur(noise, (0, 0), 2)
    with MovieWriter(path, (48, 64), 24.0, codec=codec) as writer:
        for at in range(COUNT):
            writer.write(np.ascontiguousarray(soft[:, at : at + 64]))
    return path, list(read_movie(path))


def test_times_ascend_and_are_as_many_as_frames(movie):
    path, frames = movie
    stamps, sought = movie_times(path)
    assert sought
    assert len(stamps) == len(frames) == COUNT
    assert (np.diff(stamps) > 0).all()


def test_frames_in_any_order(movie):
    path, frames = movie
    reader = MovieReader(path)
    assert reader.count == COUNT
    order = [0, 1, 2, COUNT - 1, 5, 4, 3, 40, 41, 60, *random.Random(3).sample(range(COUNT), 12)]
    for index in order:
        given = list(reader.read(index))
        assert given[-1][0] == index
        for place, pixels in given:
            assert np.array_equal(pixels, frames[place]), (index, place)
    reader.close()


def test_forwards_each_frame_is_decoded_once(movie):
    path, _ = movie
    reader = MovieReader(path)
    given = [place for index in range(0, COUNT, 2) for place, _ in reader.read(index)]
    reader.close()
    assert given == list(range(COUNT - 1))


def test_what_is_not_there_and_what_is_cut(movie, tmp_path):
    path, _ = movie
    reader = MovieReader(path)
    with pytest.raises(IndexError):
        next(reader.read(COUNT))
    reader.close()
    if path.suffix == ".mkv":
        cut = tmp_path / path.name
        cut.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        short = MovieReader(cut)
        with pytest.raises((DamagedFileError, IndexError)):
            list(short.read(COUNT - 1))
        short.close()
