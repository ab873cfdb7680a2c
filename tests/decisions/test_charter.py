import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epochal.decisions.charter import Charter
from epochal.decisions.charter_file import default_toml, find_toml, read_toml
from epochal.decisions.charter_in_force import (
    apply,
    charter_for_decision,
    charter_for_training,
    history,
    in_force,
    record_first_charter,
    sync_charter,
)
from epochal.errors import InvalidInput, NewerFormat, Refused
from epochal.journal.folder import Folder
from epochal.records import CharterChanged
from epochal.store.store import Store


@pytest.fixture
def store(tmp_path):
    with Store(Folder.create(tmp_path), index=tmp_path / "index.sqlite") as opened:
        yield opened


@pytest.fixture
def toml(tmp_path):
    path = tmp_path / "epochal.toml"

    def write(text):
        path.write_text(text)
        return path

    return write


@pytest.mark.parametrize("project", ["pallets", "späte Züge", 'a "quoted" one', "x\\y"])
def test_the_file_that_init_writes_proposes_the_defaults(toml, project):
    assert read_toml(toml(default_toml(project))) == Charter(project=project)


def test_the_file_explains_every_rule(toml):
    text = default_toml("pallets")
    for field in Charter.__struct_fields__:
        assert field in text
    assert all(len(line) <= 99 for line in text.splitlines())


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("min_gian = 1", ":2: there is no key 'min_gian'.*did you mean min_gain"),
        ("alpha = 0.7", ":2: alpha: .*"),
        ('rule_set = "strict"', ":2: rule_set: expected 'evidence' or 'literal', not 'strict'"),
        ("min_gain = -1", ":2: min_gain"),
        ("test_budget = 0", ":2: test_budget"),
        ("keep_share = [", "is not TOML"),
        ('naming_pattern = "("', ":2: naming_pattern is no regular expression"),
        ('group_of = "("', ":2: group_of is no regular expression"),
        ('metric = "defects"', ":2: nothing says whether more or less of 'defects' is better"),
        ('[metrics]\n"a" = "up"', "Metric 'a' in the charter cannot be read"),
    ],
)
def test_what_is_wrong_with_a_file_is_named_with_line_and_key(toml, line, named):
    with pytest.raises(InvalidInput, match=named):
        read_toml(toml(f'project = "pallets"\n{line}\n'))


def test_a_file_without_project_or_that_is_missing(toml, tmp_path):
    with pytest.raises(InvalidInput, match="project is missing"):
        read_toml(toml("min_gain = 1\n"))
    with pytest.raises(InvalidInput, match="cannot read"):
        read_toml(tmp_path / "nowhere.toml")


def test_a_metric_goes_by_its_canonical_name(toml):
    found = read_toml(toml('project = "p"\nmetric = "metrics/mAP50-95(B)"\n'))
    assert found.metric == "mAP50-95"
    assert found.min_gain_stored == pytest.approx(0.005)


def test_own_metrics_have_a_direction_and_a_unit(toml):
    found = read_toml(toml('project = "p"\nmetric = "missed"\n[metrics]\nmissed = "min"\n'))
    assert found.registry().resolve("missed").direction == "min"
    assert found.min_gain_stored == 0.5


def test_the_file_is_found_upwards(toml, tmp_path):
    path = toml('project = "p"\n')
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert find_toml(tmp_path / "a" / "b") == path


def test_the_first_read_records_version_one_and_later_ones_only_warn(store, toml):
    assert in_force(store, "p") == (Charter(project="p"), 0)
    path = toml('project = "p"\nmin_gain = 1.0\n')
    first = sync_charter(store, "p", path)
    assert (first.version, first.charter.min_gain, first.differences) == (1, 1.0, ())
    toml('project = "p"\nmin_gain = 2.0\n')
    later = sync_charter(store, "p", path)
    assert (later.version, later.charter.min_gain) == (1, 1.0)
    assert later.differences == ("min_gain: 1.0 is in force, 2.0 is proposed",)
    with pytest.raises(Refused, match="differs from version 1"):
        charter_for_decision(store, "p", path)
    assert apply(store, "p", read_toml(path), "because").version == 2
    assert charter_for_decision(store, "p", path)[0].min_gain == 2.0
    assert [(v.version, v.changes) for v in history(store, "p")] == [
        (1, ("min_gain: 0.5 -> 1.0",)),
        (2, ("min_gain: 1.0 -> 2.0",)),
    ]


