"""`decide` on a workspace: what it asks for, what it says, what it leaves behind."""

import msgspec
import pytest
from simulator import Model, world

from epochal.datasets import save_manifest
from epochal.datasets.manifest import Manifest, ManifestEntry, ManifestHeader
from epochal.decisions import decide, decisions, load_decision
from epochal.decisions.charter import Charter
from epochal.errors import InvalidInput, NotFound, Refused
from epochal.records import Latency, Pinned, Trashed

VAL, TEST = world(600, 4, 1), world(600, 4, 2)
BASE, BETTER = Model(1.0, 11, 4), Model(1.8, 12, 4)


def verdict(workshop, candidate, baseline, charter=None, **options):
    charter = charter or Charter(project="pallets")
    return decide(
        workshop.store, candidate, baseline, charter=charter, version=0, resamples=200, **options
    )


def outcomes(decision):
    return [gate.outcome for gate in decision.gates]


@pytest.fixture
def base(workshop):
    run = workshop.run("v1_base", val=BASE.run(VAL), test=BASE.run(TEST))
    workshop.baseline(run)
    return run


def better(workshop, name="v2_imgsz_1024", **options):
    options = {"val": BETTER.run(VAL), "config": {"imgsz": 1024}} | options
    return workshop.run(name, **options)


def test_val_earns_the_look_and_test_confirms(workshop, base):
    candidate = better(workshop)
    first = verdict(workshop, candidate, base)
    assert outcomes(first) == ["pass", "pass", "unknown", "not applicable"]
    assert (first.verdict, first.kind) == ("more experiments", "inconclusive")
    assert first.next == ("epochal evaluate v2_imgsz_1024 --split test",)
    workshop.evaluate(candidate.id, BETTER.run(TEST))
    second = verdict(workshop, workshop.store.run(candidate.id), base)
    assert outcomes(second) == ["pass", "pass", "pass", "not applicable"]
    assert (second.verdict, second.kind, second.next) == ("ship", "", ())
    assert second.change == "1 change: imgsz 640 -> 1024"


def test_a_decision_is_stored_read_back_and_deterministic(workshop, base):
    candidate = better(workshop, test=BETTER.run(TEST))
    made = verdict(workshop, candidate, base)
    assert load_decision(workshop.store, made.id) == made
    assert load_decision(workshop.store, made.id[:8]) == made
    assert [one.id for one in decisions(workshop.store, "pallets")] == [made.id]
    again = verdict(workshop, candidate, base, record=False)
    alike = {"id": "", "t": 0, "author": ""}
    assert msgspec.structs.replace(again, **alike) == msgspec.structs.replace(made, **alike)
    with pytest.raises(NotFound):
        load_decision(workshop.store, "ffff")


def test_a_dry_run_writes_nothing(workshop, base):
    candidate = better(workshop, test=BETTER.run(TEST))
    before = sorted((p, p.stat().st_size) for p in workshop.folder.root.rglob("*.jsonl"))
    verdict(workshop, candidate, base, record=False)
    assert before == sorted((p, p.stat().st_size) for p in workshop.folder.root.rglob("*.jsonl"))


def test_without_an_evaluation_the_command_is_named(workshop, base):
    candidate = workshop.run("v2 with space", config={"imgsz": 1024})
    found = verdict(workshop, candidate, base)
    assert outcomes(found)[:3] == ["unknown", "unknown", "unknown"]
    assert found.next == ("epochal evaluate 'v2 with space' --split val",)
    assert "val has to earn the look" in found.gates[2].sentence


def test_numbers_alone_never_win(workshop, base):
    candidate = better(workshop, keep_records=False)
    found = verdict(workshop, candidate, base)
    assert outcomes(found)[:2] == ["unknown", "unknown"]
    assert found.evidence == "E0"
    assert "leaning to a win" in found.gates[0].sentence
    assert found.next == ("epochal evaluate v2_imgsz_1024 --split val",)


def test_numbers_of_several_seeds_lean_but_do_not_win(workshop):
    curves = iter(range(100))

    def train(name, skill, seed, imgsz):
        return workshop.run(
            name,
            config={"imgsz": imgsz, "seed": seed},
            val=Model(skill, 100 * imgsz + seed, 4).run(VAL),
            curve=(0.1, 0.2 + next(curves) / 100),
            keep_records=False,
        )

    base, *_ = (train(f"v1_seed_{s}", 1.0, s, 640) for s in range(3))
    candidate, *_ = (train(f"v2_seed_{s}", 1.8, s, 1024) for s in range(3))
    gate = verdict(workshop, candidate, base).gates[0]
    assert (gate.outcome, gate.evidence["level"]) == ("unknown", "E1")
    assert gate.evidence["welch"]["seeds"] == [3, 3]
    assert gate.evidence["welch"]["delta"] > 0
    assert any("3 and 3 seeds" in line for line in gate.details)


