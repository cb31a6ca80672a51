"""Golden files: what a pure function gave last time somebody looked. `UPDATE_GOLDEN=1` writes them anew."""

import json
import os
from pathlib import Path
from typing import Any

UPDATE = "UPDATE_GOLDEN"


def check(path: Path, seen: Any) -> None:
    """Compares `seen`, as JSON, with the file at `path`. The diff of an update is what a reviewer reads."""
    text = json.dumps(seen, indent=2, ensure_ascii=False, sort_keys=True) + "\n"
    if os.environ.get(UPDATE):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return
    assert path.exists(), f"{path} is missing: run with {UPDATE}=1 and read what it writes"
    assert json.loads(text) == json.loads(path.read_text()), f"{path} differs: run with {UPDATE}=1 and read the diff"