def test_a_file_for_another_project_proposes_nothing(store, toml):
    path = toml('project = "q"\nmin_gain = 9.0\n')
    assert sync_charter(store, "p", path).charter == Charter(project="p")


def test_a_change_needs_a_reason_a_difference_and_its_own_project(store):
    sync_charter(store, "p")
    other = Charter(project="p", min_gain=1.0)
    with pytest.raises(InvalidInput, match="reason"):
        apply(store, "p", other, "  ")
    with pytest.raises(InvalidInput, match="for project 'p', not 'q'"):
        apply(store, "q", other, "why")
    with pytest.raises(Refused, match="nothing to apply"):
        apply(store, "p", Charter(project="p"), "why")


def test_a_training_reads_the_charter_from_the_journals(store, toml, tmp_path):
    path = toml('project = "p"\nmin_gain = 1.0\n')
    folder = store.folder
    assert charter_for_training(folder, "p", tmp_path).min_gain == 1.0
    sync_charter(store, "p", path)
    toml('project = "p"\nmin_gain = 3.0\n')
    assert charter_for_training(folder, "p", tmp_path).min_gain == 1.0


def test_rules_of_a_newer_version_are_not_guessed_at(store):
    rules = msgspec.to_builtins(Charter(project="p")) | {"quantum_gate": True}
    store.record(CharterChanged(project="p", version=3, rules=rules))
    with pytest.raises(NewerFormat, match="version 3"):
        in_force(store, "p")


@settings(max_examples=30)
@given(
    st.builds(
        Charter,
        project=st.text(min_size=1),
        min_gain=st.floats(0, 100),
        test_budget=st.integers(1, 99),
        rule_set=st.sampled_from(["evidence", "literal"]),
        latency_budget_ms=st.none() | st.floats(0.1, 1e4),
        first_version_floors=st.dictionaries(st.text(), st.floats(-1e3, 1e3), max_size=3),
    )
)
def test_rules_survive_being_recorded(charter):
    data = msgspec.json.encode(msgspec.to_builtins(charter))
    assert msgspec.json.decode(data, type=Charter) == charter


def test_the_first_training_records_the_rules_before_there_are_numbers(store, toml, tmp_path):
    toml('project = "pallets"\nmin_gain = 1.5\n')
    for _ in range(2):
        record_first_charter(store.folder, "pallets", tmp_path)
    record_first_charter(store.folder, "another", tmp_path)
    store.refresh()
    (version,) = history(store, "pallets")
    assert (version.version, version.reason) == (1, "first read of epochal.toml")
    assert in_force(store, "pallets")[0].min_gain == 1.5
    assert not history(store, "another")


def test_a_training_without_a_file_records_no_rules(store, tmp_path):
    record_first_charter(store.folder, "pallets", tmp_path)
    store.refresh()
    assert not history(store, "pallets")


def test_two_charters_made_apart_are_refused_until_one_settles_it(store, toml):
    path = toml('project = "pallets"\nmin_gain = 1.5\n')
    for gain in (1.0, 1.5):
        charter = Charter(project="pallets", min_gain=gain)
        store.record(
            CharterChanged(project="pallets", version=1, rules=msgspec.to_builtins(charter))
        )
    with pytest.raises(Refused, match="made twice"):
        charter_for_decision(store, "pallets", path)
    apply(store, "pallets", read_toml(path), "after merging")
    charter, version = charter_for_decision(store, "pallets", path)
    assert (charter.min_gain, version) == (1.5, 2)
