"""What can be said: every record type, declared once.

The journal's lines, the wire, the index and the documentation all come from these structs.
A record is appended and never changed; a correction is a later record. Fields are only ever
added: a reader ignores what it does not know and keeps the raw line.

Numbers: a metric is an IEEE double. JSON has no NaN or infinity, so those three travel as the
strings ``"NaN"``, ``"Infinity"`` and ``"-Infinity"`` (see `to_wire` and `from_wire`).

Times are integers: microseconds since the Unix epoch, UTC.
"""

from epochal.records.body import Body, Number, from_wire, to_wire
from epochal.records.edits import LessonWritten, Renamed, StopRequested, Tagged, Trashed
from epochal.records.entry import FORMAT, MAX_LINE, AnyBody, Entry, Header
from epochal.records.foreign import Foreign
from epochal.records.governance import (
    GOVERNANCE,
    Alias,
    CharterChanged,
    DatasetTagged,
    DecisionMade,
    Look,
    Purged,
    Split,
)
from epochal.records.training import (
    Alert,
    Artifact,
    Config,
    Console,
    Dropped,
    Environment,
    Evaluated,
    Finished,
    Heartbeat,
    ImageLogged,
    Latency,
    Metrics,
    Notice,
    Opened,
    Pinned,
    Status,
    Summary,
    System,
)

__all__ = [
    "FORMAT",
    "GOVERNANCE",
    "MAX_LINE",
    "Alert",
    "Alias",
    "AnyBody",
    "Artifact",
    "Body",
    "CharterChanged",
    "Config",
    "Console",
    "DatasetTagged",
    "DecisionMade",
    "Dropped",
    "Entry",
    "Environment",
    "Evaluated",
    "Finished",
    "Foreign",
    "Header",
    "Heartbeat",
    "ImageLogged",
    "Latency",
    "LessonWritten",
    "Look",
    "Metrics",
    "Notice",
    "Number",
    "Opened",
    "Pinned",
    "Purged",
    "Renamed",
    "Split",
    "Status",
    "StopRequested",
    "Summary",
    "System",
    "Tagged",
    "Trashed",
    "from_wire",
    "to_wire",
]
