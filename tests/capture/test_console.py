"""Console capture: the user sees what was printed, unchanged; the run keeps what is worth it."""

from __future__ import annotations

import io
import itertools
import os
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epochal.capture.console import ConsoleCapture, LineAssembler


@pytest.fixture
def streams():
    """What stands for the terminal's stdout and stderr."""
    return io.StringIO(), io.StringIO()


@pytest.fixture
def heard(streams, monkeypatch):
    """A function that starts a capture; it returns that and the list of what it emits."""
    captures = []

    def start(emit=None):
        # Not before the test itself: pytest puts streams of its own in place between phases.
        monkeypatch.setattr(sys, "stdout", streams[0])
        monkeypatch.setattr(sys, "stderr", streams[1])
        emitted = []
        captures.append(ConsoleCapture(emit or (lambda *text: emitted.append(text))))
        captures[0].install()
        return captures[0], emitted

    yield start
    for capture in captures:
        capture.uninstall()


def test_what_is_printed_is_seen_and_kept(heard, streams):
    capture, emitted = heard()
    print("one")
    print("two", file=sys.stderr)
    print("three")
    capture.flush()
    assert emitted == [("stdout", "one"), ("stderr", "two"), ("stdout", "three")]
    assert streams[0].getvalue() == "one\nthree\n"
    assert streams[1].getvalue() == "two\n"


def test_after_the_end_the_streams_are_the_old_ones(heard, streams):
    capture, emitted = heard()
    sys.stdout.write("no newline")
    capture.uninstall()
    assert sys.stdout is streams[0]
    assert emitted == [("stdout", "no newline")]
    print("unheard")
    capture.flush()
    assert len(emitted) == 1


def test_a_stream_that_somebody_wrapped_meanwhile_is_left_alone(heard):
    capture, _ = heard()

    class Wrapper(io.StringIO):
        pass

    wrapper = sys.stdout = Wrapper()
    capture.uninstall()
    assert sys.stdout is wrapper


def test_a_progress_bar_is_kept_as_it_was_left(heard):
    """F63: bars rewrite their line; a night of them must not be hundreds of megabytes."""
    capture, emitted = heard()
    for percent in range(101):
        sys.stderr.write(f"\r  epoch 1 {percent:3}%|{'#' * (percent // 10):10}|")
    sys.stderr.write("\n")
    capture.flush()
    assert emitted == [("stderr", "  epoch 1 100%|##########|")]


def test_a_bar_that_ends_in_a_return_keeps_its_last_state(heard):
    capture, emitted = heard()
    sys.stderr.write("10%\r20%\r\n")
    capture.flush()
    assert emitted == [("stderr", "20%")]


def test_colours_and_control_characters_are_not_kept(heard):
    capture, emitted = heard()
    print("\x1b[1;32mgreen\x1b[0m \x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\ \x07bell\ttab\x00")
    capture.flush()
    assert emitted == [("stdout", "green link bell\ttab")]


def test_text_without_utf8_is_escaped(heard):
    """F63: surrogates from undecodable file names."""
    capture, emitted = heard()
    print("file \udcff\udcfe.jpg")
    capture.flush()
    assert emitted == [("stdout", "file \\udcff\\udcfe.jpg")]


@pytest.mark.parametrize("letter", ["x", "é", "损", "😀", '"'])
def test_any_amount_of_text_fits_into_records(heard, letter):
    """F63: whatever the encoding, an emitted text fits one line of a journal."""
    from epochal.journal.lines import encode_line
    from epochal.records import MAX_LINE, Console, Entry

    capture, emitted = heard()
    for _ in range(40):
        print(letter * 3000)
    print(letter * 100_000)
    capture.flush()
    for stream, text in emitted:
        body = Console(stream=stream, text=text)
        assert len(encode_line(Entry(seq=1 << 40, t=1 << 60, body=body), 0)) <= MAX_LINE
    assert "".join(text for _, text in emitted).count(letter) == 40 * 3000 + 8192
    assert emitted[-1][1].endswith("[91808 more characters]")


