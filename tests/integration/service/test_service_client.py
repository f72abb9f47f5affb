# SPDX-License-Identifier: GPL-3.0-or-later
"""How client and service find, start and prove each other; strangers, stale files and damaged state included."""

from __future__ import annotations

import http.server
import json
import os
import re
import signal
import socket
import threading
import time
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

from mapreel.core.contract.errors import (
    QueueDamagedError,
    ServiceError,
    ServiceNotTrustedError,
    ServiceRefusedError,
    ServiceStoppingError,
    ServiceUnreachableError,
    UsageError,
)
from mapreel.core.contract.jobs import JobState
from mapreel.core.contract.proof import service_proof
from mapreel.core.contract.service_start import _environment
from mapreel.core.service.endpoint import ensure_token, prepare_folder
from mapreel.core.service.local_disk import file_system, read_linux_mounts, read_mac_mounts, require_local


class Stranger:
    """A program on a port that the endpoint file names. `answer(nonce, port)` is what it says to a hello."""

    def __init__(self, house, answer):
        self.heard = heard = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                heard.append(f"{self.path}\n{self.headers}")
                nonce = urllib.parse.parse_qs(urllib.parse.urlparse(self.path).query).get("nonce", [""])[0]
                body = answer(nonce, self.server.server_port)
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                """Quiet."""

        self._server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        write_endpoint(house, self.port)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def write_endpoint(house, port):
    prepare_folder(house.folder)
    ensure_token(house.folder)
    data = {"format": "mapreel-endpoint", "version": 1, "protocol": 1, "port": port, "pid": 999_999_999}
    house.folder.endpoint.write_text(json.dumps(data))


def hello(proof, protocol=1):
    return json.dumps({"service": "mapreel", "protocol": protocol, "proof": proof}).encode()


STRANGE = {
    "another secret": lambda nonce, port: hello(service_proof("0" * 64, nonce, port)),
    "an empty proof": lambda _nonce, _port: hello(""),
    "no proof": lambda _nonce, _port: b'{"service": "mapreel", "protocol": 1}',
    "no JSON": lambda _nonce, _port: b"<html>Welcome</html>",
    "no object": lambda _nonce, _port: b"[1]",
}


@pytest.mark.parametrize("kind", STRANGE)
def test_a_squatting_server_is_refused_and_never_sees_the_token(house, kind):
    with Stranger(house, STRANGE[kind]) as stranger, house.client(start=False) as client:
        with pytest.raises(ServiceNotTrustedError, match=f"port {stranger.port}"):
            client.submit(house.request())
        token = house.folder.token.read_text()
        assert stranger.heard
        assert not [words for words in stranger.heard if token in words or "uthorization" in words]


def test_whatever_a_dead_service_left_is_replaced(house):
    """A stranger on its port, its lock file, and a token that others could read in a folder that others could enter."""
    with Stranger(house, STRANGE["no JSON"]) as stranger, house.client() as client:
        old = house.folder.token.read_text()
        house.folder.root.chmod(0o755)
        house.folder.token.chmod(0o644)
        house.folder.lock.write_text("999999999")
        assert client.wait(client.submit(house.request()).id).state is JobState.FINISHED
        assert house.endpoint()["port"] != stranger.port
        token = house.folder.token.read_text()
        assert (len(token), token != old) == (64, True)
        assert house.folder.root.stat().st_mode & 0o777 == 0o700
        assert house.folder.token.stat().st_mode & 0o777 == 0o600
        assert token not in house.folder.endpoint.read_text()
        words = b"".join(Path(f"/proc/{pid}/cmdline").read_bytes() for pid in house.processes())
        assert token.encode() not in words
        assert not [words for words in stranger.heard if "uthorization" in words]


def test_a_stranger_cannot_hand_the_question_on_to_the_real_service(shared):
    house = shared
    with house.client() as client:
        client.status()
        real = house.endpoint()["port"]

        def relay(nonce, _port):
            with urllib.request.urlopen(f"http://127.0.0.1:{real}/v1/hello?nonce={nonce}") as answer:
                return answer.read()

        mine = house.folder.endpoint.read_text()
        with Stranger(house, relay), house.client(start=False) as victim, pytest.raises(ServiceNotTrustedError):
            victim.status()
        house.folder.endpoint.write_text(mine)


