"""Latency: how long a deployed model takes for one call, measured so that the claim holds.

Medians of one and the same loop differ between launches of the process by far more than within
one, so processes are repeated, not iterations; candidate and baseline take turns in one session;
and what is compared with a budget is an upper bound of the 95th percentile that assumes no
distribution. A trainer's milliseconds per image are throughput and never count here.
"""

from epochal.latency.child import serve
from epochal.latency.document import LatencyDocument, Launch, latency_key, summarize
from epochal.latency.measuring import Protocol, Subject, measure
from epochal.latency.order_statistics import percentile, smallest_sample, upper_bound
from epochal.latency.storage import load_latency, read_latency, store_latency

__all__ = [
    "LatencyDocument",
    "Launch",
    "Protocol",
    "Subject",
    "latency_key",
    "load_latency",
    "measure",
    "percentile",
    "read_latency",
    "serve",
    "smallest_sample",
    "store_latency",
    "summarize",
    "upper_bound",
]
