# SPDX-License-Identifier: GPL-3.0-or-later
"""The door of a real service against the list of attacks: raw sockets, no client library in between."""

from __future__ import annotations

import contextlib
import json
import socket

import pytest

from mapreel.core.contract.client import ServiceClient


class Door:
    def __init__(self, house):
        self.house = house
        with house.client() as client:
            client.status()
        self.port = house.endpoint()["port"]
        self.token = house.folder.token.read_text()

    def headers(self, **changes):
        headers = {
            "Host": f"127.0.0.1:{self.port}",
            "Authorization": f"Bearer {self.token}",
            "Content-Type": "application/json",
        }
        headers.update({name.replace("_", "-"): value for name, value in changes.items()})
        return "".join(f"{name}: {value}\r\n" for name, value in headers.items() if value is not None)

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def raw(self, data):
        """Send bytes; gives status and body of the answer."""
        with self.connect() as link:
            with contextlib.suppress(ConnectionError):
                link.sendall(data)
            return read_answer(link)

    def ask(self, method="GET", path="/v1/jobs", body=b"", **changes):
        length = {"Content_Length": str(len(body))} if body else {}
        head = f"{method} {path} HTTP/1.1\r\n{self.headers(**{**length, **changes})}\r\n"
        return self.raw(head.encode("latin-1") + body)


def read_answer(link):
    data = b""
    with contextlib.suppress(ConnectionError):
        while part := link.recv(65536):
            data += part
            head, found, body = data.partition(b"\r\n\r\n")
            if found and b"content-length: %d" % len(body) in head.lower():
                break
    assert data, "closed without an answer"
    return int(data.split()[1]), data.partition(b"\r\n\r\n")[2].decode("utf-8", "replace")


@pytest.fixture(scope="module")
def door(shared):
    return Door(shared)


@pytest.fixture(autouse=True)
def _still_serves(door):
    """After each attack the service answers as before."""
    yield
    assert door.ask()[0] == 200


@pytest.mark.parametrize("given", [None, "", "Bearer", "Bearer ", "Bearer " + "0" * 64, "Basic x", "Bearer \xe9\xff"])
def test_wrong_token(door, given):
    assert door.ask(Authorization=given)[0] == 401
    assert door.ask("POST", "/v1/stop", b"{}", Authorization=given)[0] == 401


def test_the_token_in_another_place_is_no_token(door):
    assert door.ask(path=f"/v1/jobs?token={door.token}", Authorization=None)[0] == 401
    assert door.ask(Authorization=None, Cookie=f"token={door.token}")[0] == 401
    assert door.ask(Authorization=door.token)[0] == 401


@pytest.mark.parametrize(
    "host",
    ["evil.com", "evil.com:{port}", "127.0.0.1.evil.com:{port}", "127.0.0.1", "127.0.0.1:1", "[::1]", "[::1]:1",
     "localhost", "127.0.0.1:{port}@evil.com", "0.0.0.0:{port}", "2130706433:{port}", "", "127.0.0.1:{port}, evil.com"],
)  # fmt: skip
def test_wrong_host(door, host):
    for path in ("/v1/jobs", "/v1/hello?nonce=" + "0" * 32):
        assert door.ask(path=path, Host=host.format(port=door.port))[0] in {400, 421}


def test_no_host_and_two_hosts(door):
    assert door.ask(Host=None)[0] == 400
    assert door.raw(b"GET /v1/jobs HTTP/1.0\r\n\r\n")[0] == 421
    host = f"Host: 127.0.0.1:{door.port}\r\n"
    assert door.raw(f"GET /v1/jobs HTTP/1.1\r\n{host}{host}\r\n".encode())[0] in {400, 421}


@pytest.mark.parametrize("host", ["127.0.0.1:{port}", "localhost:{port}", "LOCALHOST:{port}", "[::1]:{port}"])
def test_right_host(door, host):
    assert door.ask(Host=host.format(port=door.port))[0] == 200


@pytest.mark.parametrize(
    "origin", ["null", "http://evil.com", "https://127.0.0.1:{port}", "http://127.0.0.1", "file://", ""]
)
def test_foreign_origin(door, origin):
    assert door.ask(Origin=origin.format(port=door.port))[0] == 403
    assert door.ask("POST", "/v1/stop", b"{}", Origin=origin.format(port=door.port))[0] == 403


