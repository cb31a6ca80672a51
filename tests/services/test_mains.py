"""Every service is started alike, and says in a sentence what is wrong with its settings."""

from importlib import import_module

import pytest

SERVICES = ["ingest", "transcoder", "thumbnailer", "catalog", "notifier"]


@pytest.mark.parametrize("service", SERVICES)
def test_a_wrong_setting_is_a_sentence_and_not_a_traceback(
    service: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", "")
    with pytest.raises(SystemExit) as ended:
        import_module(f"services.{service}.__main__").main()
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("DATABASE_URL is required.")
    assert "Traceback" not in said