def test_a_line_without_end_is_bounded(heard):
    """F63: a megabyte without a newline."""
    capture, emitted = heard()
    for _ in range(1000):
        sys.stdout.write("y" * 1000)
    capture.uninstall()
    assert sum(len(text) for _, text in emitted) < 20_000


def test_what_is_printed_faster_than_kept_is_counted(heard):
    """F63, G19: bounded memory, and the loss is said."""
    capture, emitted = heard()
    for _ in range(6_000):
        print("z" * 1000)
    capture.flush()
    kept = sum(text.count("z") for _, text in emitted) // 1000
    assert 4_000 < kept < 4_500
    assert emitted[-1] == (
        "stderr",
        f"[{6_000 - kept} lines were printed faster than they are kept]",
    )


def test_secrets_do_not_get_into_the_record(heard):
    capture, emitted = heard()
    print("logged in with api_key=" + "a1B2" * 10)
    capture.flush()
    assert emitted == [("stdout", "logged in with api_key=[redacted]")]


def test_a_private_key_that_two_flushes_share_does_not_get_into_the_record(heard):
    capture, emitted = heard()
    print("-----BEGIN PRIVATE KEY-----", "a1B2" * 16, sep="\n")
    capture.flush()
    print("not of the key", file=sys.stderr)
    print("c3D4" * 16, "-----END PRIVATE KEY-----", "after", sep="\n")
    capture.flush()
    assert emitted == [
        ("stdout", "[redacted]"),
        ("stderr", "not of the key"),
        ("stdout", "[redacted]\nafter"),
    ]


def test_what_emitting_prints_is_not_heard(heard, streams):
    capture, _ = heard(lambda stream, text: print("emitting", text))
    print("hello")
    capture.flush()
    capture.flush()
    capture.uninstall()
    assert streams[0].getvalue() == "hello\nemitting hello\n"


def test_an_error_of_ours_does_not_stop_the_printing(heard, streams, monkeypatch):
    capture, _ = heard()
    monkeypatch.setattr(capture, "_heard", lambda *a: 1 / 0)
    print("still seen")
    assert streams[0].getvalue() == "still seen\n"


def test_the_stream_keeps_all_else_that_it_can(heard):
    heard()
    sys.stdout.writelines(["a\n", "b\n"])
    assert sys.stdout.getvalue() == "a\nb\n"
    assert not sys.stdout.isatty()
    with pytest.raises(TypeError):
        sys.stdout.write(b"bytes")


def test_a_process_without_streams_is_none_of_our_business(monkeypatch):
    """As under pythonw, or a daemon."""
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    capture = ConsoleCapture(lambda *a: None)
    capture.install()
    capture.uninstall()
    assert sys.stdout is None


def test_threads_do_not_mix_within_lines(heard):
    capture, emitted = heard()
    barrier = threading.Barrier(8)

    def work(n):
        barrier.wait()
        for _ in range(200):
            sys.stdout.write(f"{n}" * 50 + "\n")

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    capture.flush()
    lines = "\n".join(text for _, text in emitted).split("\n")
    assert sorted(lines) == sorted(f"{n}" * 50 for n in range(8) for _ in range(200))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_childs_lines_are_not_the_runs(heard):
    capture, emitted = heard()
    pid = os.fork()
    if pid == 0:
        print("from the child")
        os._exit(1 if capture._lines else 0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    capture.flush()
    assert emitted == []


TEXT = st.text(st.sampled_from("ab\n\r é"), max_size=60)


@given(TEXT, st.lists(st.integers(0, 60), max_size=6))
def test_however_a_text_is_cut_the_lines_are_the_same(text, cuts):
    whole, cut = LineAssembler(), LineAssembler()
    expected = whole.feed(text) + whole.finish()
    places = [0, *sorted(cuts), len(text)]
    found = []
    for begin, end in itertools.pairwise(places):
        found += cut.feed(text[begin:end])
    assert found + cut.finish() == expected
