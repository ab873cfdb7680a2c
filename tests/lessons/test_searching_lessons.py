from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epochal.lessons import (
    digest,
    have_we_tried,
    known_workspaces,
    remember_workspace,
    search_everywhere,
    search_lessons,
    write_lesson,
)
from epochal.lessons.index import fold
from epochal.lessons.searching import _folded_with_places
from epochal.records import Trashed


def names(hits):
    return [hit.name for hit in hits]


@pytest.fixture
def told(lab):
    """A workspace with three runs that were written about and one that was not."""
    first = lab.train("v1_baseline", config={"imgsz": 96, "lr0": 0.01})
    night = lab.train(
        "v2_imgsz_160",
        config={"imgsz": 160, "lr0": 0.01},
        parent="v1_baseline",
        hypothesis="Small pallets need more pixels",
        tags=["Nachtschicht"],
    )
    other = lab.train("v1_drums", project="drums", values=(0.1, 0.2))
    lab.train(
        "v3_lr0_0p02", config={"imgsz": 160, "lr0": 0.02}, parent="v2_imgsz_160", values=(0.2, 0.3)
    )
    with lab.store() as store:
        write_lesson(store, store.run(first), result="Overfits after epoch 40", text="# Why\nfew")
        write_lesson(
            store,
            store.run(night),
            result="mAP50-95 up, but pallets at night still fail (Müller's camera)",
            next="copy_paste=0.3; 夜间的托盘",
        )
        write_lesson(store, store.run(other), result="pallets are not drums")
    return lab


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("night", ["v2_imgsz_160"]),
        ("NIGHT pallets", ["v2_imgsz_160"]),
        ("muller", ["v2_imgsz_160"]),
        ("MÜLLER", ["v2_imgsz_160"]),
        (unicodedata.normalize("NFD", "Müller"), ["v2_imgsz_160"]),
        ("mAP50-95", ["v2_imgsz_160"]),
        ("copy_paste=0.3", ["v2_imgsz_160"]),
        ("托盘", ["v2_imgsz_160"]),
        ("nachtsch", ["v2_imgsz_160"]),
        ('"still fail"', ["v2_imgsz_160"]),
        ('"fail still"', []),
        ("overf", ["v1_baseline"]),
        ("verfits", []),
        ("pixels", ["v2_imgsz_160"]),
        ("lr0 0.02", ["v3_lr0_0p02"]),
        ("", ["v1_drums", "v2_imgsz_160", "v1_baseline"]),
        ("...", ["v1_drums", "v2_imgsz_160", "v1_baseline"]),
        ("zebra", []),
        ('"', ["v1_drums", "v2_imgsz_160", "v1_baseline"]),
    ],
)
def test_words_are_found_whatever_their_case_and_accents(told, words, found):
    with told.store() as store:
        assert names(search_lessons(store, words)) == found


def test_snippets_mark_what_was_found(told):
    with told.store() as store:
        (hit,) = search_lessons(store, "muller pal")
    marked = {
        snippet.field: [snippet.text[a:b] for a, b in snippet.marks] for snippet in hit.snippets
    }
    assert marked == {"hypothesis": ["pal"], "result": ["pal", "Müller"]}


def test_a_long_text_is_cut_around_the_words(lab):
    run = lab.train("v1_baseline")
    with lab.store() as store:
        write_lesson(store, store.run(run), text=f"{'before ' * 200} needle {'after ' * 200}")
        (hit,) = search_lessons(store, "needle")
    (snippet,) = hit.snippets
    assert len(snippet.text) < 200
    assert snippet.text.startswith("… ")
    assert snippet.text.endswith(" …")
    assert [snippet.text[a:b] for a, b in snippet.marks] == ["needle"]


def test_where_no_run_has_all_words_the_missing_ones_are_named(told):
    with told.store() as store:
        hits = search_lessons(store, "night zebra")
    assert names(hits) == ["v2_imgsz_160"]
    assert hits[0].missing == ("zebra",)


