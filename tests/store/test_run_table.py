"""The run table against a plain evaluation of the same filters on the documents."""

import math
import time
import uuid

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from epochal.analysis.metrics import DEFAULT_REGISTRY
from epochal.records import LessonWritten, Tagged, Trashed
from epochal.store.columns import matches_glob
from epochal.store.documents import Attempt, RunDocument
from epochal.store.filter_language import FilterError, parse_filter
from epochal.store.filter_tree import And, Comparison, Not, Or
from epochal.store.points import SeriesSummary
from epochal.store.run_table import RunTable
from epochal.store.store import Store


class Documents:
    """Stands for a store: hands out documents as an index does."""

    def __init__(self, documents):
        self.documents = list(documents)

    def changed_since(self, change, project=None, limit=None):
        end = len(self.documents) if limit is None else change + limit
        found = self.documents[change:end]
        return found, change + len(found)

    def count_runs(self, project=None):
        return len({d.id for d in self.documents})

    def status(self, document):
        return "running"


def table_of(*documents):
    table = RunTable(Documents(documents), DEFAULT_REGISTRY)
    table.refresh()
    return table


def run(**fields):
    fields.setdefault("id", uuid.uuid4().hex)
    fields.setdefault("attempts", [Attempt(number=1, opened=1, ended=2, status="finished")])
    return RunDocument(**{"name": "v1_baseline", "project": "pallets", **fields})


def curve(*values):
    pairs = list(enumerate(values))
    numbers = [p for p in pairs if not math.isnan(p[1])]
    by_value = {"key": lambda p: p[1]}
    return SeriesSummary(
        n=len(values),
        lo=0,
        hi=len(values) - 1,
        first=pairs[0],
        last=pairs[-1],
        min=min(numbers, **by_value) if numbers else None,
        max=max(numbers, **by_value) if numbers else None,
    )


# --- against a plain evaluation ------------------------------------------------------------------

cells = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 2),
    st.sampled_from([0.5, math.nan, math.inf]),
    st.sampled_from(["", "a", "ab", "b", "640", "true"]),
    st.lists(st.one_of(st.sampled_from(["a", "b"]), st.booleans(), st.integers(0, 1)), max_size=2),
)
documents = st.lists(
    st.dictionaries(st.sampled_from(["x", "y"]), cells).map(
        lambda config: run(
            config=config, summary={"s": 1}, tags=tuple(config), metrics={"m": curve(1.0)}
        )
    ),
    max_size=12,
)
literals = st.sampled_from(
    ["1", "0", "-2", "0.5", "nan", "inf", "true", "false", "a", '"640"', "b"]
)
fields = st.sampled_from(["config.x", "config.y"])
comparisons = st.one_of(
    st.builds(
        "{} {} {}".format,
        fields,
        st.sampled_from(["=", "!=", "<", "<=", ">", ">=", "has"]),
        literals,
    ),
    st.builds("{} ~ '{}'".format, fields, st.sampled_from(["*", "a*", "?", "*b", "", "a?*"])),
    st.builds("{} in ({}, {})".format, fields, literals, literals),
    st.builds("{} not in ({})".format, fields, literals),
    st.builds("{} is null".format, fields),
    st.builds("{} is not null".format, fields),
    st.builds("tags has {}".format, st.sampled_from(["x", "y", "z"])),
)
filters = st.recursive(
    comparisons,
    lambda inner: st.one_of(
        st.builds("({} and {})".format, inner, inner),
        st.builds("({} or {})".format, inner, inner),
        st.builds("not {}".format, inner),
    ),
    max_leaves=6,
)


def fits(document, tree):
    match tree:
        case Not(term):
            return not fits(document, term)
        case And(terms):
            return all(fits(document, term) for term in terms)
        case Or(terms):
            return any(fits(document, term) for term in terms)
        case Comparison(field=field, operator=operator, values=values):
            space, *key = field.path
            held = getattr(document, space)
            found = held.get(key[0]) if key else (held or None)
            return fits_value(found, operator, values)


def same(found, wanted):
    if isinstance(found, bool) or isinstance(wanted, bool):
        return found is wanted
    if isinstance(wanted, float) and math.isnan(wanted):
        return isinstance(found, (int, float)) and math.isnan(found)
    return isinstance(found, (int, float, str)) and found == wanted


