# SPDX-License-Identifier: GPL-3.0-or-later
"""The interactive lane with real processes: who is answered, who is not, and what a death in it costs."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import threading
import time
from pathlib import Path

import pytest
import structlog

from mapreel.core.contract.draft import (
    DRAFT_PATH,
    DraftQuestion,
    DraftSession,
    frame_from_answer,
    question_from_json,
)
from mapreel.core.contract.errors import (
    DraftFailedError,
    DraftSupersededError,
    GapError,
    InternalError,
    OutputError,
    ServiceError,
    ServiceRefusedError,
    ServiceStoppingError,
    ServiceUnreachableError,
    UsageError,
)
from mapreel.core.contract.jobs import JobState
from mapreel.core.contract.requests import DraftRequest
from mapreel.core.contract.state_folder import state_folder
from mapreel.core.service import lane as lane_module
from mapreel.core.service.channel import MAX_MESSAGE_BYTES, PAYLOAD, Channel, ChannelClosedError
from mapreel.core.service.compute_process import ComputePlan
from mapreel.core.service.interactive import MAX_SESSIONS, MAX_WAITING, InteractiveLane, WaitingRoom
from mapreel.core.settings import Settings


def sketch(house, frame, **script):
    house.jobs += 1
    path = house.root / f"sketch{house.jobs}.json"
    path.write_text(json.dumps(script))
    return DraftRequest(labels=str(path), model="street", frame=frame)


def question(serial, session="session0"):
    return DraftQuestion(session, serial, DraftRequest(labels="/l", model="street", frame=serial))


@pytest.mark.parametrize("fails", ["start", "send"])
def test_a_process_that_cannot_be_reached_fails_that_draft_alone(tmp_path, monkeypatch, fails):
    """The lane goes on: the next question gets a new process."""
    made, broken = [], [True]

    class Process:
        is_alive, pid, last_beat_s = True, 1, 0.0

        def __init__(self, _, deliver):
            self.deliver, self.ends = deliver, []
            made.append(self)
            if fails == "start" and broken:
                raise OSError(broken.pop(), "no more processes")

        def send(self, message):
            if fails == "send" and broken:
                raise OSError(broken.pop(), "no buffer space")
            facts = {"type": "drafted", "ticket": message["ticket"], "facts": {}, PAYLOAD: b"rgb"}
            self.last_beat_s = time.monotonic()
            self.deliver(self, facts)

        def kill(self):
            self.ends.append("killed")

        def end(self, _):
            self.ends.append("ended")

    monkeypatch.setattr(lane_module, "ComputeProcess", Process)
    plan = ComputePlan(state_folder(tmp_path), Settings(), interactive=True)
    lane = InteractiveLane(plan, structlog.get_logger())
    lane.start()
    try:
        with pytest.raises(DraftFailedError, match=r"could not be started or reached \(no .*\); try again"):
            lane.ask(question(1)).result(10)
        assert lane.ask(question(2)).result(10) == ({}, b"rgb")
    finally:
        lane.stop()
    assert len(made) == 2
    assert made[0].ends == (["killed"] if fails == "send" else [])
    assert made[1].ends == ["ended"]


# --- with a real service ----------------------------------------------------------------------------------------


def test_a_draft_comes_as_pixels_from_a_warm_process_that_is_not_niced(shared):
    with shared.client() as client:
        frames = [client.draft(sketch(shared, number)) for number in (1001, 1002)]
        assert [frame.number for frame in frames] == [1001, 1002]
        assert [frame.pixels for frame in frames] == [bytes([1001 % 256]) * 24, bytes([1002 % 256]) * 24]
        assert {(frame.width, frame.height) for frame in frames} == {(4, 2)}
        status = client.status()
        assert {frame.facts["pid"] for frame in frames} == {status["interactive_pid"]}
        assert frames[1].facts["drawn"] == frames[0].facts["drawn"] + 1  # what was loaded for the first one stays
        assert frames[0].facts["nice"] == os.nice(0)
        assert client.wait(client.submit(shared.request()).id).result["pid"] != status["interactive_pid"]


@pytest.mark.skipif(not Path("/proc/self/autogroup").exists(), reason="no sessions that share cores")
def test_the_batch_process_gives_way_with_its_whole_session(shared):
    with shared.client() as client:
        drawn = client.draft(sketch(shared, 1)).facts
        done = client.wait(client.submit(shared.request(frames=1)).id).result
    for facts in (drawn, done):
        told = Path(f"/proc/{facts['pid']}/autogroup").read_text().split()
        assert int(told[-1]) == (facts["nice"] if facts is done else 0)
    assert done["nice"] > drawn["nice"]


def test_a_large_picture_comes_whole(shared):
    with shared.client() as client:
        frame = client.draft(sketch(shared, 7, size=[4096, 2160]))
    assert (len(frame.pixels), set(frame.pixels)) == (4096 * 2160 * 3, {7})


@pytest.mark.parametrize(
    ("deed", "kind", "words"),
    [
        ("input error", GapError, "frame 1005 of the shot is missing"),
        ("bug", InternalError, "ZeroDivisionError"),
        ("no memory", OutputError, "the memory is full"),
        ("crash", DraftFailedError, r"the interactive process crashed \(SIGKILL\)"),
        ("exit", DraftFailedError, "ended with exit code 3"),
    ],
)
def test_what_goes_wrong_fails_that_draft_with_a_sentence_and_the_next_one_works(shared, deed, kind, words):
    with shared.client() as client:
        with pytest.raises(kind, match=words):
            client.draft(sketch(shared, 5, deed=deed, deed_at=5))
        assert client.draft(sketch(shared, 6)).number == 6


def test_noise_on_stdout_is_no_answer(shared):
    with shared.client() as client:
        assert client.draft(sketch(shared, 5, deed="noise", deed_at=5)).pixels == bytes([5]) * 24


def test_kill_9_between_and_during_drafts_and_the_batch_lane_does_not_notice(house):
    with house.client() as client:
        job = client.submit(house.request(frames=40, pause_s=0.05))
        pid = client.draft(sketch(house, 1)).facts["pid"]
        os.kill(pid, signal.SIGKILL)
        house.until(lambda: client.status()["interactive_pid"] is None)
        assert client.draft(sketch(house, 2)).facts["pid"] != pid
        sign = house.root / "sign"
        caught = _in_thread(house, lambda mine: mine.draft(sketch(house, 3, sign=str(sign), pause_s=60)))
        house.until(sign.exists)
        os.kill(client.status()["interactive_pid"], signal.SIGKILL)
        assert isinstance(caught(), DraftFailedError)
        assert client.draft(sketch(house, 4)).number == 4
        done = client.wait(job.id)
        assert (done.state, len(client.show(job.id).data["tries"])) == (JobState.FINISHED, 1)


def test_a_draft_that_takes_for_ever_or_a_process_that_hangs_is_ended(house, monkeypatch):
    monkeypatch.setenv("MAPREEL_DRAFT_TIMEOUT_S", "1.5")
    with house.client() as client:
        client.draft(sketch(house, 1))
        for deed in ("stall", "freeze"):
            with pytest.raises(DraftFailedError, match=r"took longer than 1\.5 s"):
                client.draft(sketch(house, 5, deed=deed, deed_at=5))
        assert client.draft(sketch(house, 6)).number == 6


def test_a_process_without_heartbeat_is_ended(house, monkeypatch):
    monkeypatch.setenv("MAPREEL_BEAT_TIMEOUT_S", "3")
    with house.client() as client:
        client.draft(sketch(house, 1))
        with pytest.raises(DraftFailedError, match="no heartbeat"):
            client.draft(sketch(house, 5, deed="freeze", deed_at=5))
        assert client.draft(sketch(house, 6)).number == 6


def test_after_its_idle_time_it_gives_its_memory_back(house, monkeypatch):
    monkeypatch.setenv("MAPREEL_DRAFT_IDLE_S", "0.4")
    with house.client() as client:
        pid = client.draft(sketch(house, 1)).facts["pid"]
        house.until(lambda: not house.is_alive(pid))
        assert client.status()["interactive_pid"] is None
        assert client.draft(sketch(house, 2)).facts["pid"] != pid


def test_a_newer_draft_takes_the_place_of_those_that_wait(house):
    with house.client() as client:
        client.draft(sketch(house, 1))
        session, sign = DraftSession(), house.root / "sign"
        running = _in_thread(house, lambda mine: mine.draft(sketch(house, 2, sign=str(sign), pause_s=1.2)))
        house.until(sign.exists)
        old = _in_thread(house, lambda mine: mine.draft(sketch(house, 3), session=session))
        time.sleep(0.5)
        newest = client.draft(sketch(house, 9), session=session)
        assert newest.number == 9
        assert isinstance(old(), DraftSupersededError)
        assert running().number == 2  # another session: not disturbed


def test_an_old_question_is_refused_and_the_connection_goes_on(shared):
    with shared.client() as client:
        session = DraftSession()
        late = session.next_serial()
        client.draft(sketch(shared, 1), session=session)
        link = client._connection._connection
        with pytest.raises(DraftSupersededError):
            client._connection.ask_bytes(
                DRAFT_PATH,
                DraftQuestion(session.name, late, sketch(shared, 2)).to_json(),
                header="X",
                timeout_s=30,
                limit=100,
            )
        assert client.draft(sketch(shared, 3), session=session).number == 3
        assert client._connection._connection is link


def test_the_end_of_the_service_answers_those_who_wait(house):
    with house.client() as client:
        client.draft(sketch(house, 1))
        sign = house.root / "sign"
        caught = _in_thread(house, lambda mine: mine.draft(sketch(house, 2, sign=str(sign), pause_s=60)), start=False)
        house.until(sign.exists)
        client.stop()
    assert isinstance(caught(), ServiceStoppingError | ServiceUnreachableError)
    house.until(lambda: not house.processes())


def test_paths_outside_the_roots_are_refused(house, monkeypatch):
    inside = house.root / "in"
    inside.mkdir()
    monkeypatch.setenv("MAPREEL_ROOTS", json.dumps([str(inside)]))
    script = inside / "sketch.json"
    script.write_text("{}")
    with house.client() as client:
        assert client.draft(DraftRequest(labels=str(script), model="street", frame=1)).number == 1
        with pytest.raises(UsageError, match="outside the configured folders"):
            client.draft(sketch(house, 1))


def _in_thread(house, act, **options):
    """Do it with a client of its own in a thread; gives a function that waits for the result or the error."""
    results = []

    def run():
        with house.client(**options) as mine:
            try:
                results.append(act(mine))
            except ServiceError as exc:
                results.append(exc)

    thread = threading.Thread(target=run)
    thread.start()

    def result():
        thread.join(60)
        return results[0]

    return result


# --- the door ---------------------------------------------------------------------------------------------------


def post(house, body, **changes):
    """Send a draft without a client library; gives status and body."""
    with house.client() as client:
        client.status()
    port = house.endpoint()["port"]
    headers = {
        "Host": f"127.0.0.1:{port}",
        "Authorization": f"Bearer {house.folder.token.read_text()}",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "Connection": "close",
        **changes,
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    with socket.create_connection(("127.0.0.1", port), timeout=30) as link:
        answer = b""
        with contextlib.suppress(ConnectionError):
            link.sendall(f"POST {DRAFT_PATH} HTTP/1.1\r\n{head}\r\n".encode() + body)
            while part := link.recv(65536):
                answer += part
    return int(answer.split()[1]), answer.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"Authorization": "Bearer " + "0" * 64}, 401),
        ({"Authorization": ""}, 401),
        ({"Host": "evil.com"}, 421),
        ({"Origin": "http://evil.com"}, 403),
        ({"Origin": "null"}, 403),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Length": str(1 << 30)}, 413),
        ({"X-Mapreel-Protocol": "0"}, 409),
    ],
)
def test_the_door_is_shut_for_drafts_too(shared, changes, status):
    assert post(shared, b"{}", **changes)[0] == status


GOOD = {"session": "s" * 16, "serial": 1, "request": {"type": "draft", "labels": "/x", "model": "street", "frame": 1}}


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b"[]",
        b"{}",
        json.dumps({**GOOD, "more": 1}).encode(),
        json.dumps({**GOOD, "session": "../../etc/passwd"}).encode(),
        json.dumps({**GOOD, "session": 5}).encode(),
        json.dumps({**GOOD, "serial": -1}).encode(),
        json.dumps({**GOOD, "serial": True}).encode(),
        json.dumps({**GOOD, "serial": 10**16}).encode(),
        json.dumps({**GOOD, "request": {**GOOD["request"], "frame": 10**12}}).encode(),
        json.dumps({**GOOD, "request": {**GOOD["request"], "labels": "/x/../y"}}).encode(),
        json.dumps({**GOOD, "request": {**GOOD["request"], "reference": [[1, "http://evil/x"]]}}).encode(),
        json.dumps({**GOOD, "request": {"type": "verify", "archive": "/x"}}).encode(),
    ],
)
def test_hostile_questions_get_one_sentence(shared, body):
    status, answer = post(shared, body)
    error = json.loads(answer)["error"]
    assert (status, bool(error["what"]), bool(error["remedy"])) == (400, True, True)


def test_a_draft_is_no_job(shared):
    with shared.client() as client, pytest.raises(UsageError, match="the queue takes no request of the type draft"):
        client.submit(sketch(shared, 1))


# --- parts ------------------------------------------------------------------------------------------------------


def test_the_waiting_room_keeps_one_question_a_session_in_the_order_of_their_coming():
    room = WaitingRoom()
    first, other = room.enter(question(1)), room.enter(question(1, "session1"))
    second = room.enter(question(2))
    assert isinstance(first.answer.exception(0), DraftSupersededError)
    with pytest.raises(DraftSupersededError):
        room.enter(question(1))
    again = room.enter(question(2))  # the same one once more: its connection broke
    assert isinstance(second.answer.exception(0), DraftSupersededError)
    assert [room.next(), room.next(), room.next()] == [again, other, None]


def test_nobody_draws_for_those_who_left_and_the_room_has_walls():
    room = WaitingRoom()
    room.enter(question(1)).answer.cancel()
    assert room.next() is None
    for number in range(MAX_WAITING):
        room.enter(question(1, f"session{number}"))
    with pytest.raises(ServiceRefusedError, match="too many"):
        room.enter(question(1, "one too many"))
    room.enter(question(2, "session0"))
    while room.next():
        pass
    for number in range(MAX_SESSIONS + 50):
        room.enter(question(1, f"passing{number}"))
        room.next()
    assert len(room._newest) == MAX_SESSIONS
    last = room.enter(question(1))
    room.close()
    assert isinstance(last.answer.exception(0), ServiceStoppingError)
    with pytest.raises(ServiceStoppingError):
        room.enter(question(2))


def test_an_old_answer_never_takes_the_place_of_a_newer_one():
    session = DraftSession()
    first, second = session.next_serial(), session.next_serial()
    session.accept(second)
    with pytest.raises(DraftSupersededError):
        session.accept(first)
    session.accept(session.next_serial())


@pytest.mark.parametrize(
    "facts", [None, [], {}, {"number": 1, "width": 2, "height": 0, "seconds": 0}, {"number": "x"}, {"width": 1}]
)
def test_an_answer_that_lies_is_no_frame(facts):
    with pytest.raises(ServiceError):
        frame_from_answer(facts, b"")


def test_pixels_that_are_cut_off_are_no_frame():
    facts = {"number": 1, "width": 2, "height": 2, "seconds": 0.1}
    assert frame_from_answer(facts, bytes(12)).pixels == bytes(12)
    with pytest.raises(ServiceError, match="cut off"):
        frame_from_answer(facts, bytes(11))


def test_a_question_crosses_unchanged():
    asked = question(3)
    assert question_from_json(json.loads(json.dumps(asked.to_json()))) == asked
    assert asked.request.as_render().frames == "3"


# --- the channel ------------------------------------------------------------------------------------------------


@pytest.fixture
def pipe():
    read, write = os.pipe()
    ends = Channel(read, os.open(os.devnull, os.O_WRONLY)), Channel(os.open(os.devnull, os.O_RDONLY), write)
    yield ends
    for end in ends:
        with contextlib.suppress(OSError):
            end.close()


@pytest.mark.parametrize("size", [0, 1, 65536, 3_000_000])
def test_bytes_cross_the_channel_whole(pipe, size):
    here, there = pipe
    pixels = os.urandom(size)

    def send():
        there.send({"type": "drafted"}, memoryview(pixels))
        there.send({"type": "beat"})

    thread = threading.Thread(target=send)
    thread.start()
    assert here.receive() == {"type": "drafted", "payload": pixels}
    assert here.receive() == {"type": "beat"}
    thread.join()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x00\x00\x00",
        b"\x02\x00\x00\x00\x02\x00\x00\x00\x00{}",  # unknown kind
        b"\x00\x00\x00\x00\x02\x00\x00\x00\x01{}x",  # a payload where none may be
        b"\x01\xff\xff\xff\xff\x00\x00\x00\x00",  # four gigabytes of JSON
        b"\x01\x00\x00\x00\x02\xff\xff\xff\xff{}",  # four gigabytes of pixels
        b"\x01\x00\x00\x00\x02\x00\x00\x00\x09{}short",
        b"\x00\x00\x00\x00\x02\x00\x00\x00\x00[]",
        b'\x00\x00\x00\x00\x0d\x00\x00\x00\x00{"payload":1}',
    ],
)
def test_what_is_no_message_closes_the_channel(pipe, raw):
    here, there = pipe
    os.write(there._write_fd, raw)
    there.close()
    with pytest.raises(ChannelClosedError):
        here.receive()


def test_nobody_sends_what_the_other_side_would_not_take(pipe):
    for message in ({"payload": 1}, {"text": "x" * (MAX_MESSAGE_BYTES + 1)}):
        with pytest.raises(ValueError, match="no message"):
            pipe[1].send(message)


def test_the_log_of_the_lane_is_private_and_its_own(shared):
    with shared.client() as client:
        client.draft(sketch(shared, 1))
    log = Path(shared.folder.logs / "interactive.log")
    assert log.stat().st_mode & 0o077 == 0
