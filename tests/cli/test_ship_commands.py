"""`promote` and `handoff`, as a user meets them."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from click.testing import CliRunner

from epochal.cli import main
from epochal.records import Artifact
from epochal.store.blobs import Blobs


@pytest.fixture
def epochal():
    def run(*arguments, code=0, env=None):
        result = CliRunner(env={"NO_COLOR": "1", **(env or {})}).invoke(main, list(arguments))
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, result.output
        return result

    return run


@pytest.fixture
def workspace(folder, record_run):
    digest = Blobs(folder.blobs).put(b"weights")
    record_run(
        metrics={"metrics/mAP50-95(B)": [0.4]},
        bodies=[Artifact(key="weights/best.pt", digest=digest, size=7, role="weights")],
    )
    return folder


@pytest.fixture
def receiver():
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            server.received.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.received = []
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_promotion_needs_a_ship_or_a_reason(workspace, epochal):
    refused = epochal("promote", "v1_baseline", code=2)
    assert "nobody has decided" in refused.stderr
    assert "--override" in refused.stderr
    assert "production" not in epochal("runs").stdout
    said = epochal("promote", "v1_baseline", "staging", "--override", "trial").stdout
    assert "v1_baseline is now staging of pallets" in said
    assert "★staging" in epochal("runs").stdout


def test_a_receiver_is_told(workspace, epochal, receiver):
    url = f"http://127.0.0.1:{receiver.server_port}/"
    secret = {"EPOCHAL_WEBHOOK_SECRET": "s"}
    told = ["--webhook", url, "--allow-private"]
    done = epochal("promote", "v1_baseline", "--override", "x", *told, "--json", env=secret)
    found = json.loads(done.stdout)
    assert found["deliveries"][0]["status"] == 204
    assert json.loads(receiver.received[0]) == found["promotion"]


@pytest.mark.parametrize(
    ("options", "env", "expected"),
    [
        (["--webhook", "http://127.0.0.1:9/"], {"EPOCHAL_WEBHOOK_SECRET": "s"}, "private"),
        (["--webhook", "http://127.0.0.1:9/", "--allow-private"], {}, "EPOCHAL_WEBHOOK_SECRET"),
        (["--webhook", "nonsense"], {"EPOCHAL_WEBHOOK_SECRET": "s"}, "is no address"),
    ],
)
def test_a_bad_receiver_is_told_first(workspace, epochal, options, env, expected):
    refused = epochal("promote", "v1_baseline", "--override", "x", *options, code=2, env=env)
    assert expected in refused.stderr
    assert "production" not in epochal("runs").stdout


def test_handoff_and_arrival(workspace, tmp_path, epochal):
    assert "nobody has decided" in epochal("handoff", "v1_baseline", "ship", code=2).stderr
    assert not (tmp_path / "ship").exists()
    said = epochal("handoff", "v1_baseline", "ship", "--override", "trial").stdout
    assert "against the gates: trial" in said
    assert "without lesson" in said
    assert "as they were sent" in epochal("handoff", "--verify", "ship").stdout
    (tmp_path / "ship/weights/best.pt").write_bytes(b"others")
    shown = epochal("handoff", "--verify", "ship", code=1).stdout
    assert "weights/best.pt is not what was sent" in shown
    assert json.loads(epochal("handoff", "--verify", "ship", "--json", code=1).stdout)["problems"]


@pytest.mark.parametrize("arguments", [[], ["v1_baseline"], ["v1_baseline", "x", "--verify", "y"]])
def test_a_handoff_takes_a_run_and_a_folder(workspace, epochal, arguments):
    assert "error:" in epochal("handoff", *arguments, code=2).stderr
