from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epochal.errors import InvalidInput
from epochal.lessons import FIELDS, Draft, is_empty, undocumented, write_lesson
from epochal.lessons.template import fill_template, read_template
from epochal.records import LessonWritten
from epochal.store.documents import RunDocument

DRAFT = Draft(hypothesis="", change="1 change: imgsz 96 -> 160", result="mAP50-95 0.600.")


def test_a_lesson_is_kept_field_by_field(lab):
    run = lab.train("v1_baseline")
    with lab.store() as store:
        first = write_lesson(store, store.run(run), result="learns", next="  more data \r\n\r\n")
        assert first.author == "Ada <ada@example.org>"
        assert (first.result, first.next) == ("learns", "more data")
        write_lesson(store, store.run(run), change="nothing yet")
        document = store.run(run)
        assert (document.lesson.result, document.lesson.change) == ("learns", "nothing yet")
        assert len(document.lessons) == 2
        assert write_lesson(store, document, result="learns") is None
        assert len(store.run(run).lessons) == 2


def test_a_field_can_be_emptied(lab):
    run = lab.train("v1_baseline")
    with lab.store() as store:
        write_lesson(store, store.run(run), result="wrong")
        write_lesson(store, store.run(run), result=" ")
        assert is_empty(store.run(run).lesson)
        assert [d.id for d in undocumented(store)] == [run]


@pytest.mark.parametrize("text", ["x" * 60_000, "\n".join("x" * 30_000), "ä" * 30_000])
def test_what_does_not_fit_a_record_is_refused_and_nothing_recorded(lab, text):
    run = lab.train("v1_baseline")
    with lab.store() as store:
        with pytest.raises(InvalidInput, match="bytes"):
            write_lesson(store, store.run(run), text=text)
        assert store.run(run).lesson is None


def test_undocumented_are_those_that_ended_with_numbers_and_no_words(lab):
    first = lab.train("v1_baseline")
    told = lab.train("v2_told", parent="v1_baseline")
    lab.train("v3_crashed_at_once", values=())
    last = lab.train("v4_other", project="drums", fail="CUDA out of memory")
    with lab.store() as store:
        write_lesson(store, store.run(told), result="fine")
        assert [d.id for d in undocumented(store)] == [last, first]
        assert [d.id for d in undocumented(store, "pallets")] == [first]


def _document():
    return RunDocument(id="a" * 32, name="v2_--> <!-- x", project="p")


def test_an_untouched_template_holds_just_the_draft():
    fields = read_template(fill_template(_document(), None, DRAFT))
    assert fields == {
        "hypothesis": "",
        "change": DRAFT.change,
        "result": DRAFT.result,
        "next": "",
        "text": "",
    }


_line = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=20).filter(
    lambda t: "<!--" not in t and not t.strip().startswith("##")
)
_field = st.lists(_line, max_size=4).map(lambda lines: "\n".join(lines).strip())


@given(st.builds(LessonWritten, **dict.fromkeys(FIELDS, _field)))
def test_what_was_written_comes_back_from_the_template(lesson):
    draft = Draft(hypothesis="", change="", result="")
    fields = read_template(fill_template(_document(), lesson, draft))
    assert fields == {field: getattr(lesson, field).strip() for field in FIELDS}


@given(st.text())
def test_any_edited_text_is_read_or_refused(text):
    try:
        assert set(read_template(text)) == set(FIELDS)
    except InvalidInput:
        pass


def test_headings_of_the_notes_belong_to_the_notes():
    fields = read_template(
        "## Result\nfine\r\n<!-- a\nlong -->\n## notes ##\n# Why\n## Night\n```\n# x\n```\n"
    )
    assert fields["result"] == "fine"
    assert fields["text"] == "# Why\n## Night\n```\n# x\n```"


@pytest.mark.parametrize("text", ["## Result\n<!-- open", "words\n## Result"])
def test_text_that_would_be_lost_is_refused(text):
    with pytest.raises(InvalidInput):
        read_template(text)
