"""Pages hear what changes: a real server, a real training, the wire between them."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import msgspec
import pytest

import epochal
from epochal.registry import set_baseline
from epochal.server.changes import Changes
from epochal.server.schema.workspace import ChangeEvent
from epochal.store.store import Store

API = "/api/v1"


@pytest.fixture
def server(pair):
    """``epochal ui`` in a process of its own."""
    process = start(str(pair.folder.root), "--port", "0")
    yield SimpleNamespace(process=process, port=process.port, **vars(pair))
    process.kill()
    process.wait()
    process.stdout.close()
    process.stderr.close()


def start(*arguments, **environment):
    """Start ``epochal ui``; return the process once it has printed its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "epochal", "ui", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )
    process.url = process.stdout.readline().strip()
    assert process.url.startswith("http://127.0.0.1:"), process.stderr.read()
    process.port = int(process.url.split(":")[2].split("/")[0])
    return process


class Stream:
    """A stream of events as a browser reads it."""

    def __init__(self, port, last=None):
        headers = {} if last is None else {"Last-Event-ID": str(last)}
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        self.connection.request("GET", f"{API}/events", headers=headers)
        self.answer = self.connection.getresponse()
        assert self.answer.headers["content-type"].startswith("text/event-stream")
        assert self.answer.readline() == b"retry: 1000\n"

    def next(self):
        """Return the next event, waiting for it."""
        fields = {}
        while True:
            line = self.answer.readline().decode()
            if not line:
                raise EOFError
            if line == "\n" and "data" in fields:
                event = json.loads(fields["data"])
                assert fields["event"] == "change"
                assert int(fields["id"]) == event["change"]
                return event
            name, _, value = line.rstrip("\n").partition(": ")
            fields[name] = value

    def until(self, fits):
        """Return the first event that fits."""
        while not fits(event := self.next()):
            pass
        return event

    def ended(self):
        """Return once the server has ended the stream."""
        try:
            while self.answer.readline():
                pass
        except (http.client.HTTPException, OSError):
            pass
        return True

    def close(self):
        self.answer.close()
        self.connection.close()


def fetch(server, method, path, body=None):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    headers = {"content-type": "application/json"}
    connection.request(method, path, None if body is None else json.dumps(body), headers)
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    return answer, data


def test_a_running_training_appears_and_moves_within_two_seconds(server):
    stream = Stream(server.port)
    begun = time.monotonic()
    with epochal.init(
        project="pallets", name="v3_live", workspace=server.folder.root, capture=False
    ) as run:
        stream.until(lambda event: run.id in event["runs"])
        assert time.monotonic() - begun < 2.0
        run.log({"loss": 1.0}, step=0)
        logged = time.monotonic()
        event = stream.until(lambda event: run.id in event["runs"])
        assert time.monotonic() - logged < 2.0
        assert event["projects"] == ["pallets"]
        _, data = fetch(server, "POST", f"{API}/curves", {"runs": [run.id], "keys": ["loss"]})
        assert json.loads(data)["curves"][0]["runs"][run.id]["last"] == [1.0]
        _, data = fetch(server, "GET", f"{API}/runs/{run.id}")
        assert json.loads(data)["status"] == "running"
    stream.close()


def test_a_training_that_dies_is_told(server, tmp_path):
    script = (
        "import epochal, sys\n"
        f"run = epochal.init(project='pallets', name='v3_dies', workspace={str(tmp_path)!r},"
        " capture=False)\n"
        "run.log({'loss': 1.0})\nprint(run.id, flush=True)\nsys.stdin.read()\n"
    )
    stream = Stream(server.port)
    child = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    run = child.stdout.readline().strip()
    stream.until(lambda event: run in event["runs"])
    child.kill()
    child.communicate()

    def killed(event):
        if run not in event["runs"]:
            return False
        _, data = fetch(server, "GET", f"{API}/runs/{run}")
        return json.loads(data)["status"] == "killed"

    stream.until(killed)
    stream.close()


def test_a_stream_goes_on_where_it_broke_off(server):
    stream = Stream(server.port)
    _, _data = fetch(server, "POST", f"{API}/runs/tags", {"runs": [server.first], "add": ["a"]})
    seen = stream.until(lambda event: server.first in event["runs"])
    stream.close()
    fetch(server, "POST", f"{API}/runs/tags", {"runs": [server.second], "add": ["b"]})
    again = Stream(server.port, last=seen["change"])
    event = again.until(lambda event: server.second in event["runs"])
    assert event["change"] > seen["change"]
    again.close()
    unknown = Stream(server.port, last=10**9)
    assert unknown.next()["all"]
    unknown.close()


def test_edits_of_other_processes_are_told_too(server):
    stream = Stream(server.port)
    with Store(server.folder) as store:
        set_baseline(store, "pallets", store.run(server.first), "from elsewhere")
    assert stream.until(lambda event: event["governance"])["runs"] == []
    _, data = fetch(server, "GET", f"{API}/baseline?project=pallets")
    assert json.loads(data)["baseline"]["id"] == server.first
    stream.close()


def test_a_purged_run_is_told(server):
    stream = Stream(server.port)
    with Store(server.folder) as store:
        store.purge(store.run(server.second))
    assert stream.until(lambda event: event["all"])["governance"]
    answer, _ = fetch(server, "GET", f"{API}/runs/{server.second}")
    assert answer.status == 404
    _, data = fetch(server, "POST", f"{API}/runs/query", {"project": "pallets"})
    assert [row["id"] for row in json.loads(data)["rows"]] == [server.first]
    stream.close()


