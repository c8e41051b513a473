"""The check in docs/export.md, which needs no eyespot, holds for a file and notices a changed one."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from exported import masks, preprocessing, write_run
from eyespot import export

PAGE = Path(__file__).parents[1] / "docs" / "export.md"


def check(path):
    code = re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert code
    assert len(code[1].splitlines()) <= 35
    assert "eyespot import" not in code[1]
    return subprocess.run([sys.executable, "-c", code[1], path], capture_output=True, text=True)


@pytest.mark.parametrize("of_masks", [False, True])
def test_the_check_of_the_page(tmp_path, of_masks):
    content = preprocessing(channels=1, **masks()) if of_masks else preprocessing(tta_flip=True, side=12)
    preset = "fcdensenet56" if of_masks else "small"
    changes = dict(depths=(1, 1), bottom=1, growth=4, width=8) if of_masks else dict(widths=(8, 16))
    classes = ("background", "object") if of_masks else ("cat", "dog", "owl")
    path = export(write_run(tmp_path / "run", preset, content, classes, **changes), tmp_path / "m.onnx").path
    held = check(path)
    assert held.returncode == 0, held.stderr
    assert held.stdout.startswith("holds")
    changed = bytearray(path.read_bytes())
    changed[-100] ^= 1  # of a digit of the certificate's last entry, which no engine reads
    path.write_bytes(changed)
    done = check(path)
    assert done.returncode == 1
    assert not done.stdout.startswith("holds")
