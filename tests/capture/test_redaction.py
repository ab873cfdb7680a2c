"""Secrets do not leave the process; what only looks like one is left alone (G30)."""

from __future__ import annotations

import random
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epochal.capture.redaction import REDACTED, StreamRedactor, redact
from epochal.capture.secret_names import secret_strength

_random = random.Random(20261124)
_ALNUM = string.ascii_letters + string.digits
_HEX = "0123456789abcdef"


def _token(n: int, alphabet: str = _ALNUM) -> str:
    # A digit and a letter at least, as generated tokens of such lengths have.
    return "a1" + "".join(_random.choice(alphabet) for _ in range(n - 2))


# What issuers give out, by the form that they document.
FORMS = {
    "aws": lambda: "AKIA" + "".join(_random.choice(string.ascii_uppercase) for _ in range(16)),
    "aws session": lambda: "ASIA" + _token(16, string.digits).upper(),
    "github": lambda: "ghp_" + _token(36),
    "github fine": lambda: "github_pat_" + _token(22) + "_" + _token(59),
    "github app": lambda: "ghs_" + _token(36),
    "gitlab": lambda: "glpat-" + _token(20),
    "slack": lambda: "xoxb-" + _token(12, string.digits) + "-" + _token(24),
    "openai": lambda: "sk-" + _token(48),
    "openai project": lambda: "sk-proj-" + _token(64),
    "anthropic": lambda: "sk-ant-api03-" + _token(80),
    "stripe": lambda: "sk_live_" + _token(24),
    "groq": lambda: "gsk_" + _token(52),
    "hugging face": lambda: "hf_" + _token(34),
    "replicate": lambda: "r8_" + _token(37),
    "google": lambda: "AIza" + _token(35),
    "google oauth": lambda: "ya29." + _token(60),
    "npm": lambda: "npm_" + _token(36),
    "pypi": lambda: "pypi-AgEIcHlwaS5vcmc" + _token(60),
    "docker": lambda: "dckr_pat_" + _token(27),
    "digital ocean": lambda: "dop_v1_" + _token(64, _HEX),
    "databricks": lambda: "dapi" + _token(32, _HEX),
    "sendgrid": lambda: "SG." + _token(22) + "." + _token(43),
    "jwt": lambda: "eyJ" + _token(20) + ".eyJ" + _token(40) + "." + _token(43),
}

# Where a secret of any form stands by its name or place.
PLACES = [
    "api_key={}",
    "API_KEY: {}",
    '"password": "{}"',
    "--api-key {}",
    "--wandb-key={}",
    "export DB_PASSWORD='{}'",
    "Authorization: Bearer {}",
    "https://user:{}@example.org/repo.git",
    "client_secret = '{}'",
    "wandbApiKey: {}",
    "ROBOFLOW_API_KEY={}",
    "mysql --password={} db",
    "AWS_SECRET_ACCESS_KEY={}",
    "https://x.blob.example.org/c?sv=1&sig={}",
    "hf_token={}",
    "NEPTUNE_API_TOKEN={}",
    "clearml.api.credentials.secret_key = {}",
]


