import subprocess
import sys
import textwrap
from pathlib import Path

from worker.settings import scratch_dir


def test_the_folder_is_removed_at_the_end(tmp_path: Path) -> None:
    with scratch_dir(tmp_path / "work") as folder:
        (folder / "file").write_text("x")
    assert not folder.exists()


def test_a_folder_in_use_is_kept(tmp_path: Path) -> None:
    with scratch_dir(tmp_path) as one, scratch_dir(tmp_path) as other:
        assert one != other
        assert one.exists() and other.exists()


def test_the_folder_of_a_killed_process_is_removed(tmp_path: Path) -> None:
    code = textwrap.dedent(f"""
        from pathlib import Path
        from worker.settings import scratch_dir
        with scratch_dir(Path({str(tmp_path)!r})) as folder:
            (folder / "large").write_text("x")
            print(folder, flush=True)
            input()
    """)
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=root, text=True
    ) as process:
        assert process.stdout is not None
        left = Path(process.stdout.readline().strip())
        with scratch_dir(tmp_path):
            assert (left / "large").exists(), "its owner runs"
        process.kill()
        process.wait()
    assert left.exists()
    with scratch_dir(tmp_path):
        assert not left.exists()
