from __future__ import annotations

import pytest

from epochal.journal.folder import Folder


@pytest.fixture
def folder(tmp_path):
    return Folder.create(tmp_path)