def planted() -> list[tuple[str, str]]:
    """200 texts, each with one secret: (text, secret)."""
    found = []
    names = list(FORMS)
    for n in range(115):
        secret = FORMS[names[n % len(names)]]()
        text = ["{}", "using {} now", "curl -H 'X: {}'", "['{}', 1]", "login({})"][n // 23]
        found.append((text.format(secret), secret))
    for n in range(85):
        secret = _token(24 + n % 20)
        found.append((PLACES[n % len(PLACES)].format(secret), secret))
    return found


PLANTED = planted()


def test_there_are_two_hundred():
    assert len(PLANTED) == len({secret for _, secret in PLANTED}) == 200


@pytest.mark.parametrize(("text", "secret"), PLANTED, ids=map(str, range(200)))
def test_a_planted_secret_is_taken_out(text, secret):
    """A62: on a line, and among lines of a console."""
    clean, count = redact(text)
    assert secret not in clean
    assert secret[4:-4] not in clean
    assert count >= 1
    around = f"Epoch 1/3\n{text}\nbox_loss 1.23"
    clean, _ = redact(around)
    assert secret not in clean
    assert clean.startswith("Epoch 1/3\n")
    assert clean.endswith("\nbox_loss 1.23")


LOOK_ALIKES = [
    "use_cls_token=True", "num_memory_tokens: 4", "max_tokens=4096", "tokenizer=bert-base-uncased",
    "cls_token='[CLS]'", "pad_token_id: 0", "mask_token=<mask>", "eos_token = </s>",
    "register_tokens=8", "token_embedding_dim=768", "special_tokens_map=vocab.json",
    "keypoints: 17", "kpt_shape: [17, 3]", "keyframe_interval=30", "key=value", "monkey: banana",
    "keys=12", "key_dim=64", "num_key_value_heads=8", "primary_key=id", "sort_key: mAP50",
    "author=Ann", "authority_score=0.9", "authors: 3", "auth=None",
    "password: str", "def login(password: str, token: str) -> None:", "password=None",
    "password=os.environ['PASSWORD']", "token=${TOKEN}", "api_key=<your key>", "api_key=***",
    "secret=%(secret)s", "password_file=/run/secrets/db", "passwordless=True",
    "secretary: Ann Smith", "secret_santa=False", "num_secrets=3", "pass_through=True",
    "passes=12", "bypass=1", "compass: 0.5", "encompass=2", "passed: 12 tests",
    "lr0=0.01", "momentum=0.937", "weight_decay: 0.0005", "imgsz=640", "batch: 16", "seed=0",
    "git commit 3f2a1b4c5d6e7f8091a2b3c4d5e6f708192a3b4c",
    "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "digest=9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "run 0f8fad5bd9cb469fa16570867728950e", "uuid 0f8fad5b-d9cb-469f-a165-70867728950e",
    "https://example.org/a/b?page=2&sort=desc", "ssh://git@example.org/x.git",
    "https://user@example.org/x.git", "http://127.0.0.1:8080/runs", "file:///data/pallets.yaml",
    "postgres://localhost:5432/db", "s3://bucket/prefix/run-12/best.pt",
    "runs/detect/train12/weights/best.pt", "yolo11n-seg.pt", "sk-learn==1.5.0", "sk_model=best",
    "task-scheduler", "disk-usage: 40%", "risk-adjusted-return-over-baseline",
    "ghp: growth hacking plan", "hf_hub_download", "hf_model_name=bert-base", "npm_config_cache",
    "xoxo", "AKIA", "eyJ", "bearer of bad news", "Bearer", "basic training",
    "signature=inspect.signature(f)", "sig_figs=3", "assignment=hungarian", "sigmoid=True",
    "cookiecutter==2.6", "fortune cookie", "credential_helper=store", "jwt", "psk: none",
    "token_count=1532", "tokens/s: 3120.5", "tokens per second 3120", "first_token_latency=12.5",
    "prompt_tokens=21 completion_tokens=43", "visual_tokens: 256", "image_token_index=32000",
    "box_loss cls_loss dfl_loss", "metrics/mAP50-95(B)=0.5312", "all 128 929 0.64 0.54 0.6",
    "Epoch GPU_mem box_loss cls_loss dfl_loss Instances Size", "AMP: checks passed", "1/100 0.5G",
    "optimizer: AdamW(lr=0.002, momentum=0.9)", "names: ['pallet', 'person']",
]  # fmt: skip


def test_there_are_a_hundred_look_alikes():
    assert len(LOOK_ALIKES) == len(set(LOOK_ALIKES)) >= 100


@pytest.mark.parametrize("text", LOOK_ALIKES)
def test_a_look_alike_is_unharmed(text):
    assert redact(text) == (text, 0)


@pytest.mark.parametrize(
    ("value", "clean"),
    [
        ({"api_key": "s3cret", "lr": 0.1}, {"api_key": REDACTED, "lr": 0.1}),
        ({"db": {"password": "p", "host": "h"}}, {"db": {"password": REDACTED, "host": "h"}}),
        ({"num_memory_tokens": 4, "use_cls_token": True}, None),
        ({"wandb": {"apiKey": 12345}}, {"wandb": {"apiKey": REDACTED}}),
        ({"password": None, "secret": ""}, None),
        (["train.py", "--api-key", "abc", "--lr", "0.1"],
         ["train.py", "--api-key", REDACTED, "--lr", "0.1"]),
        (["--password=abc", "TOKEN_FILE=/x"], [f"--password={REDACTED}", "TOKEN_FILE=/x"]),
        (["train.py", "--tokenizer", "bert"], None),
        ([{"secret": "abc"}, 3], [{"secret": REDACTED}, 3]),
        (5, None),
    ],
    ids=map(str, range(10)),
)  # fmt: skip
def test_names_judge_their_values_in_structures(value, clean):
    assert redact(value)[0] == (value if clean is None else clean)


def test_a_private_key_goes_as_a_whole():
    body = "\n".join(_token(64) for _ in range(8))
    text = f"before\n-----BEGIN RSA PRIVATE KEY-----\n{body}\n-----END RSA PRIVATE KEY-----\nafter"
    clean, count = redact(text)
    assert clean == f"before\n{REDACTED}\nafter"
    assert count == 1


KEY = [
    "-----BEGIN PRIVATE KEY-----", _token(64), _token(64), _token(30), "-----END PRIVATE KEY-----",
]  # fmt: skip


@pytest.mark.parametrize("cut", range(1, len(KEY)))
def test_a_private_key_that_passes_in_two_texts(cut):
    redactor = StreamRedactor()
    clean = [redactor("\n".join(part)) for part in (["before", *KEY[:cut]], [*KEY[cut:], "after"])]
    assert not any(secret in "\n".join(clean) for secret in KEY[1:-1])
    assert clean[0].startswith("before\n")
    assert clean[1].endswith("\nafter")
    assert redactor("the next text") == "the next text"


def test_a_private_key_that_passes_line_by_line():
    redactor = StreamRedactor()
    clean = "\n".join(map(redactor, [*KEY, "after"]))
    assert not any(secret in clean for secret in KEY[1:-1])
    assert clean.endswith("\nafter")


def test_a_private_key_that_is_only_mentioned():
    texts = ["put it below this line:", "-----BEGIN PRIVATE KEY-----", "Epoch 1 of 100"]
    assert list(map(StreamRedactor(), texts)) == texts


@given(st.text(max_size=200))
def test_redacting_again_changes_nothing(text):
    clean, _ = redact(text)
    assert redact(clean) == (clean, 0)


def test_the_value_given_is_not_changed():
    value = {"a": [{"password": "p"}]}
    redact(value)
    assert value == {"a": [{"password": "p"}]}


def test_a_structure_that_holds_itself_ends():
    value = {}
    value["self"] = value
    assert REDACTED in str(redact(value)[0])


LONG = [
    "a=" * 50_000, "password " * 20_000, "://" * 30_000, "-" * 100_000, "eyJ." * 30_000,
    "'" * 100_000, "token: " * 20_000,
]  # fmt: skip


@pytest.mark.parametrize("text", LONG, ids=map(str, range(len(LONG))))
def test_no_text_takes_long(text):
    """A63's cousin: what a training prints must not stall its console."""
    import time

    begun = time.perf_counter()
    redact(text)
    assert time.perf_counter() - begun < 5


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("password", True), ("api_key", True), ("wandbApiKey", True), ("HF_TOKEN", True),
        ("aws_secret_access_key", True), ("tokenizer", False), ("password_file", False),
        ("num_tokens", False), ("keypoints", False), ("authors", False), ("monkey", False),
        ("cls_token", False),
    ],
)  # fmt: skip
def test_names(name, secret):
    assert (secret_strength(name) == "strong") == secret
