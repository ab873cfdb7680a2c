import subprocess
import sys

import pytest

import epochal.analysis


def test_names_and_configs_do_not_load_numpy():
    code = (
        "import sys; from epochal.analysis import check, difference, resolve; "
        "assert 'numpy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_everything_announced_is_there():
    for name in epochal.analysis.__all__:
        assert getattr(epochal.analysis, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = epochal.analysis.nothing