def test_other_conditions_of_measuring_are_invalid_and_named(workshop, base):
    candidate = workshop.run("v2_conf", config={"imgsz": 1024})
    workshop.evaluate(candidate.id, BETTER.run(VAL), "val", protocol={"conf": 0.25})
    found = verdict(workshop, workshop.store.run(candidate.id), base)
    assert found.kind == "invalid"
    assert "confidence floor: 0.001 against 0.25" in found.gates[0].sentence


def test_clips_are_drawn_where_the_charter_says_what_they_are(workshop, base):
    clips = Charter(project="pallets", group_of=r"img(\d{4})")  # a hundred images each
    candidate = better(workshop)
    one_by_one = verdict(workshop, candidate, base).gates[0]
    together = verdict(workshop, candidate, base, clips).gates[0]
    assert (one_by_one.evidence["groups"], together.evidence["groups"]) == (0, 6)
    assert any("drawn by clip: 6 groups of 600 images" in line for line in together.details)
    assert (one_by_one.outcome, together.outcome) == ("pass", "unknown")
    assert "6 clips are too few" in together.sentence
    with pytest.raises(InvalidInput, match="does not match"):
        verdict(workshop, candidate, base, Charter(project="pallets", group_of="site"))


def test_images_without_objects_say_nothing(workshop, base):
    bare = world(40, 4, 77, per_image=0.0)
    old = workshop.run("v8_x", val=BASE.run(bare))
    found = verdict(workshop, better(workshop, val=BETTER.run(bare)), old)
    assert outcomes(found)[:2] == ["unknown", "unknown"]
    assert "there are no objects" in found.gates[0].sentence


def test_evaluations_of_other_weights_do_not_count(workshop, base):
    candidate = workshop.run("v2_imgsz_1024", config={"imgsz": 1024})
    workshop.evaluate(candidate.id, BETTER.run(VAL), "val", weights="0" * 64)
    found = verdict(workshop, workshop.store.run(candidate.id), base)
    assert found.gates[0].outcome == "unknown"
    assert "are of other weights" in found.gates[0].sentence


def test_a_lost_class_blocks_a_better_mean(workshop, base):
    wrecked = Model(5.0, 13, 4, class_bonus=(0.5, 0.5, 0.5, -5.5))
    candidate = better(workshop, val=wrecked.run(VAL))
    found = verdict(workshop, candidate, base)
    assert outcomes(found)[:2] == ["pass", "fail"]
    assert (found.kind, found.verdict) == ("no win", "more experiments")
    lost = [c["name"] for c in found.gates[1].evidence["classes"] if c["state"] == "lost"]
    assert lost == ["c3"]
    assert "c3" in found.gates[1].sentence


def test_a_loser_on_test_learns_the_verdict_only(workshop, base):
    lucky = better(workshop, test=BASE.run(TEST))
    found = verdict(workshop, lucky, base)
    gate = found.gates[2]
    assert gate.outcome in ("fail", "unknown")
    assert "estimate" not in gate.evidence
    assert "classes" not in gate.evidence
    assert "verdict only" in gate.sentence
    open_handed = Charter(project="pallets", reveal_test="all")
    shown = verdict(workshop, lucky, base, open_handed, record=False)
    assert "estimate" in shown.gates[2].evidence


def test_each_challenger_is_judged_more_strictly(workshop, base):
    levels = []
    for number in range(3):
        candidate = better(workshop, f"v{number + 2}_x", test=Model(1.8, 20 + number, 4).run(TEST))
        levels.append(verdict(workshop, candidate, base).gates[2].evidence["alpha"])
    assert levels == pytest.approx([0.1 / 2, 0.1 / 6, 0.1 / 12])


def test_a_spent_test_set_fails_even_before_it_is_looked_at(workshop, base):
    charter = Charter(project="pallets", test_budget=1)
    first = better(workshop, "v2_x", test=BETTER.run(TEST))
    assert verdict(workshop, first, base, charter).verdict == "ship"
    second = better(workshop, "v3_x")
    gate = verdict(workshop, second, base, charter).gates[2]
    assert (gate.outcome, gate.kind) == ("fail", "no win")
    assert "spent" in gate.sentence
    assert "epochal evaluate" not in " ".join(gate.next)
    assert verdict(workshop, first, base, charter).verdict == "ship"


