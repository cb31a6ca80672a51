"""`bitmill up` with addresses that it cannot listen on: one sentence and no traceback."""

import socket
from pathlib import Path

import pytest

from chassis.core.encryption import parse_keys
from cli.__main__ import main
from cli.up import merged_keys


def _refused(arguments: list[str], data: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What it prints before anything is started."""
    try:
        status = main(["up", "--data", str(data), *arguments])
    except SystemExit as exit:
        status = int(str(exit.code))
    assert status == 2
    return capsys.readouterr().err


@pytest.mark.parametrize("port", ["99999", "65536", "-1", "eighty"])
def test_a_port_that_does_not_exist_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], port: str) -> None:
    message = _refused([f"--port={port}"], tmp_path, capsys).splitlines()[-1]
    assert message.endswith(f"argument --port: must be a number from 0 to 65535, not '{port}'")


def test_a_port_that_is_taken_is_named_with_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        message = _refused([f"--port={port}"], tmp_path, capsys)
    expected = f"bitmill: cannot listen on 127.0.0.1:{port}: Address already in use; choose another with --port\n"
    assert message == expected


def test_an_address_of_another_machine_is_refused_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    message = _refused(["--host=192.0.2.1", "--port=0"], tmp_path, capsys)
    assert message.startswith("bitmill: cannot listen on 192.0.2.1:0: ")
    assert message.endswith("; choose another with --host\n")
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("--allow-net=10.0.0.1/8", "--allow-net must be networks such as 10.0.0.0/8"),
        ("--public-url=media.example.com", "--public-url must be a http:// or https:// address with a host"),
    ],
)
def test_a_wrong_address_is_refused_by_the_name_of_its_option_before_anything_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], argument: str, words: str
) -> None:
    message = _refused([argument, "--port=0"], tmp_path / "data", capsys)
    assert message.startswith(f"bitmill: {words}")
    assert len(message.splitlines()) == 1
    assert not (tmp_path / "data").exists()


def test_a_key_of_the_environment_does_not_replace_that_of_the_folder() -> None:
    """What is encrypted with the folder's key could not be read any more."""
    of_folder, of_shell = merged_keys(None, None), merged_keys("", None)
    assert len(parse_keys(of_folder)) == 1
    assert of_folder != of_shell
    assert merged_keys(None, of_folder) == of_folder
    both = merged_keys(of_shell, of_folder)
    assert both == f"{of_shell},{of_folder}"
    assert merged_keys(None, both) == both
    assert merged_keys(of_folder, both) == f"{of_folder},{of_shell}"
