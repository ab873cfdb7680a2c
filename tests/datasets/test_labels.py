from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epochal.datasets import LabelRules, parse_labels

RULES = LabelRules(4)

share = st.floats(0, 1).map(lambda v: round(v, 6))
box = st.tuples(st.integers(0, 3), share, share, share, share)
boxes = st.lists(box, max_size=8)


def text(rows):
    return "\n".join(" ".join(str(v) for v in row) for row in rows)


@given(boxes, st.randoms(use_true_random=False))
def test_digest_is_the_meaning_not_the_bytes(rows, random):
    shuffled = random.sample(rows, len(rows))
    spelled = "\r\n\r\n".join(
        f"{c}.0\t {x:.9f}  {y:.9f} {w:.9f} {h:.9f} " for c, x, y, w, h in shuffled
    )
    a = parse_labels(text(rows).encode(), RULES)
    b = parse_labels(b"\xef\xbb\xbf" + spelled.encode() + b"\n", RULES)
    assert (a.digest, a.objects) == (b.digest, b.objects)
    assert sum(n for _, n in a.objects) == len(rows)
    assert not a.malformed


@given(st.lists(box, min_size=1, max_size=8), st.data())
def test_any_changed_number_changes_the_digest(rows, data):
    i = data.draw(st.integers(0, len(rows) - 1))
    j = data.draw(st.integers(0, 4))
    new = data.draw((st.integers(0, 3) if j == 0 else share).filter(lambda v: v != rows[i][j]))
    changed = [*rows[:i], (*rows[i][:j], new, *rows[i][j + 1 :]), *rows[i + 1 :]]
    digests = {parse_labels(text(r).encode(), RULES).digest for r in (rows, changed, rows[1:])}
    assert len(digests) >= 2
    assert (
        parse_labels(text(rows).encode(), RULES).digest
        != parse_labels(text(changed).encode(), RULES).digest
    )


@given(st.binary(max_size=200))
def test_any_bytes_are_parsed_or_reported(content):
    labels = parse_labels(content, RULES)
    assert labels.malformed == any(flaw.severity == "error" for flaw in labels.flaws)
    assert (
        labels.malformed
        or bool(labels.objects) == bool(content.strip(b"\xef\xbb\xbf \r\n\t"))
        or (not content.decode("utf-8-sig").strip())
    )


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("0 0.5 0.5 0.2", "4 columns"),
        ("0 0.5 0.5 0.2 0.2 0.9", "6 columns"),
        ("0 0.5 half 0.2 0.2", "'half' is not a number"),
        ("4 0.5 0.5 0.2 0.2", "class 4 is not"),
        ("-1 0.5 0.5 0.2 0.2", "class -1 is not"),
        ("1.5 0.5 0.5 0.2 0.2", "class 1.5 is not"),
        ("nan 0.5 0.5 0.2 0.2", "class nan is not"),
        ("0 1.5 0.5 0.2 0.2", "coordinate 1.5 is outside"),
        ("0 0.5 -0.5 0.2 0.2", "coordinate -0.5 is outside"),
        ("0 0.5 nan 0.2 0.2", "coordinate nan is outside"),
        ("0 0.5 inf 0.2 0.2", "coordinate inf is outside"),
        ("0 0.5 0.5 -0.005 0.2", "negative"),
        ("0 320 240 64 48", "coordinate 320 is outside"),
    ],
)
def test_each_error_names_its_line(row, problem):
    good = "1 0.5 0.5 0.2 0.2\n\n"
    labels = parse_labels(f"{good}{row}\n".encode(), RULES)
    (flaw,) = labels.flaws
    assert problem in flaw.problem
    assert flaw.line == 3
    assert flaw.remedy
    assert labels.malformed
    assert not labels.objects


@pytest.mark.parametrize(
    ("row", "problem"),
    [("0 1.000001 0.5 0.2 0.2", "just outside"), ("0 0.5 0.5 0 0.2", "no area")],
)
def test_what_the_trainer_tolerates_is_a_warning(row, problem):
    labels = parse_labels(row.encode(), RULES)
    assert problem in labels.flaws[0].problem
    assert not labels.malformed
    assert labels.objects == ((0, 1),)


def test_repeated_rows_warn():
    labels = parse_labels(b"0 0.5 0.5 0.2 0.2\n0 0.5 0.5 0.2 0.20\n", RULES)
    assert [(f.line, f.severity) for f in labels.flaws] == [(2, "warning")]


def test_polygons_and_mixtures():
    triangle = "0 0.1 0.1 0.5 0.1 0.3 0.9\n"
    assert parse_labels(triangle.encode(), RULES).form == "polygons"
    mixed = parse_labels(f"{triangle}0 0.5 0.5 0.1 0.1".encode(), RULES)
    assert mixed.flaws[0].line == 2
    odd = parse_labels(f"{triangle}0 0.1 0.1 0.2 0.2 0.3 0.3 0.4".encode(), RULES)
    assert "8 columns" in odd.flaws[0].problem


def test_keypoints():
    rules = LabelRules(1, (2, 3))
    good = "0 0.5 0.5 0.2 0.2 0.4 0.4 2 0.6 0.6 0"
    assert parse_labels(good.encode(), rules).form == "keypoints"
    assert parse_labels(b"0 0.5 0.5 0.2 0.2", rules).malformed
    assert parse_labels(good.replace("0.6", "1.6").encode(), rules).malformed


def test_a_file_that_is_wrong_in_every_line_stays_readable():
    warnings = "0 0.5 0.5 0 0\n" * 200
    labels = parse_labels((warnings + "oops").encode(), RULES)
    assert labels.malformed
    assert len(labels.flaws) < 30
    assert any(flaw.severity == "error" for flaw in labels.flaws)


def test_background_is_the_same_with_and_without_a_file():
    assert parse_labels(b" \n\n", RULES).digest == ""
