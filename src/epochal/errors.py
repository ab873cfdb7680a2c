"""What can go wrong, as a user meets it.

    EpochalError
    ├── NotFound            a run, project, metric, tag or file not there   (also LookupError)
    │   └── Ambiguous       a name or prefix that fits several
    ├── InvalidInput        a file, name or option that cannot be used      (also ValueError)
    ├── Refused             allowed to the program, but not by a rule of the project
    ├── NewerFormat         a workspace written by a newer version
    └── Damaged             stored bytes that do not match their checksum or digest

Each carries what happened and what to do next; the command line prints both and exits with 2.
"""

__all__ = [
    "Ambiguous",
    "Damaged",
    "EpochalError",
    "InvalidInput",
    "NewerFormat",
    "NotFound",
    "Refused",
]


class EpochalError(Exception):
    """The root of all errors that Epochal raises on purpose.

    Parameters
    ----------
    message
        What happened and where, in one line without a full stop.
    remedy
        What the reader can do about it, in one line; shown after the message.
    """

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}. {self.remedy}" if self.remedy else self.message


class NotFound(EpochalError, LookupError):
    """Something that was named does not exist."""


class Ambiguous(NotFound):
    """A name or prefix fits more than one thing."""


class InvalidInput(EpochalError, ValueError):
    """A file, name, option or query cannot be used as it is."""


class Refused(EpochalError):
    """A rule of the project (charter, ledger, policy) forbids it."""


class NewerFormat(EpochalError):
    """The workspace was written by a newer version of Epochal."""


class Damaged(EpochalError):
    """Stored bytes do not match their checksum or digest."""