@pytest.mark.parametrize(("protocol", "age"), [(0, "an older"), (2, "a newer")])
def test_another_protocol_version_is_said_clearly(house, protocol, age):
    def answer(nonce, port):
        return hello(service_proof(house.folder.token.read_text(), nonce, port), protocol)

    with Stranger(house, answer), house.client() as client, pytest.raises(ServiceRefusedError, match=age):
        client.status()
    assert not house.processes()


def test_nobody_there_and_none_wanted(house):
    with house.client(start=False) as client:
        with pytest.raises(ServiceUnreachableError):
            client.status()
        assert client.stop() is False
    assert not house.folder.root.exists()


def test_nobody_listens_on_the_port_that_is_left(house):
    write_endpoint(house, 9)
    with house.client(start=False) as client, pytest.raises(ServiceUnreachableError):
        client.status()


def test_several_services_started_at_once_are_one(house):
    processes = [house.start() for _ in range(2)]
    with house.client(start=False) as client:
        pid = house.until(lambda: _pid(client))
        losers = [process for process in processes if process.pid != pid]
        for process in losers:
            _, words = process.communicate(timeout=60)
            assert (process.returncode, b"a service runs already" in words) == (0, True)
        assert client.status()["pid"] == pid
        client.stop()
    winner = next(process for process in processes if process.pid == pid)
    winner.communicate(timeout=60)
    assert winner.returncode == 0


def _pid(client):
    try:
        return client.status()["pid"]
    except ServiceUnreachableError:
        return None


def test_several_clients_that_need_one_at_once_get_the_same(house):
    pids = []

    def ask():
        with house.client() as client:
            pids.append(client.status()["pid"])

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(pids) == 2
    assert len(set(pids)) == 1


def test_it_ends_when_idle_but_never_under_a_job(house, monkeypatch):
    monkeypatch.setenv("MAPREEL_IDLE_S", "0.4")
    with house.client() as client:
        job = client.submit(house.request(frames=30, pause_s=0.04))
    house.until(lambda: not house.processes())
    assert house.read_queue("SELECT state FROM jobs WHERE id = ?", job.id) == [("finished",)]
    assert not house.folder.endpoint.exists()


def test_it_outlives_the_session_of_its_starter_and_ends_in_order_when_asked_politely(house):
    with house.client() as client:
        pid = client.status()["pid"]
        client.wait(client.submit(house.request()).id)
        compute = client.status()["compute_pid"]
    assert len({os.getsid(0), os.getsid(pid), os.getsid(compute)}) == 3
    assert os.getpgid(compute) == compute
    os.kill(pid, signal.SIGTERM)
    house.until(lambda: not house.processes())
    assert not house.folder.endpoint.exists()


def test_told_twice_to_end_it_leaves_nothing_behind(house):
    with house.client() as client:
        pid = client.status()["pid"]
        job = client.submit(house.request(frames=2000, pause_s=0.02))
        house.until(lambda: client.status()["compute_pid"])
    for _ in range(2):
        os.kill(pid, signal.SIGINT)
        time.sleep(0.03)  # else the two are one
    house.until(lambda: not house.processes())
    assert not house.folder.endpoint.exists()
    with house.client() as client:  # the next one goes on with it
        house.until(lambda: client.show(job.id).state is JobState.RUNNING)
        client.cancel(job.id)


def test_a_stop_ends_those_who_watch_with_a_sentence(house):
    with house.client() as client, house.client() as other:
        job = client.submit(house.request(frames=2000, pause_s=0.02))
        events = client.watch(job.id)
        next(event for event in events if event.kind == "progress")
        other.stop()
        with pytest.raises(ServiceStoppingError, match=f"the service was stopped.*jobs watch {job.id}"):
            list(events)
        house.until(lambda: not house.processes())


