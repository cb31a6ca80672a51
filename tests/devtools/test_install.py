"""The installation on machines that lack something: one sentence that says what to do, and no traceback."""

import errno
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from devtools import install

_PROJECT = Path(__file__).parents[2]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone as far as the installation reads it, in a folder with spaces and quotes in its name."""
    folder = tmp_path / """a "clone" of it's own"""
    (folder / "devtools").mkdir(parents=True)
    shutil.copy(_PROJECT / "devtools" / "install.py", folder / "devtools")
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(_PROJECT / name, folder)
    return folder


def _program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text))
    path.chmod(0o755)
    return path


def _run(clone: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {"PATH": os.environ["PATH"], **environment}
    return subprocess.run(command, cwd=clone, env=variables, capture_output=True, text=True, timeout=300, check=False)


def _install(clone: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return _run(clone, sys.executable, "devtools/install.py", "make demo", **environment)


def _fake_environment(clone: Path, pip: str) -> None:
    """A virtual environment whose `python -m pip` does `pip`, and which has pip and is new enough."""
    _program(clone / ".venv/bin/python", f'#!/bin/sh\ncase "$1 $2" in\n"-m pip") {pip};;\nesac\n')


def test_without_ensurepip_it_says_what_to_install_and_leaves_no_half_environment(clone: Path, tmp_path: Path) -> None:
    hides = "import sys; sys.modules['ensurepip'] = None"  # as on Debian and Ubuntu without python3-venv
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(hides)
    done = _install(clone, PYTHONPATH=str(tmp_path / "site"))
    version = f"3.{sys.version_info[1]}"
    assert done.returncode == 1
    assert done.stderr == (
        f"bitmill: this Python {version} has no module ensurepip: install it (Debian and Ubuntu: apt install "
        f"python{version}-venv), then repeat the command.\n"
    )
    assert not (clone / ".venv" / "bin").exists()


def test_an_old_python_uses_a_newer_one_that_works(tmp_path: Path) -> None:
    _program(tmp_path / "python3.14", "#!/bin/sh\nexit 127\n")  # a shim of a version that is not installed
    works = _program(tmp_path / "python3.12", "#!/bin/sh\n")
    assert install.newer_python(lambda name: shutil.which(name, path=str(tmp_path))) == str(works)
    assert install.newer_python(lambda name: None) is None


def test_an_old_python_alone_is_refused_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 10, 13))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert install.main(["make demo"]) == 1
    assert capsys.readouterr().err == (
        "bitmill: needs Python 3.11 or newer, and this is 3.10: install one, and name it if need be "
        "(make PYTHON=/path/to/python3.12 demo).\n"
    )


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "is full: free 2"),
        ("WARNING: Retrying (CERTIFICATE_VERIFY_FAILED)\nERROR: No matching distribution", "set PIP_CERT and SSL_CERT"),
        ("Failed to establish a new connection: [Errno -3]\nERROR: none", "cannot be reached: connect to a network"),
        ("ERROR: something else", "pip says:\nERROR: something else"),
    ],
)
def test_what_pip_reports_is_said_in_one_sentence(clone: Path, output: str, expected: str) -> None:
    _fake_environment(clone, f"cat >&2 <<'END'\n{output}\nEND\nexit 1")
    done = _install(clone)
    assert done.returncode == 1
    assert expected in done.stderr
    assert "Traceback" not in done.stderr
    assert not (clone / ".venv" / ".installed").exists()


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES])
def test_a_clone_that_cannot_be_written_to_is_reported(code: int) -> None:
    sentence = install.explain_os_error(OSError(code, os.strerror(code)), Path("/srv/bitmill"))
    assert sentence == (
        f"/srv/bitmill cannot be written to ({os.strerror(code)}): everything is installed below it, so copy it to a "
        "folder of your own and repeat the command there."
    )


def test_a_read_only_clone_is_refused(clone: Path) -> None:
    if os.geteuid() == 0:  # whom no mode stops
        script = 'mount --bind . . && mount -o remount,bind,ro . && cd "$PWD" && exec "$@"'
        read_only = ["unshare", "--mount", "sh", "-c", script, "sh"]
        if _run(clone, *read_only, "true").returncode:
            pytest.skip("this root may not mount; the sentence itself is tested above")
    else:
        clone.chmod(0o555)
        read_only = []
    done = _run(clone, *read_only, sys.executable, "devtools/install.py")
    clone.chmod(0o755)
    assert (done.returncode, done.stderr.splitlines()) == (1, [done.stderr.strip()])
    assert "cannot be written to" in done.stderr


def test_two_installations_at_once_install_once(clone: Path) -> None:
    _fake_environment(clone, "echo run >> runs; sleep 1")
    commands = [[sys.executable, "devtools/install.py"]] * 2
    both = [subprocess.Popen(command, cwd=clone, stdout=subprocess.DEVNULL) for command in commands]
    assert [process.wait(300) for process in both] == [0, 0]
    assert (clone / "runs").read_text() == "run\n"


def test_pip_finds_no_headers_of_the_system(clone: Path) -> None:
    _fake_environment(clone, "echo $PKG_CONFIG_LIBDIR > seen")
    assert _install(clone).returncode == 0
    assert (clone / "seen").read_text() == "/nonexistent\n"


def test_commands_that_cannot_run_where_they_are_get_a_launcher(clone: Path) -> None:
    _fake_environment(clone, "exit 0")
    bin_ = clone / ".venv" / "bin"
    _program(bin_ / "python", '#!/bin/sh\necho "$@"\n')
    for name in ("bitmill", "ittybit"):  # as pip writes them: the shell cannot read the quotes in the path
        _program(bin_ / name, f"#!/bin/sh\n'''exec' \"{bin_}/python\" \"$0\" \"$@\"\n' '''\n")
    assert _install(clone).returncode == 0
    done = _run(clone, str(bin_ / "ittybit"), "video", "a file")
    assert done.stdout == "-P -m cli video a file\n"


def test_make_without_python_says_what_to_install(clone: Path) -> None:
    done = _run(clone, "make", "demo", "PYTHON=python-that-is-not-there")
    assert (
        "there is no python-that-is-not-there: install it (Debian and Ubuntu: apt install python3-venv)" in done.stderr
    )
    assert "make PYTHON=/path/to/python3.12 demo" in done.stderr


def test_make_works_in_a_folder_with_spaces_and_quotes(clone: Path) -> None:
    _program(clone / ".venv/bin/python", '#!/bin/sh\necho "$@"\n')
    (clone / ".venv" / ".installed").touch()
    assert _run(clone, "make", "up", "ARGS=--port 8081").stdout == "-m cli up --port 8081\n"
    assert _run(clone, "make", "demo").stdout == "-m devtools.demo\n"
    assert "-m pytest -m not slow and not media" in _run(clone, "make", "test").stdout
