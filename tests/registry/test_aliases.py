import shutil

import pytest

from epochal.errors import InvalidInput, NotFound
from epochal.journal.governance import read_governance
from epochal.registry import aliases, get_alias, get_baseline, history, set_alias, set_baseline
from epochal.store.store import Store


@pytest.fixture
def store(folder, record_run):
    for name in ("v1_baseline", "v2_imgsz_1024"):
        record_run(name)
    record_run("v1_baseline", "bolts")
    with Store(folder) as opened:
        yield opened


def test_an_alias_points_where_it_was_set_last_and_keeps_its_history(store):
    first = store.find_run("pallets/v1_baseline")
    second = store.find_run("v2_imgsz_1024")
    assert get_baseline(store, "pallets") is None
    set_baseline(store, "pallets", first, "the first version")
    set_alias(store, "pallets", "production", first, "shipped")
    set_baseline(store, "pallets", second, " it ships ")
    found = get_baseline(store, "pallets")
    assert found is not None
    assert found.id == second.id
    changes = history(store, "pallets", "baseline")
    assert [c.run for c in changes] == [first.id, second.id]
    assert changes[-1].reason == "it ships"
    assert changes[-1].author
    assert {name: c.run for name, c in aliases(store, "pallets").items()} == {
        "baseline": second.id,
        "production": first.id,
    }


def test_aliases_of_projects_are_apart(store):
    set_baseline(store, "pallets", store.find_run("pallets/v1_baseline"))
    assert get_baseline(store, "bolts") is None


def test_alias_records_link_into_the_hash_dag(store):
    run = store.find_run("v2_imgsz_1024")
    first = set_baseline(store, "pallets", run)
    second = set_alias(store, "pallets", "production", run)
    governance = read_governance(store.folder)
    assert governance.heads == (second,)
    assert governance.records[-1].prev == (first,)
    assert governance.verify() == []


@pytest.mark.parametrize("alias", ["", "Production", "a b", "../x", "ä", "x" * 65])
def test_a_name_that_cannot_be_an_alias_changes_nothing(store, alias):
    with pytest.raises(InvalidInput):
        set_alias(store, "pallets", alias, store.find_run("v2_imgsz_1024"))
    assert aliases(store, "pallets") == {}


def test_a_run_of_another_project_is_refused(store):
    with pytest.raises(InvalidInput, match="bolts"):
        set_baseline(store, "pallets", store.find_run("bolts/v1_baseline"))


def test_a_baseline_that_is_gone_is_not_no_baseline(store):
    run = store.find_run("v2_imgsz_1024")
    set_baseline(store, "pallets", run)
    store.close()
    folder = store.folder.run_folder(run.id)
    assert folder is not None
    shutil.rmtree(folder)
    index = next(store.folder.root.glob("index-*.sqlite"))
    index.unlink()
    with Store(store.folder) as opened, pytest.raises(NotFound, match="not here"):
        get_alias(opened, "pallets", "baseline")
