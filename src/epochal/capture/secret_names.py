"""Which names are names of secrets, read word by word."""

from __future__ import annotations

import functools
import re
from typing import Literal, TypeAlias

__all__ = ["Strength", "secret_strength"]

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

Strength: TypeAlias = Literal["", "weak", "strong"]


@functools.lru_cache(maxsize=4096)
def secret_strength(name: str) -> Strength:
    """Tell how surely a parameter, option or variable called `name` holds a secret.

    Words count, not substrings: ``wandbApiKey`` does, ``tokenizer`` and ``password_file`` do not.

    Returns
    -------
    Strength
        ``strong``: for certain; ``weak``: only with a value that looks random; empty: not.
    """
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
