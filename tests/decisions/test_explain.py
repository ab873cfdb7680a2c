"""Every face of a decision says the same, whole, and safely."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulator import Model, world

from epochal.decisions import decide
from epochal.decisions.charter import Charter
from epochal.decisions.explain import Interval, interval_text, to_markdown, to_text
from epochal.decisions.page import to_html

VAL, TEST = world(300, 4, 1), world(300, 4, 2)
BASE = Model(1.0, 11, 4)


@pytest.fixture
def made(workshop):
    base = workshop.run("v1_base", val=BASE.run(VAL), test=BASE.run(TEST))
    workshop.baseline(base)
    better = Model(2.2, 12, 4)
    candidate = workshop.run(
        "v2_<script>|x",
        config={"imgsz": 1024},
        val=better.run(VAL),
        test=better.run(TEST),
        hypothesis="a & b",
    )
    return decide(
        workshop.store,
        candidate,
        base,
        charter=Charter(project="pallets"),
        version=0,
        resamples=100,
    )


@pytest.mark.parametrize("face", [to_text, to_markdown, to_html])
def test_every_gate_its_sentence_and_its_evidence_are_on_every_face(made, face):
    said = re.sub(r"&#x27;", "'", face(made))
    for gate in made.gates:
        assert gate.name in said
        assert gate.sentence in said
    assert str(made.gates[0].evidence["rng_seed"]) in said
    assert "standard error" in said
    assert made.id[:12] in said


def test_the_page_is_one_file_without_scripts_or_links(made):
    page = to_html(made)
    assert "<script" not in page
    assert not re.search(r"""(src|href)\s*=|url\(|@import""", page)
    assert "v2_&lt;script&gt;|x" in page
    assert "a &amp; b" in page


def test_tables_in_markdown_keep_their_columns(made):
    rows = [line for line in to_markdown(made).splitlines() if line.startswith("| ")]
    assert rows
    for row in rows:
        assert len(re.split(r"(?<!\\)\|", row)) in (6, 9)


@given(
    st.floats(-50, 50), st.floats(0, 30), st.floats(0, 30), st.floats(0, 5), st.integers(20, 90)
)
def test_the_drawn_interval_holds_its_marks_in_order(point, below, above, wanted, width):
    line, labels = interval_text(
        Interval(point - below, point, point + above, wanted, "points"), width
    )
    assert len(line) == width
    assert line.count("●") == 1
    assert len(labels) <= width + 8
    drawn = [line.index(mark) for mark in "├●┤" if mark in line]
    assert drawn == sorted(drawn)
