"""Take secrets out of what is recorded, before it leaves the process.

Three kinds of evidence, each enough on its own:

* the *name* beside a value (``api_key``, ``--wandb-key X``, ``DB_PASSWORD=...``), read word by
  word, so that ``num_memory_tokens`` and ``secretary`` are not secrets (`secret_names`);
* the *form* of a value: issued tokens carry prefixes (``ghp_``, ``AKIA``, ``sk-``, ``hf_``),
  JSON web tokens and PEM private keys have a shape (`secret_forms`);
* the *place*: user-info of a URL, signatures of pre-signed links, ``Bearer ...``.

A name that is also a word of the trade (``token``) needs a value that looks random as well.
Prose, code and templates (``password: str``, ``token=${TOKEN}``) are left alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, overload

from epochal.capture.secret_forms import (
    ISSUED_TOKENS,
    ends_in_key,
    is_code,
    is_template,
    looks_random,
    private_keys,
)
from epochal.capture.secret_names import Strength, secret_strength

__all__ = ["REDACTED", "StreamRedactor", "redact"]

REDACTED = "[redacted]"

_DEEPEST = 32
_PASSES = 4
_KEY_BEGUN = "-----BEGIN PRIVATE KEY-----\n"

# --- texts ---------------------------------------------------------------------------------------

_USER_INFO = re.compile(
    r"(?<=://)(?P<user>[^\s/?#@:\"'<>\\]{0,256})(?P<rest>:[^\s/?#\"'\\]{1,512})?@"
)

_PAIR = re.compile(
    r"(?<![\w.-])(?P<key>[-+~]{0,2}[A-Za-z_][\w.\-]{1,80})(?P<close>[\"'\]]{0,2})"
    r"(?P<gap>[ \t]{0,4}(?:=>|:=|=(?!=)|:(?!//|=))[ \t]{0,4})"
    r"(?P<scheme>(?i:bearer|basic|token|digest)[ \t]{1,4})?"
    r"(?:\"(?P<double>(?:[^\"\\\n]|\\.){1,2000})\"|'(?P<single>(?:[^'\\\n]|\\.){1,2000})'|"
    r"(?P<bare>(?:[^\s\"'&,;]|[,;](?!\s|\Z|[\"']|[\w.\-]{1,80}[=:])){1,2000}))"
)
_FLAG = re.compile(
    r"(?<![\w-])(?P<key>--?[A-Za-z][\w-]{1,60})[ \t]{1,4}"
    r"(?:\"(?P<double>[^\"\n]{1,2000})\"|'(?P<single>[^'\n]{1,2000})'|"
    r"(?P<bare>[^\s\"'-][^\s\"']{0,2000}))"
)
_METAVARIABLE = re.compile(r"[A-Z][A-Z_]*")
_PROSE = frozenset((
    "a", "an", "and", "are", "argument", "as", "at", "before", "but", "can", "does", "flag", "for",
    "from", "has", "if", "in", "instead", "is", "it", "may", "must", "needs", "not", "of", "on",
    "only", "option", "or", "requires", "should", "so", "than", "the", "then", "to", "unless",
    "value", "was", "when", "which", "will", "with",
))  # fmt: skip
_NAMES_HINT = ("pass", "pwd", "secret", "token", "key", "cred", "auth", "cookie", "bearer", "jwt",
               "psk")  # fmt: skip


def _without(text: str, spans: Iterable[tuple[int, int]]) -> tuple[str, int]:
    """Return `text` without `spans`, which are in order, and how many there were."""
    kept: list[str] = []
    position = count = 0
    for start, stop in spans:
        kept += [text[position:start], REDACTED]
        position = stop
        count += 1
    return "".join([*kept, text[position:]]), count


def _issued(text: str, low: str) -> tuple[str, int]:
    total = 0
    for hint, pattern in ISSUED_TOKENS:
        if hint in low:
            group = "secret" if "secret" in pattern.groupindex else 0
            text, count = _without(text, (match.span(group) for match in pattern.finditer(text)))
            total += count
    return text, total


def _user_info(text: str) -> Iterator[tuple[int, int]]:
    """Yield where the user-info of URLs is that holds a password or a token."""
    for match in _USER_INFO.finditer(text):
        user, rest = match["user"], match["rest"]
        if not is_template(rest[1:]) if rest else len(user) >= 16 and looks_random(user):
            yield match.start(), match.end() - 1


def _named(text: str, pattern: re.Pattern[str]) -> Iterator[tuple[int, int]]:
    """Yield where the values are whose name, which `pattern` finds beside them, is a secret's."""
    search = 0
    while match := pattern.search(text, search):
        group = next(name for name in ("double", "single", "bare") if match[name] is not None)
        if _is_named_secret(text, match, group):
            yield match.span(group)
            search = match.end(group)
        else:
            # Only the name is passed over: its value may itself hold a pair.
            search = match.end("key")


