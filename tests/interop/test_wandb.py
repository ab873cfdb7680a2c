"""W&B's logs, written here frame by frame as its client writes them: no client is needed."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import math
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from epochal.errors import EpochalError, InvalidInput
from epochal.interop.wandb import import_wandb
from epochal.interop.wandb.messages import Record
from epochal.interop.wandb.transaction_log import TransactionLog
from epochal.journal.folder import Folder
from epochal.store.documents import RunDocument
from epochal.store.store import Store

BLOCK = 32 * 1024
HEAD = b":W&B" + struct.pack("<HB", 0xBEE1, 0)


def chunk(kind: int, data: bytes) -> bytes:
    return struct.pack("<IHB", zlib.crc32(bytes([kind]) + data), len(data), kind) + data


def log_of(records: Sequence[Any]) -> bytes:
    """Return a whole log; what does not fit into a block goes on in the next."""
    out = bytearray(HEAD)
    for record in records:
        rest, first = record.SerializeToString(), True
        while True:
            room = BLOCK - len(out) % BLOCK
            if room < 7:
                out += bytes(room)
                room = BLOCK
            part, rest = rest[: room - 7], rest[room - 7 :]
            kind = (1 if first else 4) if not rest else (2 if first else 3)
            out += chunk(kind, part)
            first = False
            if not rest:
                break
    return bytes(out)


def run_record(**fields: Any) -> Any:
    record = Record()
    record.run.run_id = "abc123"
    record.run.project = "pallets"
    record.run.display_name = "v1_baseline"
    record.run.start_time.seconds = 1_700_000_000
    for name, value in fields.items():
        if isinstance(value, list):
            getattr(record.run, name).extend(value)
        else:
            setattr(record.run, name, value)
    return record


def items(into: Any, values: dict[str, Any]) -> None:
    for key, value in values.items():
        path = key.split(".")
        item = into.add(value_json=json.dumps(value))
        if len(path) > 1:
            item.nested_key.extend(path)
        else:
            item.key = key


def history(step: int, /, **values: Any) -> Any:
    record = Record()
    record.history.step.num = step
    items(record.history.item, {"_step": step, "_timestamp": 1_700_000_000.5 + step, **values})
    return record


def config(values: dict[str, Any]) -> Any:
    record = Record()
    items(record.config.update, values)
    return record


def summary(values: dict[str, Any]) -> Any:
    record = Record()
    items(record.summary.update, values)
    return record


def console(text: str, kind: int = 1) -> Any:
    record = Record()
    record.output_raw.line, record.output_raw.output_type = text, kind
    return record


def files(*paths: str) -> Any:
    record = Record()
    for path in paths:
        record.files.files.add(path=path)
    return record


def ended(code: int = 0) -> Any:
    record = Record()
    record.exit.SetInParent()
    record.exit.exit_code = code
    return record


def losses(n: int, start: int = 0) -> list[Any]:
    return [history(step, loss=1 / (step + 1)) for step in range(start, start + n)]


@pytest.fixture
def workspace(tmp_path: Path) -> Folder:
    return Folder.create(tmp_path / "workspace")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    folder = tmp_path / "wandb" / "offline-run-20261124_000000-abc123"
    (folder / "files" / "media").mkdir(parents=True)
    return folder


def write(place: Path, records: Sequence[Any]) -> Path:
    path = place / "run-abc123.wandb"
    path.write_bytes(log_of(records))
    return path


def only_run(workspace: Folder) -> tuple[Store, RunDocument]:
    store = Store(workspace)
    (document,) = store.runs()
    return store, document


def steps(workspace: Folder, key: str = "loss") -> list[int]:
    store, run = only_run(workspace)
    with store:
        found: list[int] = store.points.read(run.id, key).step.tolist()
        return found


def test_everything_arrives(place: Path, workspace: Folder) -> None:
    (place / "files" / "media" / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (place / "files" / "notes.txt").write_text("hello")
    stats = Record()
    stats.stats.timestamp.seconds = 1_700_000_009
    items(stats.stats.item, {"cpu": 12.5})
    write(
        place,
        [
            run_record(notes="some **notes**", tags=["t1", "t2"], run_group="grp"),
            config({"lr": 0.1, "opt.name": "adam", "opt.betas": [0.9, 0.999], "_wandb": {"x": 1}}),
            *losses(3),
            history(3, epoch=2, nan=math.nan, inf=math.inf, **{"nested.a": 1, "nested.b": 2}),
            history(4, img={"_type": "image-file", "path": "media/a.png", "caption": "black"}),
            history(5, hist={"_type": "histogram", "bins": [0, 1, 2], "values": [3, 4]}),
            stats,
            files("notes.txt"),
            summary({"loss": 0.25, "best": 0.99}),
            ended(),
        ],
    )
    report = import_wandb(place, workspace=workspace)
    assert not report.problems
    assert not report.left_out
    store, run = only_run(workspace)
    with store:
        assert (run.project, run.name, run.group) == ("pallets", "v1_baseline", "grp")
        assert run.tags == ("t1", "t2")
        assert run.config == {"lr": 0.1, "opt": {"name": "adam", "betas": [0.9, 0.999]}}
        assert set(run.metrics) == {"loss", "epoch", "nan", "inf", "nested.a", "nested.b"}
        points = store.points.read(run.id, "loss")
        assert points.value.tolist() == [1.0, 1 / 2, 1 / 3]
        assert points.time.tolist() == [1_700_000_000_500_000 + s * 1_000_000 for s in range(3)]
        assert math.isnan(store.points.read(run.id, "nan").value[0])
        assert store.points.read(run.id, "inf").value.tolist() == [math.inf]
        assert store.points.read(run.id, "inf").epoch.tolist() == [2]
        assert run.summary == {"best": 0.99}
        assert run.lesson is not None
        assert run.lesson.text == "some **notes**"
        assert [(i.body.key, i.body.step, i.body.caption) for i in run.images] == [
            ("img", 4, "black")
        ]
        assert set(run.artifacts) == {"histograms/hist.json", "files/notes.txt"}
        assert store.status(run) == "finished"


def test_twice_changes_nothing_and_later_brings_the_rest(place: Path, workspace: Folder) -> None:
    image = {"_type": "image-file", "path": "media/a.png"}
    head = [run_record(), *losses(5), history(5, img=image)]
    write(place, head)
    import_wandb(place, workspace=workspace)
    first = {path: path.read_bytes() for path in workspace.root.rglob("*.jsonl")}
    again = import_wandb(place, workspace=workspace)
    assert [run.new for run in again.runs] == [0]
    assert {path: path.read_bytes() for path in workspace.root.rglob("*.jsonl")} == first

    # A file that comes late moves nothing of what the log says.
    (place / "files" / "media" / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    write(place, [*head, *losses(4, 6)])
    assert [run.new for run in import_wandb(place, workspace=workspace).runs] == [5]
    assert steps(workspace) == [0, 1, 2, 3, 4, 6, 7, 8, 9]
    assert [run.new for run in import_wandb(place, workspace=workspace).runs] == [0]


def test_a_run_without_an_exit_did_not_finish(place: Path, workspace: Folder) -> None:
    write(place, [run_record(), *losses(2)])
    import_wandb(place, workspace=workspace)
    store, run = only_run(workspace)
    with store:
        assert store.status(run) != "finished"


def test_an_exit_code_is_a_failure(place: Path, workspace: Folder) -> None:
    write(place, [run_record(), *losses(2), ended(3)])
    import_wandb(place, workspace=workspace)
    store, run = only_run(workspace)
    with store:
        assert store.status(run) == "failed"


def test_fragments_of_console_become_lines(place: Path, workspace: Folder) -> None:
    write(
        place,
        [
            run_record(),
            console("epo"),
            console("ch 1\nepoch"),
            console("warn", 0),
            console(" 2\nla"),
            console("ing\n", 0),
            ended(),
        ],
    )
    import_wandb(place, workspace=workspace)
    store, run = only_run(workspace)
    with store:
        lines = [(line.stream, line.text) for line in store.console(run.id)]
    assert "".join(text for stream, text in lines if stream == "stdout") == "epoch 1\nepoch 2\nla"
    assert "".join(text for stream, text in lines if stream == "stderr") == "warning\n"


def test_two_logs_of_a_resumed_run_are_one_run(place: Path, workspace: Folder) -> None:
    write(place, [run_record(), *losses(3)])
    other = place.with_name("offline-run-20261125_000000-abc123")
    other.mkdir()
    again = run_record()
    again.run.start_time.seconds += 86_400
    write(other, [again, *losses(3, 3), ended()])
    import_wandb(place.parent, workspace=workspace)
    assert steps(workspace) == [0, 1, 2, 3, 4, 5]


# --- damage --------------------------------------------------------------------------------------


def test_a_torn_tail_is_left_for_the_next_time(place: Path, workspace: Folder) -> None:
    whole = log_of([run_record(), *losses(6)])
    path = place / "run-abc123.wandb"
    for cut in (1, 6, 7, 20, len(chunk(1, losses(1, 5)[0].SerializeToString())) - 1):
        path.write_bytes(whole[:-cut])
        report = import_wandb(place, workspace=workspace)
        assert not report.problems
        assert steps(workspace) == [0, 1, 2, 3, 4]
    path.write_bytes(whole)
    import_wandb(place, workspace=workspace)
    assert steps(workspace) == [0, 1, 2, 3, 4, 5]


def test_a_flipped_byte_costs_the_rest_of_its_block(place: Path, workspace: Folder) -> None:
    records = [run_record(), *(history(n, loss=n, pad="x" * 500) for n in range(200))]
    data = bytearray(log_of(records))
    data[BLOCK + 10_000] ^= 0xFF
    path = place / "run-abc123.wandb"
    path.write_bytes(data)
    report = import_wandb(place, workspace=workspace)
    assert any("1 damaged block" in problem for problem in report.problems)
    found = steps(workspace)
    missing = sorted(set(range(200)) - set(found))
    assert missing == list(range(missing[0], missing[-1] + 1))  # one hole
    assert found[0] == 0
    assert found[-1] == 199
    assert 20 < len(missing) < 70


@pytest.mark.parametrize("size", [32_000, 32_753, 32_754, 32_755, 70_000, 200_000])
def test_records_cross_the_borders_of_blocks(place: Path, size: int) -> None:
    records = [run_record(), console("a" * size), *losses(3), console("b" * size), *losses(2)]
    log = TransactionLog(write(place, records))
    assert list(log.records()) == records
    assert not log.damaged


def test_a_damaged_part_is_not_joined_with_what_follows(place: Path) -> None:
    records = [run_record(), console("a" * 100_000), *losses(2)]
    data = bytearray(log_of(records))
    data[2 * BLOCK + 100] ^= 1  # in the middle part
    path = place / "run-abc123.wandb"
    path.write_bytes(data)
    log = TransactionLog(path)
    assert list(log.records()) == [records[0], *records[2:]]
    assert (log.damaged, log.undecoded) == (1, 0)


def test_zeros_within_a_log_are_told(place: Path) -> None:
    records = [run_record(), *(history(n, pad="x" * 500) for n in range(200))]
    data = bytearray(log_of(records))
    data[BLOCK : 2 * BLOCK] = bytes(BLOCK)
    path = place / "run-abc123.wandb"
    path.write_bytes(data)
    log = TransactionLog(path)
    assert list(log.records())[-1] == records[-1]
    assert log.damaged == 1


@pytest.mark.parametrize("length", [0, 1, 40_000, 65_535])
def test_a_hostile_length_is_survived(place: Path, workspace: Folder, length: int) -> None:
    """Case A22."""
    good = log_of([run_record(), *losses(2)])
    lying = struct.pack("<IHB", 0, length, 1)
    path = place / "run-abc123.wandb"
    path.write_bytes(good + lying + bytes(3 * BLOCK))
    report = import_wandb(place, workspace=workspace)
    assert steps(workspace) == [0, 1]
    assert any("damaged" in problem for problem in report.problems)


def test_what_is_no_log_is_refused(place: Path, workspace: Folder) -> None:
    with pytest.raises(InvalidInput, match="no W&B log"):
        import_wandb(place, workspace=workspace)
    path = place / "run-abc123.wandb"
    for data in (b"", b":W&", b"PK\3\4" + bytes(100), HEAD, log_of(losses(2))):
        path.write_bytes(data)
        report = import_wandb(place, workspace=workspace)
        assert not report.runs
        assert len(report.problems) == 1
    with Store(workspace) as store:
        assert not store.runs()


# --- hostile content -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["../../../secret", "/etc/hostname", "media/../../../../secret", "a\0b", "link", ""]
)
def test_no_media_path_leaves_the_runs_folder(place: Path, workspace: Folder, path: str) -> None:
    (place.parent.parent / "secret").write_text("secret")
    (place / "files" / "link").symlink_to("/etc/hostname")
    write(place, [run_record(), history(0, img={"_type": "file", "path": path}), files(path)])
    report = import_wandb(place, workspace=workspace)
    assert report.left_out
    store, run = only_run(workspace)
    with store:
        assert not run.artifacts
        assert not run.images


def test_an_artifact_is_taken_only_where_the_log_knows_its_content(
    place: Path, workspace: Folder, tmp_path: Path
) -> None:
    staged = tmp_path / "staged"
    staged.write_bytes(b"weights")
    md5 = base64.b64encode(hashlib.md5(b"weights", usedforsecurity=False).digest()).decode()
    record = Record()
    record.artifact.type, record.artifact.name = "model", "detector"
    contents = record.artifact.manifest.contents
    contents.add(path="best.pt", local_path=str(staged), digest=md5)
    contents.add(path="passwd", local_path="/etc/passwd", digest=md5)
    contents.add(path="device", local_path="/dev/zero", digest=md5)
    contents.add(path="../up", local_path=str(staged), digest=md5)
    write(place, [run_record(), record])
    report = import_wandb(place, workspace=workspace)
    assert len(report.left_out) == 3
    store, run = only_run(workspace)
    with store:
        assert set(run.artifacts) == {"artifacts/detector/best.pt"}
        assert run.artifacts["artifacts/detector/best.pt"].body.role == "weights"


def test_values_that_no_record_can_hold_cost_only_themselves(
    place: Path, workspace: Folder
) -> None:
    deep = json.loads("[" * 200 + "]" * 200)
    odd = Record()
    odd.history.step.num = 1
    odd.history.item.add(key="half", value_json='{"\\ud800": 1, "b": "\\udfff"}')
    odd.history.item.add(key="digits", value_json="9" * 400)
    odd.history.item.add(key="no json", value_json="{")
    odd.history.item.add(key="_timestamp", value_json="NaN")
    odd.history.item.add(key="_step", value_json="9" * 30)
    odd.history.item.add(key="deep", value_json="[" * 100_000)
    odd.history.item.add(nested_key=["d"] * 3000, value_json="1")
    write(
        place,
        [
            run_record(notes="n" * 200_000),
            config({"big": "x" * 200_000, "deep": deep, "huge": 10**40, "nan": math.nan}),
            config({f"key{n}": "y" * 1000 for n in range(300)}),
            odd,
            history(2, **{f"m{n}": n for n in range(5000)}),
            console("\0" * 100_000),
            *losses(2, 3),
        ],
    )
    report = import_wandb(place, workspace=workspace)
    assert not report.problems
    assert steps(workspace) == [3, 4]
    store, run = only_run(workspace)
    with store:
        assert store.points.read(run.id, "digits").value.tolist() == [math.inf]
        assert run.config["huge"] == str(10**40)
        assert run.config["key299"] == "y" * 1000
        assert run.metrics["m4999"].last == (2, 4999.0)
    assert [one.new for one in import_wandb(place, workspace=workspace).runs] == [0]


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.binary(max_size=200), st.integers(0, 10**6), st.integers(0, 255), st.booleans())
def test_no_bytes_break_the_frames(
    tmp_path: Path, tail: bytes, at: int, flip: int, cut: bool
) -> None:
    """Case A23."""
    records = [run_record(), console("a" * 40_000), *losses(5), ended()]
    data = bytearray(log_of(records) + tail)
    data[at % len(data)] ^= flip
    path = tmp_path / "run-1.wandb"
    path.write_bytes(data[: at % len(data)] if cut else data)
    with contextlib.suppress(InvalidInput):
        list(TransactionLog(path).records())


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_no_record_breaks_the_import(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Case A23, with checksums that are right: what is in the frames is hostile."""
    tmp_path = tmp_path_factory.mktemp("fuzz")
    workspace = Folder.create(tmp_path / "workspace")
    place = tmp_path / "run"
    (place / "files").mkdir(parents=True)
    bodies = []
    for record in (
        run_record(notes="n"), config({"a.b": 1}), history(1, loss=2.0, img={"path": "x"}),
        summary({"best": 1}), console("x\n"), files("x"), ended(),
    ):  # fmt: skip
        body = bytearray(record.SerializeToString())
        body[data.draw(st.integers(0, len(body) - 1))] ^= data.draw(st.integers(0, 255))
        bodies.append(bytes(body))
    bodies.append(data.draw(st.binary(max_size=50)))
    path = place / "run-1.wandb"
    path.write_bytes(HEAD + b"".join(chunk(1, body) for body in bodies))
    with contextlib.suppress(EpochalError):
        first = import_wandb(place, workspace=workspace)
        again = import_wandb(place, workspace=workspace)
        assert [run.id for run in again.runs] == [run.id for run in first.runs]
        assert not any(run.new for run in again.runs)
    with Store(workspace) as store:
        store.runs()
