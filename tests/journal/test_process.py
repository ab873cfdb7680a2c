"""Who writes, and whether that process still lives."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from epochal.journal import author as author_module
from epochal.journal.author import _known_to_the_machine, author
from epochal.journal.process import boot_id, is_alive, process_start


def test_this_process_lives():
    started = process_start(os.getpid())
    assert started > 0
    assert is_alive(os.getpid(), started)
    assert boot_id()


def test_a_pid_that_was_given_to_another_process_is_not_the_writer():
    assert not is_alive(os.getpid(), process_start(os.getpid()) - 5)


def test_a_process_that_ended_is_dead_even_before_it_is_reaped():
    process = subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE)
    assert process.stdout is not None
    started = process_start(process.pid)
    process.stdout.read()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # ended, still a zombie
    assert not is_alive(process.pid, started)
    process.wait()
    process.stdout.close()
    assert not is_alive(process.pid, started)


@pytest.fixture
def _fresh_author():
    _known_to_the_machine.cache_clear()
    yield
    _known_to_the_machine.cache_clear()


@pytest.mark.usefixtures("_fresh_author")
def test_the_author_is_the_git_user(tmp_path, monkeypatch):
    monkeypatch.delenv("EPOCHAL_AUTHOR", raising=False)
    config = tmp_path / "gitconfig"
    config.write_text("[user]\n\tname = Ann\n\temail = ann@example.org\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    monkeypatch.chdir(tmp_path)
    assert author() == "Ann <ann@example.org>"


@pytest.mark.usefixtures("_fresh_author")
def test_without_git_the_author_is_the_login(monkeypatch):
    monkeypatch.delenv("EPOCHAL_AUTHOR", raising=False)
    monkeypatch.setattr(author_module, "_git", lambda key: "")
    monkeypatch.setattr(author_module.getpass, "getuser", lambda: "ben")
    monkeypatch.setattr(author_module, "host", lambda: "box")
    assert author() == "ben@box"


@pytest.mark.usefixtures("_fresh_author")
def test_the_variable_overrides_both(monkeypatch):
    monkeypatch.setenv("EPOCHAL_AUTHOR", "CI")
    assert author() == "CI"
