"""Golden files: reviewed results of pure functions. `UPDATE_GOLDEN=1` writes them again."""

import json
import os
from pathlib import Path
from typing import Any

UPDATE = "UPDATE_GOLDEN"


def check(path: Path, seen: Any) -> None:
    """Compare `seen`, as JSON, with the file at `path`. After an update, review the diff."""
    text = json.dumps(seen, indent=2, ensure_ascii=False, sort_keys=True) + "\n"
    if os.environ.get(UPDATE):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return
    assert path.exists(), f"{path} is missing: run with {UPDATE}=1 and review the file"
    assert json.loads(text) == json.loads(path.read_text()), f"{path} differs: run with {UPDATE}=1 and review the diff"