def test_ctrl_c_ends_it_at_once_with_a_stream_open(server):
    stream = Stream(server.port)
    begun = time.monotonic()
    server.process.send_signal(signal.SIGINT)
    assert server.process.wait(10) == 0
    assert time.monotonic() - begun < 3.0
    assert stream.ended()
    stream.close()


def test_two_servers_find_a_port_each(pair):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        command = [sys.executable, "-m", "epochal", "ui", str(pair.folder.root)]
        refused = subprocess.run(
            [*command, "--port", str(taken.getsockname()[1])],
            capture_output=True,
            text=True,
            check=False,
        )
    assert refused.returncode == 2
    assert "cannot listen" in refused.stderr


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::"])
def test_others_are_not_let_in_without_a_token(pair, host):  # A32
    refused = subprocess.run(
        [sys.executable, "-m", "epochal", "ui", str(pair.folder.root), "--host", host],
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 2
    assert "--token" in refused.stderr


def test_a_token_is_made_and_asked_for(pair):  # A31
    process = start(str(pair.folder.root), "--port", "0", "--token")
    try:
        path = process.url[process.url.index("/login") :]
        assert len(path) > 40
        server = SimpleNamespace(port=process.port)
        answer, _ = fetch(server, "GET", f"{API}/workspace")
        assert answer.status == 401
        answer, _ = fetch(server, "GET", path)
        assert (answer.status, answer.headers["location"]) == (303, "/")
        assert "HttpOnly" in answer.headers["set-cookie"]
    finally:
        process.kill()
        process.communicate()


def test_a_guessable_token_is_refused(pair):
    refused = subprocess.run(
        [sys.executable, "-m", "epochal", "ui", str(pair.folder.root), "--token"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "EPOCHAL_TOKEN": "secret"},
    )
    assert refused.returncode == 2


def test_what_comes_over_the_wire_is_checked_before_anything(server):  # A38, A54
    def speak(data):
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as wire:
            wire.sendall(data)
            return wire.recv(4096)

    host = b"Host: 127.0.0.1\r\n"
    for request, status in (
        (b"GET http://evil.example/health HTTP/1.1\r\n" + host + b"\r\n", b"400"),
        (b"GET /health HTTP/1.1\r\n\r\n", b"400"),
        (b"GET /health HTTP/1.1\r\n" + host * 2 + b"\r\n", b"400"),
        (b"GET /health HTTP/1.0\r\n\r\n", b"400"),
        (b"GET /health HTTP/1.1\r\nHost: evil.example\r\n\r\n", b"421"),
        (b"get /health HTTP/1.1\r\n" + host + b"\r\n", b"405"),
        (b"GET /health HTTP/1.1\r\n" + host + b"X: " + b"a" * 20_000 + b"\r\n\r\n", b"431"),
        (b"\x16\x03\x01\x00\xa5", b"400"),
        (b"POST /api/v1/markdown HTTP/1.1\r\n" + host
         + b"Content-Type: application/json\r\nContent-Length: 99999999\r\n\r\n", b"413"),
    ):  # fmt: skip
        assert speak(request).split(b" ")[1] == status, request[:60]
    answer, _ = fetch(server, "GET", "/health")
    assert answer.status == 200
    assert "server" not in answer.headers


def test_idle_connections_keep_nobody_out(server):  # A54
    idle = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(300)]
    try:
        for wire in idle[::3]:
            wire.sendall(b"GET /health HTTP/1.1\r\nHo")
        begun = time.monotonic()
        answer, _ = fetch(server, "GET", "/health")
        assert answer.status == 200
        assert time.monotonic() - begun < 2.0
    finally:
        for wire in idle:
            wire.close()


# --- the events themselves ----------------------------------------------------------------------


def event(change, **fields):
    plain = ChangeEvent(change=change, runs=[], projects=[], all=False, governance=False)
    return msgspec.structs.replace(plain, **fields)


def test_what_was_missed_is_told_one_by_one_or_as_everything():
    changes = Changes()
    changes.current = 10
    assert changes.since(10) == []
    assert changes.since(3)[0].all
    for number in (12, 15):
        changes.tell(event(number))
    assert [e.change for e in changes.since(10)] == [12, 15]
    assert [e.change for e in changes.since(12)] == [15]
    assert changes.since(15) == []
    assert [e.all for e in changes.since(9)] == [True]
    assert [e.all for e in changes.since(99)] == [True]
    for number in range(16, 1016):
        changes.tell(event(number))
    assert [e.all for e in changes.since(12)] == [True]
    assert [e.change for e in changes.since(1014)] == [1015]


def test_every_listener_hears_and_silence_is_noticed():
    import asyncio

    changes = Changes()

    async def listen():
        heard = []
        stream = changes.listen(0, 0.05)
        assert await anext(stream) is None
        thread = threading.Thread(target=changes.tell, args=(event(1),))
        thread.start()
        heard.append((await anext(stream)).change)
        thread.join()
        changes.close()
        heard += [e async for e in stream if e is not None]
        return heard

    assert asyncio.run(listen()) == [1]