def test_nothing_is_accepted_by_a_service_that_ends(house):
    """A stop and a submission in one packet: the second is refused and leaves no take behind."""
    with house.client() as client:
        client.status()
    request = house.request()
    port, token = house.endpoint()["port"], house.folder.token.read_text()
    bodies = {"stop": b"{}", "jobs": json.dumps({"key": "k" * 16, "request": request.to_json()}).encode()}
    with socket.create_connection(("127.0.0.1", port), timeout=30) as link:
        for path, body in bodies.items():
            head = f"POST /v1/{path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\n"
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            bodies[path] = head.encode() + body
        link.sendall(b"".join(bodies.values()))
        answers = b"".join(iter(lambda: link.recv(65536), b""))
    assert re.findall(rb"HTTP/1.1 (\d+)", answers) == [b"200", b"503"]
    assert b"service-stopping" in answers
    house.until(lambda: not house.processes())
    assert house.read_queue("SELECT count(*) FROM jobs") == [(0,)]
    assert not Path(request.out).exists()


def test_a_submission_while_the_service_ends_starts_the_next_one(house):
    with house.client() as client, house.client() as other:
        old = client.status()["pid"]
        assert other.stop()
        job = client.submit(house.request())
        assert client.wait(job.id).state is JobState.FINISHED
        assert client.status()["pid"] != old


def test_a_damaged_queue_reaches_the_client_as_a_sentence(house):
    prepare_folder(house.folder)
    house.folder.database.write_bytes(b"\0" * 50_000)
    with house.client() as client, pytest.raises(QueueDamagedError, match="is damaged") as caught:
        client.status()
    assert "move it away" in caught.value.remedy
    assert house.folder.database.read_bytes() == b"\0" * 50_000


def test_a_folder_in_which_others_may_work_is_left_as_it_is(house):
    house.folder.root.mkdir(mode=0o755)
    (house.folder.root / "their.exr").touch()
    with house.client() as client, pytest.raises(ServiceError, match="holds other things"):
        client.status()
    assert house.folder.root.stat().st_mode & 0o777 == 0o755
    assert [path.name for path in house.folder.root.iterdir()] == ["their.exr"]


def test_a_wrong_setting_reaches_the_client_as_a_sentence(house, monkeypatch):
    monkeypatch.setenv("MAPREEL_GRACE_S", "soon")
    with house.client() as client, pytest.raises(UsageError, match="MAPREEL_GRACE_S is wrong"):
        client.status()


def test_no_python_to_start_it_with(house, monkeypatch):
    monkeypatch.setenv("MAPREEL_PYTHON", "/nowhere/python")
    with house.client() as client, pytest.raises(ServiceUnreachableError, match="could not be started"):
        client.status()


def test_nothing_is_run_from_the_folder_of_the_caller_nor_is_it_held(house, monkeypatch, tmp_path):
    for name in ("queue.py", "numpy.py", "mapreel.py"):
        (tmp_path / name).write_text("raise SystemExit('not ours')")
    monkeypatch.chdir(tmp_path)
    with house.client() as client:
        assert client.wait(client.submit(house.request()).id).state is JobState.FINISHED
        facts = client.status()
    for pid in (facts["pid"], facts["compute_pid"]):
        assert Path(f"/proc/{pid}/cwd").resolve() == house.folder.root.resolve()


def test_what_a_host_set_for_its_own_python_stays_there(monkeypatch):
    monkeypatch.setenv("PYTHONHOME", "/opt/host")
    assert _environment(foreign=False)["PYTHONHOME"] == "/opt/host"
    monkeypatch.setenv("MAPREEL_PYTHON", "/opt/mapreel/bin/python")
    assert "PYTHONHOME" not in _environment(foreign=True)


def test_network_disks_are_refused(tmp_path):
    require_local(tmp_path)
    assert file_system(tmp_path)
    for kind in ("nfs4", "cifs", "fuse.sshfs", "smbfs"):
        with pytest.raises(ServiceError, match="network disk"):
            require_local(tmp_path, kind)


def test_mount_tables_are_read():
    linux = (
        "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
        "40 22 0:41 / /home/my\\040share rw - nfs4 server:/x rw,vers=4.2\n"
    )
    assert read_linux_mounts(linux) == [("/", "ext4"), ("/home/my share", "nfs4")]
    mac = "/dev/disk1s1 on / (apfs, local, journaled)\n//me@server/x on /Volumes/x (smbfs, nodev)\n"
    assert read_mac_mounts(mac) == [("/", "apfs"), ("/Volumes/x", "smbfs")]
