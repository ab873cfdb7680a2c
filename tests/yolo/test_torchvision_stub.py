"""The stand-in for torchvision on machines without a GPU."""

from __future__ import annotations

import importlib.util
import subprocess
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

TOOL = Path(__file__).parents[2] / "tools" / "torchvision_stub.py"

CHECK = """
import numpy as np, torch
from torchvision import __version__, ops
assert __version__ == "0.28.0+stub"

def greedy(boxes, scores, threshold):
    order, keep = np.argsort(-scores, kind="stable"), []
    for i in order:
        ious = ops.box_iou(torch.tensor(boxes[[i]]), torch.tensor(boxes[keep]))[0].numpy()
        if not (ious > threshold).any():
            keep.append(i)
    return keep

rng = np.random.default_rng(0)
for n in (0, 1, 2, 50, 300):
    low = rng.uniform(0, 60, (n, 2))
    boxes = np.hstack([low, low + rng.uniform(0, 40, (n, 2))]).astype(np.float32)
    boxes[: n // 5] = boxes[n // 5 : 2 * (n // 5)]  # doubles
    boxes[-3:, 2:] = boxes[-3:, :2]  # no area
    scores = rng.uniform(0, 1, n).round(1).astype(np.float32)  # ties
    for threshold in (0.0, 0.45, 0.7, 1.0):
        found = ops.nms(torch.tensor(boxes), torch.tensor(scores), threshold)
        assert found.dtype == torch.int64
        assert found.tolist() == greedy(boxes, scores, threshold), (n, threshold)
print("same")

from PIL import Image
from torchvision import transforms as T

image = Image.fromarray(rng.integers(0, 256, (10, 21, 3), dtype=np.uint8))
assert T.Resize(5)(image).size == (10, 5)
assert T.Resize((7, 9))(image).size == (9, 7)
wide = T.ToTensor()(T.CenterCrop((12, 3))(image))  # higher than the image: black above and below
assert wide.shape == (3, 12, 3)
assert (wide[:, 0] == 0).all() and (wide[:, -1] == 0).all()
middle = torch.from_numpy(np.array(image)[:, 9:12].transpose(2, 0, 1) / 255).float()
assert torch.equal(wide[:, 1:11], middle)
assert torch.equal(T.Normalize(torch.tensor([0.5] * 3), torch.tensor([0.5] * 3))(middle),
                   (middle - 0.5) / 0.5)
for _ in range(50):
    assert T.RandomResizedCrop(8, scale=(0.1, 1.0), ratio=(0.3, 3.0))(image).size == (8, 8)
assert T.RandomErasing(p=0.0, inplace=True)(middle) is middle
try:
    T.ColorJitter(brightness=0.4)
except NotImplementedError as error:
    print(str(error)[:12])
"""


@pytest.fixture
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("torchvision_stub", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_same_input_gives_the_same_wheel(tool: ModuleType, tmp_path: Path) -> None:
    first, second = tool.build(tmp_path / "a"), tool.build(tmp_path / "b")
    assert first.name == "torchvision-0.28.0+stub-py3-none-any.whl"
    assert first.read_bytes() == second.read_bytes()
    with zipfile.ZipFile(first) as wheel:
        assert wheel.testzip() is None
        record = wheel.read("torchvision-0.28.0+stub.dist-info/RECORD").decode()
        assert {line.split(",")[0] for line in record.splitlines()} == set(wheel.namelist())


@pytest.mark.slow
def test_its_suppression_and_transforms_are_torchvisions_rules(
    tool: ModuleType, yolo_python: str, tmp_path: Path
) -> None:
    with zipfile.ZipFile(tool.build(tmp_path)) as wheel:
        wheel.extractall(tmp_path / "lib")
    done = subprocess.run(
        [yolo_python, "-c", CHECK],
        env={"PYTHONPATH": str(tmp_path / "lib")},
        capture_output=True,
        text=True,
    )
    assert done.stdout == "same\nthe stand-in\n", done.stderr
