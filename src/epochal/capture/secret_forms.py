"""What a value's form tells: a token that somebody issued, a private key, or nothing secret."""

from __future__ import annotations

import re
from collections.abc import Iterator

__all__ = [
    "ISSUED_TOKENS",
    "ends_in_key",
    "is_code",
    "is_template",
    "looks_random",
    "private_keys",
]

_TEMPLATE = re.compile(
    r"\$\{[^}]*\}|\$[A-Z][A-Z0-9_]*|\$\([^)]*\)|<[^>]*>?|\{[^}]*\}|%\(?\w*\)?s|[*.•xX]+|"
    r"(?i:none|null|nil|true|false|yes|no)|\[redacted\]"
)
_EXPRESSION = re.compile(
    r"[^\s]*[(\[{].*|[)\]}].*|(?i:str|int|bool|bytes|string|optional|required|any|object|self)\b.*|"
    r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+|[-+|>\\/=]+"
)
_FILE_NAME = re.compile(r"[\w./\\~-]+\.[A-Za-z]{1,5}")


def is_template(value: str) -> bool:
    """Tell whether `value` only stands where a secret would: ``${TOKEN}``, ``<key>``, ``***``."""
    return not value.strip() or _TEMPLATE.fullmatch(value.strip()) is not None


def is_code(value: str) -> bool:
    """Tell whether `value` reads as a part of a program: a call, a type, an attribute."""
    return _EXPRESSION.fullmatch(value) is not None


def looks_random(value: str) -> bool:
    """Tell whether `value` could be generated: one long piece, no file name, rarely a word."""
    return (
        len(value) >= 8
        and not any(character.isspace() for character in value)
        and _FILE_NAME.fullmatch(value) is None
        and any(character.isalpha() for character in value)
        and (any(character.isdigit() for character in value) or len(value) >= 20)
    )


def _edge(pattern: str) -> re.Pattern[str]:
    return re.compile(r"(?<![A-Za-z0-9_])(?:" + pattern + ")")


ISSUED_TOKENS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("akia", _edge(r"AKIA[A-Z0-9]{16}(?![A-Za-z0-9])")),
    ("asia", _edge(r"ASIA[A-Z0-9]{16}(?![A-Za-z0-9])")),
    ("gh", _edge(r"gh[pousr]_[A-Za-z0-9]{30,255}")),
    ("github_pat_", _edge(r"github_pat_[A-Za-z0-9_]{22,255}")),
    ("glpat-", _edge(r"glpat-[\w-]{20,255}")),
    ("xox", _edge(r"xox[a-z]-[A-Za-z0-9-]{10,255}")),
    ("xapp-", _edge(r"xapp-\d-[A-Za-z0-9-]{20,255}")),
    ("hooks.slack.com", re.compile(r"(?<=hooks\.slack\.com/services/)[A-Za-z0-9/]{20,}")),
    ("sk-", re.compile(r"(?<![\w-])sk-(?=[\w-]{0,64}?[A-Za-z0-9]{16})(?=[\w-]*\d)[\w-]{20,}")),
    ("k_live_", _edge(r"[srp]k_live_[A-Za-z0-9]{16,}")),
    ("k_test_", _edge(r"[srp]k_test_[A-Za-z0-9]{16,}")),
    ("gsk_", _edge(r"gsk_[A-Za-z0-9]{32,}")),
    ("xai-", _edge(r"xai-[A-Za-z0-9]{40,}")),
    ("hf_", _edge(r"hf_[A-Za-z0-9]{30,}")),
    ("r8_", _edge(r"r8_[A-Za-z0-9]{32,}")),
    ("wandb_v", _edge(r"wandb_v\d+_\w{20,}")),
    ("aiza", _edge(r"AIza[\w-]{35}")),
    ("ya29.", _edge(r"ya29\.[\w-]{20,}")),
    ("gocspx-", _edge(r"GOCSPX-[\w-]{20,}")),
    ("npm_", _edge(r"npm_[A-Za-z0-9]{36}")),
    ("pypi-", _edge(r"pypi-AgE[\w-]{40,}")),
    ("dckr_pat_", _edge(r"dckr_pat_[\w-]{20,}")),
    ("dop_v1_", _edge(r"dop_v1_[a-f0-9]{64}")),
    ("dapi", _edge(r"dapi[a-f0-9]{32}(?![A-Za-z0-9])")),
    ("sg.", _edge(r"SG\.[\w-]{16,32}\.[\w-]{32,64}")),
    ("eyj", _edge(r"eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{5,}")),
    ("eyjhcglf", _edge(r"eyJhcGlf[A-Za-z0-9+/]{20,}={0,2}")),  # Neptune: base64 of {"api_...
    ("bearer", re.compile(r"(?i:\bbearer\s+)(?P<secret>(?=\S*\d)[\w.~+/-]{16,}={0,2})")),
    (
        "sig",
        re.compile(
            r"(?i:[?&](?:sig|x-amz-signature|x-goog-signature)=)(?P<secret>[\w%+/=-]{16,})"
        ),
    ),
    (
        # A W&B key is 40 hex digits, as is a git commit: only a name just before tells.
        "",
        re.compile(
            r"(?i:\b(?:api[ _-]?key|wandb login|wandb[ _-]?key|token|secret|password)\b)"
            r"(?:[\s:='\"]|\bis\b|\bwas\b){1,12}(?P<secret>\b[0-9a-f]{40}\b)"
        ),
    ),
)  # fmt: skip
"""What issuers give out, as patterns; the group ``secret``, where there is one, is the secret.

Each with a lower-case piece that every match contains: searching for that first keeps the usual
console line at a microsecond or two.
"""

_KEY_BEGIN = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_KEY_END = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_KEY_LINE = re.compile(r"\s*(?:[A-Za-z0-9+/=]{1,128}|[A-Z][\w-]{2,20}: .{1,100}|)\s*")
_KEY_BODY = re.compile(r"(?:(?:\\[nr]|[\s\"'+>|,-])*[A-Za-z0-9+/=]{16,})+")
_LONGEST_KEY = 20_000


def private_keys(text: str) -> Iterator[tuple[int, int]]:
    """Yield where the private keys in `text` start and end, cut off ones too."""
    position = 0
    while begin := _KEY_BEGIN.search(text, position):
        end = _KEY_END.search(text, begin.end(), begin.end() + _LONGEST_KEY)
        body = _KEY_BODY.search(text, begin.end(), end.start()) if end else None
        if end is None or body is None:
            # Cut off, or only mentioned: take what follows at once and reads as base64.
            end = _KEY_BODY.match(text, begin.end(), begin.end() + _LONGEST_KEY)
        if end is None:
            position = begin.end()
            continue
        yield begin.start(), end.end()
        position = end.end()


def ends_in_key(text: str) -> bool:
    """Tell whether a private key begins in `text` and goes on up to its end, and maybe beyond."""
    begins = list(_KEY_BEGIN.finditer(text))
    if not begins or _KEY_END.search(text, begins[-1].end()):
        return False
    return all(map(_KEY_LINE.fullmatch, text[begins[-1].end() :].split("\n")))