def test_only_the_project_that_was_asked_for(told):
    with told.store() as store:
        assert names(search_lessons(store, "pallets", project="drums")) == ["v1_drums"]
        assert names(search_lessons(store, "pallets", limit=1)) == ["v2_imgsz_160"]


def test_what_is_written_or_hidden_later_counts_at_once(told):
    with told.store() as store:
        assert search_lessons(store, "giraffe") == []
        run = store.find_run("v3_lr0_0p02").id
        write_lesson(store, store.run(run), result="a giraffe")
        assert names(search_lessons(store, "giraffe")) == ["v3_lr0_0p02"]
        store.record(Trashed(on=True), run)
        assert search_lessons(store, "giraffe") == []


def test_a_child_that_was_read_before_its_parent_gets_its_change(lab):
    lab.train("v2_child", config={"imgsz": 160}, parent="v1_parent")
    with lab.store() as store:
        assert search_lessons(store, "imgsz") == []
        lab.train("v1_parent", config={"imgsz": 96})
        store.refresh()
        (hit,) = search_lessons(store, "imgsz")
        assert hit.name == "v2_child"
        assert hit.snippets[0].text == "imgsz 96 -> 160"


def test_other_workspaces_are_searched_on_request(told, make_lab, tmp_path):
    away = make_lab("away")
    run = away.train("v9_night", values=(0.1, 0.2))
    with away.store() as store:
        write_lesson(store, store.run(run), result="night night")
        remember_workspace(store.folder)
    with told.store() as store:
        remember_workspace(store.folder)
        remember_workspace(store.folder)
        assert known_workspaces() == [away.folder.root, told.folder.root]
        hits, unreadable = search_everywhere(store, "night")
        assert unreadable == []
        assert {(hit.name, hit.workspace) for hit in hits} == {
            ("v9_night", str(away.folder.root)),
            ("v2_imgsz_160", ""),
        }
        (away.folder.root / "format").write_text("999\n")
        hits, (line,) = search_everywhere(store, "night")
        assert "format 999" in line
        assert names(hits) == ["v2_imgsz_160"]


def test_have_we_tried_finds_the_same_change_before_a_similar_one(told):
    told.train("v4_imgsz_320", config={"imgsz": 320}, parent="v2_imgsz_160")
    with told.store() as store:
        tried = have_we_tried(store, "pallets", "imgsz=160")
        assert (tried[0].name, tried[0].similarity) == ("v2_imgsz_160", 1.0)
        assert "v3_lr0_0p02" not in {t.name for t in tried}
        assert not tried[0].drafted
        assert "still fail" in tried[0].result
        (drafted,) = have_we_tried(store, "pallets", "lr0=0.02")[:1]
        assert drafted.drafted
        assert drafted.change == "lr0 0.01 -> 0.02"
        assert drafted.result.startswith("mAP50-95")
        assert have_we_tried(store, "drums", "imgsz=160") == []
        assert names(have_we_tried(store, "pallets", "more pixels"))[0] == "v2_imgsz_160"


def test_the_digest_has_all_lessons_and_names_the_rest(told):
    with told.store() as store:
        text = digest(store)
        assert text.index("## drums") < text.index("## pallets")
        assert "- **Hypothesis (pre-registered):** Small pallets need more pixels" in text
        assert "#### Why" in text
        assert "Without a lesson yet: `v3_lr0_0p02`" in text
        assert "drums" not in digest(store, "pallets").replace("not drums", "")


def test_the_digest_of_nothing_says_so(lab):
    with lab.store() as store:
        assert "No lessons have been written yet" in digest(store)


@given(st.text())
def test_folding_with_places_is_folding(text):
    line = " ".join(text.split())
    folded, places = _folded_with_places(line)
    assert folded.split() == fold(line).split()
    assert len(folded) == len(places)
    assert places == sorted(places)