def fits_value(found, operator, values):
    if operator == "null":
        return found is None
    if found is None:
        return False
    wanted = values[0]
    if operator in ("=", "in"):
        return any(same(found, value) for value in values)
    if operator == "!=":
        return not same(found, wanted)
    if operator == "has":
        if isinstance(found, str):
            return isinstance(wanted, str) and wanted in found
        return isinstance(found, (list, tuple)) and any(same(item, wanted) for item in found)
    if operator == "~":
        return isinstance(found, str) and glob(found, wanted)
    if isinstance(found, bool) or isinstance(wanted, bool) or isinstance(found, list):
        return False
    if isinstance(found, str) != isinstance(wanted, str):
        return False
    return {
        "<": found < wanted,
        "<=": found <= wanted,
        ">": found > wanted,
        ">=": found >= wanted,
    }[operator]


def glob(text, pattern):
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(glob(text[i:], pattern[1:]) for i in range(len(text) + 1))
    return bool(text) and pattern[0] in ("?", text[0]) and glob(text[1:], pattern[1:])


KNOWN = run(config={"x": 0, "y": 0}, tags=("x",))


@given(documents, filters)
@example([run(config={"x": [1]}), run(config={"x": [True]})], "config.x has true")
def test_a_filter_means_what_it_means_on_the_documents(runs, text):
    runs = [KNOWN, *runs]
    tree = parse_filter(text)
    expected = {d.id for d in runs if fits(d, tree)}
    found = table_of(*runs).select(text)
    assert set(found.ids) == expected
    assert found.total == len(expected)


@given(
    st.text("ab", max_size=8),
    st.text("ab*?", max_size=6),
)
def test_globs(text, pattern):
    assert matches_glob(pattern)(text) == glob(text, pattern)


@given(st.lists(cells, max_size=10), st.booleans())
def test_sorting_is_total_and_puts_what_is_missing_last(values, descending):
    runs = [run(config={"x": value, "y": 1}) for value in values] + [KNOWN]
    direction = "desc" if descending else "asc"
    table = table_of(*runs)
    ordered = table.values(table.select("", f"config.x {direction}").ids, "config.x")
    numbers = [v for v in ordered if isinstance(v, float) and not math.isnan(v)]
    assert numbers == sorted(numbers, reverse=descending)
    texts = [v for v in ordered if isinstance(v, str)]
    assert texts == sorted(texts, reverse=descending)
    missing = sum(value is None for value in values)
    assert ordered[len(ordered) - missing :] == [None] * missing
    again = table_of(*reversed(runs))
    assert (
        again.select("", f"config.x {direction}").ids
        == table.select("", f"config.x {direction}").ids
    )


# --- fields --------------------------------------------------------------------------------------


def names(table, where="", sort=""):
    return table.values(table.select(where, sort).ids, "name")


def test_metric_keys_that_mean_the_same_are_one_column():
    table = table_of(
        run(name="a", metrics={"metrics/mAP50-95(B)": curve(0.1, 0.6, 0.5)}),
        run(name="b", metrics={"metrics/mAP50-95B": curve(0.7, 0.4)}),
        run(name="c", metrics={"train/box_loss": curve(2.0, 1.0)}),
    )
    assert names(table, 'metrics."mAP50-95" > 0.45') == ["a"]
    assert names(table, "", 'best(metrics."mAP50-95") desc') == ["b", "a", "c"]
    assert names(table, "best(metrics.train/box_loss) <= 1") == ["c"]
    assert names(table, "count(metrics.mAP50-95) = 3") == ["a"]
    assert names(table, 'min(metrics."metrics/mAP50-95(B)") = 0.1') == ["a"]


def test_best_without_a_direction_is_refused():
    table = table_of(run(metrics={"thing": curve(1.0)}))
    assert table.select("max(metrics.thing) = 1").total == 1
    with pytest.raises(FilterError, match="nothing says"):
        table.select("best(metrics.thing) = 1")


def test_a_curve_of_nothing_but_nan():
    table = table_of(run(name="a", metrics={"loss": curve(math.nan)}), run(name="b", metrics={}))
    assert names(table, "metrics.loss = nan") == ["a"]
    assert names(table, "metrics.loss > 0 or metrics.loss <= 0") == []
    assert names(table, "metrics.loss is null") == ["b"]
    assert names(table, "", "metrics.loss") == ["a", "b"]


def test_effective_config_is_what_counts():
    table = table_of(run(config={"batch": -1, "a": {"b": 1}}, effective={"batch": 16}))
    assert table.select("config.batch = 16 and config.a.b = 1").total == 1