def _is_named_secret(text: str, match: re.Match[str], group: str) -> bool:
    strength = secret_strength(match["key"])
    value: str = match[group]
    if not strength or is_template(value) or value.startswith(REDACTED):
        return False
    if strength == "weak":
        return looks_random(value) and not is_code(value)
    if group != "bare":
        return True
    if match.re is _FLAG:
        return not (_METAVARIABLE.fullmatch(value) or value.lower().strip(".,;:") in _PROSE)
    if is_code(value) or secret_strength(value):  # password=password hands a variable on
        return False
    if ":" not in match["gap"] or match["scheme"]:
        return True
    # After a colon prose may follow: one word up to the end of the line is a value.
    rest = text[match.end() : match.end() + 40].partition("\n")[0].strip(" \t\r,;}])\"'")
    return not rest or rest.startswith("#") or looks_random(value)


def _text(text: str) -> tuple[str, int]:
    total = 0
    # What one pass leaves can complete a pattern of the next: repeated until nothing changes.
    for _ in range(_PASSES):
        low = text.lower()
        found = 0
        if "private key" in low:
            text, count = _without(text, private_keys(text))
            found += count
        text, count = _issued(text, low)
        found += count
        if "://" in text:
            text, count = _without(text, _user_info(text))
            found += count
        if any(hint in low for hint in _NAMES_HINT):
            text, count = _without(text, _named(text, _PAIR))
            found += count
            text, count = _without(text, _named(text, _FLAG))
            found += count
        if not found:
            break
        total += found
    return text, total


# --- structures ----------------------------------------------------------------------------------


@overload
def redact(value: str) -> tuple[str, int]: ...
@overload
def redact(value: Mapping[str, Any]) -> tuple[dict[str, Any], int]: ...
@overload
def redact(value: list[str]) -> tuple[list[str], int]: ...
@overload
def redact(value: Any) -> tuple[Any, int]: ...


def redact(value: Any) -> tuple[Any, int]:
    """Return a copy of `value` without secrets, and how many were taken out.

    Parameters
    ----------
    value
        A text; a mapping, where names judge their values; or a list or tuple of strings, read as a
        command line (``--api-key X``, ``--api-key=X``, ``KEY=value``). They may be nested; other
        objects are returned as they are. Nothing is changed in place.

    Returns
    -------
    clean, count
        The same structure (a mapping as a `dict`) with `REDACTED` where a secret was. Applying it
        again changes nothing. Structures nested deeper than 32 levels, or in themselves, are
        replaced as a whole.
    """
    return _value(value, 0)


def _value(value: Any, depth: int) -> tuple[Any, int]:
    if isinstance(value, str):
        return _text(value)
    if not isinstance(value, Mapping | list | tuple | set | frozenset):
        return value, 0
    if depth > _DEEPEST:
        return REDACTED, 1
    if isinstance(value, Mapping):
        return _mapping(value, depth)
    if isinstance(value, list | tuple):
        clean, count = _arguments(value, depth)
        return (clean if isinstance(value, list) else tuple(clean)), count
    pairs = [_value(item, depth + 1) for item in value]
    return type(value)(item for item, _ in pairs), sum(count for _, count in pairs)


def _mapping(mapping: Mapping[Any, Any], depth: int) -> tuple[dict[Any, Any], int]:
    clean: dict[Any, Any] = {}
    total = 0
    for key, value in mapping.items():
        strength = secret_strength(key) if isinstance(key, str) else ""
        count = 1
        if strength and _is_secret_value(value, strength):
            redacted: Any = REDACTED
        else:
            redacted, count = _value(value, depth + 1)
        name, in_name = _text(key) if isinstance(key, str) else (key, 0)
        clean[name] = redacted
        total += count + in_name
    return clean, total


def _is_secret_value(value: Any, strength: Strength) -> bool:
    if strength == "weak":
        return isinstance(value, str) and looks_random(value) and not is_template(value)
    if isinstance(value, str):
        return not is_template(value)
    if isinstance(value, bytes | Mapping | list | tuple | set | frozenset):
        return bool(value)
    return isinstance(value, int) and not isinstance(value, bool)


def _arguments(items: Iterable[Any], depth: int) -> tuple[list[Any], int]:
    clean: list[Any] = []
    total = 0
    option: Strength = ""
    for item in items:
        named, option = option, ""
        if not isinstance(item, str):
            redacted, count = _value(item, depth + 1)
        elif named and not item.startswith("-") and _is_secret_value(item, named):
            redacted, count = REDACTED, 1
        else:
            name, equals, value = item.partition("=")
            is_name = bool(name) and not any(character.isspace() for character in name)
            strength = secret_strength(name) if is_name and len(name) <= 100 else ""
            if equals and strength and _is_secret_value(value, strength):
                redacted, count = f"{name}={REDACTED}", 1
            else:
                redacted, count = _text(item)
                if not equals and item.startswith("-"):
                    option = strength
        clean.append(redacted)
        total += count
    return clean, total


class StreamRedactor:
    """Redact the texts of a stream in turn; a private key may begin in one and end in another."""

    def __init__(self) -> None:
        self._in_key = False

    def __call__(self, text: str) -> str:
        """Return `text`, which is made of whole lines, without the secrets in it."""
        begun = _KEY_BEGUN if self._in_key else ""
        text = begun + text
        self._in_key = "PRIVATE KEY" in text and ends_in_key(text)
        return _text(text)[0].removeprefix(begun)