def test_no_cross_origin_permission_is_given(door):
    with door.connect() as link:
        link.sendall(f"GET /v1/jobs HTTP/1.1\r\n{door.headers()}\r\n".encode())
        head = link.recv(65536).lower()
    assert b"access-control" not in head
    assert b"server:" not in head


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", None, "", "text/json"]
)
def test_a_simple_post_of_a_web_page(door, kind):
    status, body = door.ask("POST", "/v1/jobs", b"{}", Content_Type=kind)
    assert status == 415
    assert json.loads(body)["error"]["remedy"] == "send JSON"


def submission(request):
    return json.dumps({"key": "k" * 16, "request": request}).encode()


HOSTILE = {
    "deep": b'{"key": ' + b"[" * 100_000,
    "deep objects": b'{"a":' * 100_000,
    "huge integer": b'{"priority": ' + b"9" * 10_000 + b"}",
    "NaN": b'{"priority": NaN}',
    "infinity": b'{"priority": 1e999}',
    "a name twice": b'{"key": "a", "key": "b"}',
    "no object": b"[]",
    "a number": b"1",
    "cut": b'{"key": "aaaaaaaaaaaa", "requ',
    "not UTF-8": b'{"key": "\xff\xfe"}',
    "half a surrogate": b'{"key": "\\ud800aaaaaaaa"}',
    "empty": b" ",
    "unknown field": b'{"key": "aaaaaaaaaaaa", "request": {}, "url": "http://evil"}',
    "no request": b'{"key": "aaaaaaaaaaaa"}',
    "bad key": b'{"key": "../../../etc/passwd", "request": {}}',
    "bad priority": b'{"key": "aaaaaaaaaaaa", "request": {}, "priority": 1000}',
    "URL": submission({"type": "render", "labels": "http://evil/x", "model": "street", "out": "/o"}),
    "relative": submission({"type": "render", "labels": "x", "model": "street", "out": "/o"}),
    "traversal": submission({"type": "render", "labels": "/x", "model": "street", "out": "/o/../../etc"}),
    "NUL": submission({"type": "render", "labels": "/x\0", "model": "street", "out": "/o"}),
    "drive": submission({"type": "render", "labels": "C:foo", "model": "street", "out": "/o"}),
    "device": submission({"type": "render", "labels": "\\\\?\\C:\\x", "model": "street", "out": "/o"}),
    "share without a root": submission({"type": "render", "labels": "//server/x", "model": "street", "out": "/o"}),
    "unknown type": submission({"type": "eval", "source": "/x"}),
    "an inspection of nothing": submission({"type": "inspect", "source": ""}),
    "a draft as a job": submission({"type": "draft", "labels": "/x", "model": "street", "frame": 1}),
    "a training without data": submission({"type": "train", "data": [], "out": "/o", "steps": 1}),
    "a training with a strange critic": submission(
        {"type": "train", "data": ["/x"], "out": "/o", "steps": 1, "critic": "evil"}
    ),
    "huge range": submission(
        {"type": "render", "labels": "/x", "model": "street", "out": "/o", "frames": "1-999999999"}
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bodies_get_one_sentence(door, name):
    status, body = door.ask("POST", "/v1/jobs", HOSTILE[name])
    error = json.loads(body)["error"]
    assert (status, bool(error["what"]), bool(error["remedy"])) == (400, True, True)
    assert "Traceback" not in body


def test_a_body_that_says_it_has_a_gigabyte_is_not_read(door):
    status, _ = door.ask("POST", "/v1/jobs", Content_Length=str(1 << 30))
    assert status == 413
    assert door.ask("POST", "/v1/jobs", Content_Length="9" * 30)[0] in {400, 413}


def test_a_body_without_end_is_cut(door):
    head = f"POST /v1/jobs HTTP/1.1\r\n{door.headers(Transfer_Encoding='chunked')}\r\n".encode()
    chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
    assert door.raw(head + chunk * 40)[0] == 413


@pytest.mark.parametrize(
    "data", [b"\x16\x03\x01\x02\x00" * 50, b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\r\n" * 20_000]
)
def test_what_is_no_http(door, data):
    with door.connect() as link, contextlib.suppress(ConnectionError):
        link.sendall(data)
        link.shutdown(socket.SHUT_WR)
        assert b" 200 " not in link.recv(65536)


def test_endless_headers_are_refused(door):
    assert door.raw(f"GET /v1/jobs HTTP/1.1\r\n{door.headers()}".encode() + b"X-A: " + b"a" * 100_000)[0] == 400


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v1/jobs/a/explode", "/docs", "/openapi.json", "/v1/../etc/passwd", "/v1/jobs/%00"]
)
def test_unknown_addresses(door, path):
    status, body = door.ask(path=path)
    assert status in {404, 405}
    assert "error" in json.loads(body)


@pytest.mark.parametrize("method", ["DELETE", "PUT", "OPTIONS", "TRACE", "CONNECT", "HEAD", "PATCH"])
def test_unknown_methods(door, method):
    with door.connect() as link:
        link.sendall(f"{method} /v1/jobs/x HTTP/1.1\r\n{door.headers()}\r\n".encode())
        assert int(link.recv(65536).split()[1]) in {400, 404, 405}


@pytest.mark.parametrize("query", ["limit=-1", "limit=1e9", "limit=" + "9" * 400, "after=x", "state=evil", "state=%00"])
def test_bad_queries(door, query):
    assert door.ask(path=f"/v1/jobs?{query}")[0] == 400


def test_an_older_client_hears_so(door):
    status, body = door.ask(X_Mapreel_Protocol="0")
    assert (status, "speaks protocol 0" in body) == (409, True)


@pytest.mark.parametrize("nonce", ["", "0" * 31, "0" * 65, "g" * 32, "%0d%0aX: y"])
def test_bad_nonces(door, nonce):
    assert door.ask(path=f"/v1/hello?nonce={nonce}", Authorization=None)[0] == 400


def test_hello_gives_nothing_away(door):
    status, body = door.ask(path="/v1/hello?nonce=" + "0" * 32, Authorization=None)
    assert status == 200
    assert set(json.loads(body)) == {"service", "protocol", "proof"}
    assert door.token not in body


def test_a_file_name_cannot_forge_log_lines_and_no_secret_is_logged(door, shared):
    evil = '/x\n{"event": "forged"}\r\nSet-Cookie: a=b\x1b[2J'
    out = str(shared.root / evil[1:].replace("/", "_"))
    request = {"type": "render", "labels": "/nowhere", "model": "street", "out": out}
    assert door.ask("POST", "/v1/jobs", submission(request))[0] == 201
    with ServiceClient(shared.folder.root, start=False) as client:
        client.wait(client.list(limit=1000)[-1].id)
    lines = (shared.folder.logs / "service.log").read_text().splitlines()
    assert all(isinstance(json.loads(line), dict) for line in lines)
    assert not [line for line in lines if json.loads(line)["event"] == "forged"]
    everything = "".join(path.read_text() for path in shared.folder.logs.iterdir())
    assert door.token not in everything
    assert all(path.stat().st_mode & 0o077 == 0 for path in shared.folder.logs.iterdir())


def test_slow_senders_and_many_connections_starve_nobody(house, monkeypatch):
    monkeypatch.setenv("MAPREEL_HEADER_TIMEOUT_S", "0.8")
    monkeypatch.setenv("MAPREEL_BODY_TIMEOUT_S", "0.8")
    monkeypatch.setenv("MAPREEL_MAX_CONNECTIONS", "16")
    door = Door(house)
    _slow(door)
    links = [door.connect() for _ in range(600)]
    try:
        house.until(lambda: _answers(door))
    finally:
        for link in links:
            link.close()


def _slow(door):
    """One says nothing, one trickles, one stops in its second request, one in its body: all are let go."""
    with door.connect() as silent, door.connect() as trickle, door.connect() as second, door.connect() as body:
        trickle.sendall(b"GET /v1/jobs HTTP/1.1\r\nHost: ")
        second.sendall(f"GET /v1/jobs HTTP/1.1\r\n{door.headers()}\r\n".encode())
        assert read_answer(second)[0] == 200
        second.sendall(b"GET /v1/jo")
        body.sendall(f"POST /v1/jobs HTTP/1.1\r\n{door.headers(Content_Length='100')}\r\n{{".encode())
        assert read_answer(body)[0] == 408
        for link in (silent, trickle, second):
            with contextlib.suppress(ConnectionError):
                while link.recv(1024):  # a time limit of the socket fails the test
                    pass


def _answers(door):
    try:
        return door.ask()[0] == 200
    except (AssertionError, OSError):
        return False
