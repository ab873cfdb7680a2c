"""What the HTTP API takes and returns.

A response has no defaults: every field is always there, so that a client need not guess. Domain
structs (`RunDocument`, `Comparison`, `Evaluation` ...) go out as they are. Fields are only ever
added. Times are microseconds since the Unix epoch, UTC; a number that is not finite is one of the
strings ``"NaN"``, ``"Infinity"`` and ``"-Infinity"``, except in curves, where it is null.
"""
