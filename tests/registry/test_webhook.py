import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from epochal.errors import EpochalError, InvalidInput, Refused
from epochal.registry.webhook import deliver, signature


@pytest.fixture
def receiver():
    """A server that answers with the statuses put into `answers`, then with 200."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            server.received.append((self.path, dict(self.headers), body))
            status = server.answers.pop(0) if server.answers else 200
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("Location", "http://127.0.0.1:1/")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.received, server.answers = [], []
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def send(receiver):
    waited = []

    def run(path="/hook?token=x", **options):
        options.setdefault("allow_private", True)
        url = f"http://127.0.0.1:{receiver.server_port}{path}"
        return deliver(url, "promotion", {"run": "ü"}, "secret", wait=waited.append, **options)

    run.waited = waited
    return run


def test_a_delivery_is_signed(receiver, send):
    done = send()
    assert (done.status, done.attempts) == (200, 1)
    [(path, headers, body)] = receiver.received
    assert path == "/hook?token=x"
    assert json.loads(body) == {"run": "ü"}
    assert headers["X-Epochal-Event"] == "promotion"
    timestamp = int(headers["X-Epochal-Timestamp"])
    assert headers["X-Epochal-Signature"] == signature("secret", timestamp, body)
    assert signature("other", timestamp, body) != headers["X-Epochal-Signature"]
    # What anybody can compute who knows the secret: HMAC-SHA256 over "timestamp.body".
    import hashlib
    import hmac

    expected = hmac.new(b"secret", f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
    assert headers["X-Epochal-Signature"] == f"sha256={expected}"


def test_a_busy_receiver_is_asked_again(receiver, send):
    receiver.answers += [503, 429]
    assert send().attempts == 3
    assert send.waited == [1.0, 2.0]
    assert len({headers["X-Epochal-Delivery"] for _, headers, _ in receiver.received}) == 1


def test_a_refusal_is_final(receiver, send):
    receiver.answers += [403]
    with pytest.raises(EpochalError, match="403") as caught:
        send()
    assert len(receiver.received) == 1
    assert "token" not in str(caught.value)


def test_a_redirect_is_not_followed(receiver, send):
    receiver.answers += [302]
    with pytest.raises(EpochalError, match="302"):
        send()


def test_it_gives_up(send):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/"
    waited = []
    with pytest.raises(EpochalError, match="not delivered"):
        deliver(url, "promotion", {}, "s", allow_private=True, attempts=3, wait=waited.append)
    assert waited == [1.0, 2.0]


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "10.1.2.3",
        "192.168.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "2130706433",
        "[::ffff:10.0.0.1]",
        "[fd00::1]",
        "[fe80::1]",
        "[64:ff9b::a00:1]",
        "[2002:a00:1::]",
        "224.0.0.1",
    ],
)
def test_private_addresses_are_refused(host):
    with pytest.raises(Refused, match="private"):
        deliver(f"http://{host}:9/", "promotion", {}, "secret", wait=lambda seconds: None)


def test_a_name_with_one_private_address_is_refused(monkeypatch):
    def resolve(host, port, **_):
        return [(0, 0, 0, "", ("93.184.216.34", port)), (0, 0, 0, "", ("10.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with pytest.raises(Refused, match=r"10\.0\.0\.1"):
        deliver("https://example.org/", "promotion", {}, "secret")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ftp://x.org/",
        "file:///etc/passwd",
        "//x.org",
        "http://",
        "http://x.org:99999/",
        "http://u:p@x.org/",
        "http://x.org/a b",
        "http://x.org/\r\nHost: y",
    ],
)
def test_what_is_no_address(url):
    with pytest.raises(InvalidInput):
        deliver(url, "promotion", {}, "secret")


def test_without_a_secret_nothing_is_sent(receiver):
    url = f"http://127.0.0.1:{receiver.server_port}/"
    with pytest.raises(InvalidInput, match="secret"):
        deliver(url, "promotion", {}, "", allow_private=True)
    assert receiver.received == []
