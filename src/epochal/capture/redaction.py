"""Take secrets out of what is recorded, before it leaves the process.

Three kinds of evidence, each enough on its own:

* the *name* beside a value (``api_key``, ``--wandb-key X``, ``DB_PASSWORD=...``), read word by
  word, so that ``num_memory_tokens`` and ``secretary`` are not secrets;
* the *form* of a value: issued tokens carry prefixes (``ghp_``, ``AKIA``, ``sk-``, ``hf_``),
  JSON web tokens and PEM private keys have a shape;
* the *place*: user-info of a URL, signatures of pre-signed links, ``Bearer ...``.

A name that is also a word of the trade (``token``) needs a value that looks random as well.
Prose, code and templates (``password: str``, ``token=${TOKEN}``) are left alone.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal, overload

__all__ = ["REDACTED", "LineRedactor", "is_secret_name", "redact"]

REDACTED = "[redacted]"

_DEEPEST = 32
_PASSES = 4

# --- names ---------------------------------------------------------------------------------------

_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SECRET_WORDS = _words(
    "password passwords passwd passphrase passcode secret secrets credential credentials "
    "authorization cookie cookies apikey apikeys secretkey accesskey privatekey accountkey "
    "authtoken accesstoken apitoken clientsecret"
)
_GLUED_ENDS = ("password", "passwd", "passphrase", "apikey", "authtoken")
_KEYS_THAT_OPEN = _words(
    "api secret private access account encryption signing auth ssh master subscription license "
    "deploy service storage wandb comet neptune clearml roboflow ultralytics openai anthropic"
)
_TOKENS_THAT_OPEN = _words(
    "auth access api refresh bearer session github gitlab hf hub huggingface slack bot csrf xsrf "
    "jwt oauth personal deploy security private secret service login webhook wandb neptune comet "
    "npm pypi identity"
)
_TOKENS_OF_MODELS = _words(
    "cls class eos bos pad sep unk mask image img special register reg memory mem start end stop "
    "next query prompt text visual vision patch dist distill distillation pos object box point "
    "region first last begin separator vocab sub word target source current prev previous new "
    "added extra dummy fake null blank time learnable global local frame video audio label task "
    "decoder encoder latent per max min num n use add prepend append skip drop merge"
)
_ABOUT_A_SECRET = _words(
    "file files path paths dir folder name names env var variable count length len size dim type "
    "types num number embedding embeddings url uri endpoint policy required enabled disabled "
    "field prompt limit max min style ratio weight weights loss rate layer layers index expiry "
    "expires expired ttl age timeout manager provider store backend hash hasher hashing reset "
    "helper strength check validator valid rotation version format scheme header mode class model "
    "help"
)
_QUESTION = _words(
    "use has have is num n max min no require requires show hide with enable disable check len "
    "count allow forgot need needs"
)

Strength = Literal["", "weak", "strong"]


@functools.lru_cache(maxsize=4096)
def _strength(name: str) -> Strength:
    """Tell how surely `name` names a secret; weak: only with a value that looks random."""
    words = [word.lower() for word in _WORD.findall(name)]
    for at, word in enumerate(words):
        before = words[at - 1] if at else ""
        if (
            (
                word in _SECRET_WORDS
                or word.endswith(_GLUED_ENDS)
                or (word in ("key", "keys") and before in _KEYS_THAT_OPEN)
                or (word in ("token", "tokens") and before in _TOKENS_THAT_OPEN)
                # $PWD is the working directory.
                or (word == "pwd" and before not in ("", "old"))
            )
            and _ABOUT_A_SECRET.isdisjoint(words[at + 1 :])
        ):
            return "weak" if words[0] in _QUESTION and at else "strong"
    last, before = (words[-1] if words else ""), (words[-2] if len(words) > 1 else "")
    if last in ("auth", "bearer", "jwt", "psk") or (
        last == "token" and before not in _TOKENS_OF_MODELS
    ):
        return "weak"
    return ""


def is_secret_name(name: str) -> bool:
    """Tell whether a parameter, option or variable called `name` holds a secret for certain.

    Words count, not substrings: ``wandbApiKey`` does, ``tokenizer`` and ``password_file`` do not.
    """
    return _strength(name) == "strong"


# --- values --------------------------------------------------------------------------------------

_TEMPLATE = re.compile(
    r"\$\{[^}]*\}|\$[A-Z][A-Z0-9_]*|\$\([^)]*\)|<[^>]*>?|\{[^}]*\}|%\(?\w*\)?s|[*.•xX]+|"
    r"(?i:none|null|nil|true|false|yes|no)|\[redacted\]"
)
_EXPRESSION = re.compile(
    r"[^\s]*[(\[{].*|[)\]}].*|(?i:str|int|bool|bytes|string|optional|required|any|object|self)\b.*|"
    r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+|[-+|>\\/=]+"
)
_FILE_NAME = re.compile(r"[\w./\\~-]+\.[A-Za-z]{1,5}")


def _is_template(value: str) -> bool:
    return not value.strip() or _TEMPLATE.fullmatch(value.strip()) is not None


def _looks_random(value: str) -> bool:
    return (
        len(value) >= 8
        and not any(character.isspace() for character in value)
        and _FILE_NAME.fullmatch(value) is None
        and any(character.isalpha() for character in value)
        and (any(character.isdigit() for character in value) or len(value) >= 20)
    )


def _edge(pattern: str) -> re.Pattern[str]:
    return re.compile(r"(?<![A-Za-z0-9_])(?:" + pattern + ")")


# Each with a lower-case piece that every match contains: searching for that first keeps the usual
# console line at a microsecond or two.
_FORMS: tuple[tuple[str, re.Pattern[str]], ...] = (
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
_PROSE = _words(
    "a an and are argument as at before but can does flag for from has if in instead is it may "
    "must needs not of on only option or requires should so than the then to unless value was "
    "when which will with"
)
_NAMES_HINT = ("pass", "pwd", "secret", "token", "key", "cred", "auth", "cookie", "bearer", "jwt",
               "psk")  # fmt: skip

_KEY_BEGIN = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_KEY_END = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_KEY_BODY = re.compile(r"(?:(?:\\[nr]|[\s\"'+>|,-])*[A-Za-z0-9+/=]{16,})+")
_KEY_LINE = re.compile(r"\s*(?:[A-Za-z0-9+/=]{1,128}|[A-Z][\w-]{2,20}: .{1,100}|)\s*")
_LONGEST_KEY = 20_000


def _private_keys(text: str) -> tuple[str, int]:
    kept: list[str] = []
    position = count = 0
    while begin := _KEY_BEGIN.search(text, position):
        end = _KEY_END.search(text, begin.end(), begin.end() + _LONGEST_KEY)
        body = _KEY_BODY.search(text, begin.end(), end.start()) if end else None
        if end is None or body is None:
            # Cut off, or only mentioned: take what follows at once and reads as base64.
            end = _KEY_BODY.match(text, begin.end(), begin.end() + _LONGEST_KEY)
        if end is None:
            kept.append(text[position : begin.end()])
            position = begin.end()
            continue
        kept += [text[position : begin.start()], REDACTED]
        position = end.end()
        count += 1
    return "".join([*kept, text[position:]]), count


def _forms(text: str, low: str) -> tuple[str, int]:
    count = 0
    for hint, pattern in _FORMS:
        if hint not in low:
            continue
        position = 0
        kept: list[str] = []
        for match in pattern.finditer(text):
            start, stop = match.span("secret" if "secret" in pattern.groupindex else 0)
            kept += [text[position:start], REDACTED]
            position = stop
            count += 1
        if kept:
            text = "".join([*kept, text[position:]])
    return text, count


def _user_info(text: str) -> tuple[str, int]:
    count = 0

    def replace(match: re.Match[str]) -> str:
        nonlocal count
        user, rest = match["user"], match["rest"]
        secret = not _is_template(rest[1:]) if rest else len(user) >= 16 and _looks_random(user)
        if not secret:
            return match[0]
        count += 1
        return f"{REDACTED}@"

    return _USER_INFO.sub(replace, text), count


def _named(text: str, pattern: re.Pattern[str]) -> tuple[str, int]:
    kept: list[str] = []
    position = search = count = 0
    while match := pattern.search(text, search):
        group = next(name for name in ("double", "single", "bare") if match[name] is not None)
        if not _is_named_secret(text, match, group):
            # Only the name is passed over: its value may itself hold a pair.
            search = match.end("key")
            continue
        start, stop = match.span(group)
        kept += [text[position:start], REDACTED]
        position = search = stop
        count += 1
    return "".join([*kept, text[position:]]), count


def _is_named_secret(text: str, match: re.Match[str], group: str) -> bool:
    strength = _strength(match["key"])
    value: str = match[group]
    if not strength or _is_template(value) or value.startswith(REDACTED):
        return False
    if strength == "weak":
        return _looks_random(value) and not _EXPRESSION.fullmatch(value)
    if group != "bare":
        return True
    if match.re is _FLAG:
        return not (_METAVARIABLE.fullmatch(value) or value.lower().strip(".,;:") in _PROSE)
    if _EXPRESSION.fullmatch(value) or _strength(value):  # password=password hands a variable on
        return False
    if ":" not in match["gap"] or match["scheme"]:
        return True
    # After a colon prose may follow: one word up to the end of the line is a value.
    rest = text[match.end() : match.end() + 40].partition("\n")[0].strip(" \t\r,;}])\"'")
    return not rest or rest.startswith("#") or _looks_random(value)


def _text(text: str) -> tuple[str, int]:
    total = 0
    # What one pass leaves can complete a pattern of the next: repeated until nothing changes.
    for _ in range(_PASSES):
        low = text.lower()
        found = 0
        if "private key" in low:
            text, count = _private_keys(text)
            found += count
        text, count = _forms(text, low)
        found += count
        if "://" in text:
            text, count = _user_info(text)
            found += count
        if any(hint in low for hint in _NAMES_HINT):
            text, count = _named(text, _PAIR)
            found += count
            text, count = _named(text, _FLAG)
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
        strength = _strength(key) if isinstance(key, str) else ""
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
        return isinstance(value, str) and _looks_random(value) and not _is_template(value)
    if isinstance(value, str):
        return not _is_template(value)
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
            strength = _strength(name) if is_name and len(name) <= 100 else ""
            if equals and strength and _is_secret_value(value, strength):
                redacted, count = f"{name}={REDACTED}", 1
            else:
                redacted, count = _text(item)
                if not equals and item.startswith("-"):
                    option = strength
        clean.append(redacted)
        total += count
    return clean, total


class LineRedactor:
    """Redact a stream line by line, remembering that the lines of a private key are passing."""

    def __init__(self) -> None:
        self._in_key = False

    def __call__(self, line: str) -> tuple[str, int]:
        """Return `line` (without its line break) clean, and how many secrets were in it."""
        if self._in_key:
            if end := _KEY_END.search(line):
                self._in_key = False
                return f"{REDACTED}{line[end.end() :]}", 1
            if _KEY_LINE.fullmatch(line):
                return REDACTED, 1
            self._in_key = False  # the key was cut off; this line is something else
        if (begin := _KEY_BEGIN.search(line)) and not _KEY_END.search(line, begin.end()):
            self._in_key = not line[begin.end() :].strip()
        return _text(line)
