"""The four gates, one module each; `gate` holds what they answer with."""

from epochal.decisions.gates.classes import keeps_classes
from epochal.decisions.gates.first_version import no_baseline, reaches_floors
from epochal.decisions.gates.gain import beats_noise
from epochal.decisions.gates.gate import Gate, Kind, Outcome
from epochal.decisions.gates.latency import fast_enough
from epochal.decisions.gates.test_set import holds_on_test

__all__ = [
    "Gate",
    "Kind",
    "Outcome",
    "beats_noise",
    "fast_enough",
    "holds_on_test",
    "keeps_classes",
    "no_baseline",
    "reaches_floors",
]