def test_a_test_evaluation_without_a_look_becomes_one(workshop, base):
    candidate = better(workshop, test=BETTER.run(TEST), look=False)
    assert verdict(workshop, candidate, base).gates[2].evidence["k"] == 1
    other = better(workshop, "v3_x", test=Model(1.8, 33, 4).run(TEST))
    assert verdict(workshop, other, base).gates[2].evidence["k"] == 2


def test_training_on_test_images_is_found_in_the_manifests(workshop, base):
    def entry(split, name):
        return ManifestEntry(split=split, path=f"{split}/{name}", size=1, image=f"{name:0>64}")

    header = ManifestHeader(classes=("a",), splits=("train", "test"))
    tested = Manifest(header, [entry("test", f"{i}") for i in range(600)])
    trained = Manifest(header, [entry("train", f"{i}") for i in range(590, 700)])
    for manifest in (tested, trained):
        save_manifest(workshop.folder.datasets, manifest)
    pin = Pinned(dataset="pallets@v2", digest=trained.digest, state="verified")
    candidate = better(workshop, more=(pin,), test=BETTER.run(TEST), dataset_digest=tested.digest)
    found = verdict(workshop, candidate, base)
    assert (found.kind, found.gates[2].outcome) == ("invalid", "fail")
    assert found.gates[2].evidence["leaked"] == 10


def test_another_reference_than_the_projects_is_pointed_out(workshop, base):
    other = workshop.run("v0_older", config={"imgsz": 320}, val=Model(0.5, 9, 4).run(VAL))
    gate = verdict(workshop, better(workshop), other).gates[0]
    assert any("is not the baseline that the project has set" in line for line in gate.details)


def test_siblings_make_gate_one_stricter(workshop, base):
    options = {"parent": "v1_base"}
    candidate = better(workshop, **options)
    alone = verdict(workshop, candidate, base, record=False).gates[0]
    for number in range(3):
        workshop.run(
            f"v{number + 3}_x",
            config={"imgsz": 640, "mosaic": number / 10},
            val=Model(1.0, 40 + number, 4).run(VAL),
            **options,
        )
    among = verdict(workshop, candidate, base, record=False).gates[0]
    assert (alone.evidence["chosen_among"], among.evidence["chosen_among"]) == (1, 4)
    assert among.evidence["estimate"]["alpha"] == pytest.approx(1 - 0.95 ** (1 / 4))
    assert among.evidence["estimate"]["lower"] < alone.evidence["estimate"]["lower"]


def test_seed_replicates_are_found_and_raise_the_evidence(workshop, base):
    for seed in (1, 2):
        workshop.run(
            f"v1_seed_{seed}",
            config={"imgsz": 640, "seed": seed},
            val=Model(1.0, 50 + seed, 4).run(VAL),
            curve=(0.1, 0.2 + seed / 100),
        )
    first = better(workshop, config={"imgsz": 1024, "seed": 0}, curve=(0.1, 0.3))
    better(
        workshop,
        "v2_seed_1",
        config={"imgsz": 1024, "seed": 1},
        val=Model(1.8, 61, 4).run(VAL),
        curve=(0.1, 0.31),
    )
    better(workshop, "v2_copy", config={"imgsz": 1024, "seed": 2}, curve=(0.1, 0.3))
    base = workshop.run(
        "v1_again", config={"imgsz": 640, "seed": 9}, val=BASE.run(VAL), curve=(0.1, 0.25)
    )
    gate = verdict(workshop, first, base).gates[0]
    assert gate.evidence["level"] == "E3"
    assert gate.evidence["estimate"]["seeds"] == [3, 2]
    assert any("v2_copy is no replicate" in line for line in gate.details)


def test_latency_gate_compares_upper_bound_on_the_target_device(workshop, base):
    charter = Charter(project="pallets", latency_budget_ms=10.0, latency_device="Orin")

    def timed(p95, upper, **options):
        fields = {
            "digest": "d" * 64,
            "measure": "latency",
            "device": "Orin",
            "key": "k",
            "p50": 5.0,
            "p95": p95,
            "p95_upper": upper,
            "n": 1000,
            "conditions": {"batch": 1},
        }
        return Latency(**(fields | options))

    def outcome(latency):
        candidate = better(workshop, latency=latency)
        return verdict(workshop, candidate, base, charter, record=False).gates[3]

    assert outcome(timed(9.0, 9.5)).outcome == "pass"
    assert outcome(timed(9.8, 10.4)).outcome == "unknown"
    assert outcome(timed(11.0, 12.0)).outcome == "fail"
    missing = outcome(None)
    assert missing.outcome == "unknown"
    assert missing.next == ("epochal latency v2_imgsz_1024 --device Orin --batch 1",)
    assert outcome(timed(1.0, 1.0, device="A100")).outcome == "unknown"
    assert outcome(timed(1.0, 1.0, measure="throughput")).outcome == "unknown"


