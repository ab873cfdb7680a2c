"""The state of the user's repository; never that of an installed package, never changed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from epochal.capture import git as git_module
from epochal.capture.git import git_state, user_folders


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A function that runs git in a fresh repository with one commit."""
    root = tmp_path / "repo"
    root.mkdir()
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
    for name in ("GIT_DIR", "GIT_WORK_TREE"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "gitconfig").write_text(
        "[user]\n\tname = Ann\n\temail = ann@example.org\n[init]\n\tdefaultBranch = main\n"
    )

    def git(*arguments):
        done = subprocess.run(
            ["git", *arguments], cwd=root, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    git("init", "-q")
    (root / "train.py").write_text("lr = 0.01\n")
    git("add", ".")
    git("commit", "-qm", "First")
    git.root = root
    return git


def test_a_clean_repository(repository):
    repository("remote", "add", "origin", "https://ann:s3cretpassw0rd@example.org/x.git")
    repository("tag", "v1")
    state = git_state(repository.root)
    assert state.root == str(repository.root)
    assert state.commit == repository("rev-parse", "HEAD")
    assert (state.branch, state.describe, state.dirty, state.diff) == ("main", "v1", False, "")
    assert state.remote == "https://example.org/x.git"
    assert "s3cret" not in str(state)
    assert state.notes == ()


def test_what_differs_from_the_commit_is_kept(repository):
    (repository.root / "train.py").write_text("lr = 0.02\n")
    (repository.root / "new.py").write_text("x = 1\n")
    (repository.root / "data").mkdir()
    (repository.root / "data" / "image.jpg").write_bytes(b"\xff\xd8\0\0")
    state = git_state(repository.root / "data")
    assert state.dirty
    assert state.describe.endswith("-dirty")
    assert "-lr = 0.01" in state.diff
    assert "+lr = 0.02" in state.diff
    assert set(state.untracked) == {"new.py", "data/"}
    # The diff is what `git apply` takes.
    repository("checkout", "-q", "train.py")
    subprocess.run(["git", "apply"], input=state.diff, text=True, cwd=repository.root, check=True)
    assert (repository.root / "train.py").read_text() == "lr = 0.02\n"


def test_staged_changes_count(repository):
    (repository.root / "train.py").write_text("lr = 0.03\n")
    repository("add", "train.py")
    state = git_state(repository.root)
    assert state.dirty
    assert "+lr = 0.03" in state.diff


def test_a_detached_head_and_a_repository_without_commits(repository, tmp_path):
    repository("checkout", "-q", "--detach")
    assert git_state(repository.root).branch == ""
    empty = tmp_path / "empty"
    empty.mkdir()
    subprocess.run(["git", "init", "-q"], cwd=empty, check=True)
    (empty / "a.py").write_text("x\n")
    state = git_state(empty)
    assert (state.commit, state.untracked) == ("", ("a.py",))
    assert any("no commit yet" in note for note in state.notes)


def test_secrets_in_the_diff_are_redacted(repository):
    secret = "hf_" + "a1B2" * 9
    (repository.root / "train.py").write_text(f"token = {secret!r}\n")
    state = git_state(repository.root)
    assert secret not in state.diff
    assert state.redacted == 1


def test_a_diff_larger_than_the_limit_is_cut_at_a_line(repository):
    (repository.root / "train.py").write_text("".join(f"line {n}\n" for n in range(5000)))
    state = git_state(repository.root, diff_limit=10_000)
    assert state.diff_truncated
    assert len(state.diff) <= 10_000
    assert state.diff.endswith("\n")


def test_nothing_is_written_to_the_repository(repository):
    """No lock, no refreshed index."""
    (repository.root / "train.py").touch()
    before = {p: p.stat().st_mtime_ns for p in (repository.root / ".git").rglob("*")}
    git_state(repository.root)
    assert {p: p.stat().st_mtime_ns for p in (repository.root / ".git").rglob("*")} == before


def test_a_diff_program_of_the_user_is_not_run(repository, tmp_path):
    marker = tmp_path / "ran"
    repository("config", "diff.external", f"touch {marker}")
    (repository.root / "train.py").write_text("lr = 1\n")
    assert git_state(repository.root).diff
    assert not marker.exists()


def test_variables_that_point_elsewhere_are_not_followed(repository, tmp_path, monkeypatch):
    """As inside a commit hook."""
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other"))
    state = git_state(repository.root)
    assert state.root == str(repository.root)
    assert any("GIT_DIR" in note for note in state.notes)


def test_no_repository(tmp_path):
    state = git_state(tmp_path)
    assert (state.root, state.dirty, state.commit) == ("", None, "")
    assert state.notes


def test_no_git(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    state = git_state(tmp_path)
    assert "git is not installed" in state.notes


def test_a_deadline_is_kept(repository, tmp_path, monkeypatch):
    fake = tmp_path / "bin" / "git"
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\nsleep 30\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}{os.pathsep}{os.environ['PATH']}")
    import time

    begun = time.monotonic()
    state = git_state(repository.root, timeout=0.3)
    assert time.monotonic() - begun < 5
    assert state.root == ""


def test_a_submodule_names_its_superproject(repository, tmp_path):
    sub = tmp_path / "sub"
    sub.mkdir()
    for command in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "x"]):
        subprocess.run(["git", *command], cwd=sub, check=True)
    repository("-c", "protocol.file.allow=always", "submodule", "add", "-q", str(sub), "lib")
    state = git_state(repository.root / "lib")
    assert state.root == str(repository.root / "lib")
    assert state.superproject == str(repository.root)


def test_the_users_code_is_never_an_installed_package(monkeypatch, tmp_path):
    """The repository around ``.venv/bin/yolo`` is not the user's code."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(Path(sys.executable).parent / "yolo")])
    main = type(sys)("__main__")
    monkeypatch.setitem(sys.modules, "__main__", main)
    assert user_folders() == [tmp_path]
    script = tmp_path / "src" / "train.py"
    script.parent.mkdir()
    script.touch()
    main.__file__ = str(script)
    assert user_folders() == [script.parent, tmp_path]
    packages = tmp_path / "lib" / "site-packages" / "x"
    packages.mkdir(parents=True)
    assert git_module._is_installed(packages)


def test_a_deleted_working_directory_is_survived(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    monkeypatch.setattr(sys, "argv", [""])
    monkeypatch.setitem(sys.modules, "__main__", type(sys)("__main__"))
    assert git_state().root == ""
    monkeypatch.chdir(tmp_path)