def test_large_and_odd_config_values_are_taken_in():
    values = [10**400, -(10**400), 2**63, {"a": {}}, [], [{"k": 1}], "", {1: 2}]
    table = table_of(*(run(config={"x": value}) for value in values))
    assert table.select("config.x = inf").total == 1
    assert len(table) == len(values)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("metrics.mAP50_95x > 1", "metrics.mAP50-95"),
        ("config.imgz = 640", "config.imgsz"),
        ("imgsz = 640", "config.imgsz"),
        ("nam = a", "name"),
        ("config = 1", "config.imgsz"),
        ("name.x = 1", "config"),
        ("max(config.imgsz) = 1", "max(metrics.K)"),
    ],
)
def test_unknown_keys_name_what_comes_close(text, hint):
    table = table_of(
        run(config={"imgsz": 640}, metrics={"metrics/mAP50-95(B)": curve(0.5)}, summary={"a": 1})
    )
    with pytest.raises(FilterError) as caught:
        table.select(text)
    assert hint in caught.value.remedy
    assert caught.value.position == 0


def test_groups():
    table = table_of(
        run(config={"imgsz": 640}, metrics={"m": curve(0.4)}),
        run(config={"imgsz": 640}, metrics={"m": curve(0.6)}),
        run(config={"imgsz": 1024}, metrics={"m": curve(0.9)}),
        run(config={"imgsz": 1024}),
        run(),
    )
    first, second, without = table.group(["config.imgsz"], ["metrics.m"])
    assert (first.by, first.n, first.count) == ((640.0,), 2, (2,))
    assert first.mean == (pytest.approx(0.5),)
    assert first.std == (pytest.approx(np.std([0.4, 0.6], ddof=1)),)
    assert (second.by, second.n, second.count) == ((1024.0,), 2, (1,))
    assert second.std == (None,)
    assert (without.by, without.mean) == ((None,), (None,))
    assert len(table.group([], ["metrics.m"])) == 1
    assert table.group(["name"], [], "config.imgsz = 1") == []


# --- staying fresh -------------------------------------------------------------------------------


def test_it_follows_the_store(folder, record_run):
    first = record_run("v1_baseline", config={"imgsz": 640}, tags=("old",))
    with Store(folder) as store:
        table = RunTable(store, DEFAULT_REGISTRY, "pallets")
        table.refresh()
        assert table.select().ids == (first,)
        second = record_run("v2_more", config={"imgsz": 1024})
        record_run("v1_other", "another project")
        store.record(Tagged(tags=("new",)), first)
        store.record(LessonWritten(result="smaller is worse"), first)
        table.refresh()
        assert table.select("config.imgsz > 0").ids == (second, first)
        assert table.select("tags has new").ids == (first,)
        assert table.select("tags has old").ids == ()
        assert table.select("lesson is null").ids == (second,)
        assert table.select("lesson has worse").ids == (first,)
        store.record(Trashed(on=True), second)
        table.refresh()
        assert table.select().ids == (first,)
        assert table.select(trashed=True).ids == (second,)
        described = {found.field: found for found in table.describe([first, second])}
        assert described["config.imgsz"].n == 2


def test_status_is_looked_up_when_asked(folder, record_run):
    record_run("v1_baseline", status=None)
    record_run("v2_crashed", status="failed")
    with Store(folder) as store:
        table = RunTable(store)
        table.refresh()
        assert names(table, "status = running") == ["v1_baseline"]
        assert names(table, "status in (failed, killed)") == ["v2_crashed"]


@pytest.mark.slow
def test_a_hundred_thousand_runs_in_a_tenth_of_a_second():
    numbers = np.random.default_rng(0).random((100_000, 4))
    table = table_of(
        *(
            run(
                created=i,
                config={f"p{k}": float(row[k % 4]) for k in range(45)} | {"imgsz": 640 + i % 2},
                metrics={"metrics/mAP50-95(B)": curve(float(row[0]), float(row[1]))},
            )
            for i, row in enumerate(numbers)
        )
    )
    where = 'metrics."mAP50-95" > 0.5 and config.imgsz = 640'
    taken = []
    for _ in range(5):
        begun = time.perf_counter()
        found = table.select(where, 'metrics."mAP50-95" desc', limit=100)
        taken.append(time.perf_counter() - begun)
    assert found.total == int(((numbers[:, 1] > 0.5) & (np.arange(100_000) % 2 == 0)).sum())
    assert len(found.ids) == 100
    assert min(taken) < 0.1