def test_the_first_version_ships_by_floors_and_a_named_person(workshop, monkeypatch):
    run = workshop.run("v1_base", val=BASE.run(VAL), test=BASE.run(TEST))
    bare = verdict(workshop, run, None)
    assert bare.kind == "inconclusive"
    assert outcomes(bare) == ["not applicable", "not applicable", "unknown", "not applicable"]
    from epochal.decisions import deciding

    monkeypatch.setattr(deciding, "author", lambda: "Ada L <ada@example.org>")
    floors = {"project": "pallets", "first_version_floors": {"mAP50-95": 0.2}}
    assert verdict(workshop, run, None, Charter(**floors, first_version_approver="ada")).ships
    other = verdict(workshop, run, None, Charter(**floors, first_version_approver="Grace"))
    assert (other.kind, other.ships) == ("inconclusive", False)
    floors["first_version_floors"] = {"mAP50-95": 0.99}
    low = verdict(workshop, run, None, Charter(**floors, first_version_approver="ada"))
    assert low.kind == "no win"


def test_a_baseline_cannot_be_left_out(workshop, base):
    with pytest.raises(Refused, match="has a baseline"):
        verdict(workshop, better(workshop), None)


def test_what_cannot_be_decided_is_refused(workshop, base):
    with pytest.raises(InvalidInput, match="baseline itself"):
        verdict(workshop, base, base)
    candidate = better(workshop)
    workshop.store.record(Trashed(on=True), candidate.id)
    with pytest.raises(Refused, match="trash"):
        verdict(workshop, workshop.store.run(candidate.id), base)


def test_an_override_ships_and_says_against_what(workshop, base):
    candidate = better(workshop, val=BASE.run(TEST))
    candidate = better(workshop, "v3_x", val=Model(0.2, 71, 4).run(VAL))
    found = verdict(workshop, candidate, base, override="customer accepts it")
    assert (found.verdict, found.kind) == ("ship", "no win")
    assert found.override == "customer accepts it"
    assert decisions(workshop.store)[-1].override == "customer accepts it"


def test_literal_rules_compare_numbers_on_test(workshop, base):
    charter = Charter(project="pallets", rule_set="literal")
    candidate = better(workshop)
    first = verdict(workshop, candidate, base, charter)
    assert outcomes(first)[:3] == ["unknown", "unknown", "unknown"]
    assert first.next == ("epochal evaluate v2_imgsz_1024 --split test",)
    workshop.evaluate(candidate.id, BETTER.run(TEST), keep_records=False)
    found = verdict(workshop, workshop.store.run(candidate.id), base, charter)
    assert found.verdict == "ship"
    assert found.rule_set == "literal"


def test_a_hypothesis_counts_as_registered_only_before_the_first_result(workshop, base):
    candidate = better(workshop, hypothesis="larger images find small pallets")
    stated = verdict(workshop, candidate, base).preregistration
    assert stated.stated == "before the first result"
    assert verdict(workshop, better(workshop, "v3_x"), base).preregistration.stated == "never"


def test_a_project_with_hundreds_of_recipes_is_no_reason_to_wait(workshop, base):
    """Pooling seeds compares recipes by key, not all with all."""
    import time

    from epochal.decisions.siblings import seed_spread

    run = better(workshop)
    crowd = [
        msgspec.structs.replace(run, id=f"{i:032x}", config={"lr": i / 7, "seed": i, "imgsz": 640})
        for i in range(800)
    ]
    charter = Charter(project="pallets")
    started = time.process_time()
    assert seed_spread(workshop.store, run, crowd, charter).source.startswith("published")
    assert time.process_time() - started < 2.0


def test_the_projects_own_spread_replaces_the_published_one(workshop, base):
    for seed in range(4):
        workshop.run(
            f"v7_seed_{seed}",
            config={"imgsz": 320, "seed": seed},
            val=Model(1.0, 80 + seed, 4).run(VAL),
        )
    gate = verdict(workshop, better(workshop), base).gates[0]
    assert gate.evidence["level"] == "E2"
    assert (
        "own spread over seeds, 4 trainings of one recipe"
        in (gate.evidence["estimate"]["seed_source"])
    )
    assert gate.evidence["estimate"]["df"] is not None
