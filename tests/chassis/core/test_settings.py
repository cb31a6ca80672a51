"""Settings from the environment, and the message for each wrong one."""

import os
from datetime import timedelta
from ipaddress import ip_network

import pytest
from pydantic import Field, SecretStr

from chassis.core.settings import CommonSettings, SettingInfo, SettingsError, describe, load


class Settings(CommonSettings):
    webhook_secret: SecretStr = Field(SecretStr("whsec_default"), min_length=5, title="Secret", description="Signs.")
    slots: int = Field(2, ge=1, title="Slots", description="How many jobs at a time.")


GOOD = {"DATABASE_URL": "postgresql://u:p@db/bitmill", "STORAGE_URL": "file:///var/lib/bitmill"}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    names = {info.env for info in describe(Settings)}
    for name in [name for name in os.environ if name.upper() in names]:
        monkeypatch.delenv(name)
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def problem(environment: pytest.MonkeyPatch, name: str, value: str) -> str:
    environment.setenv(name, value)
    with pytest.raises(SettingsError) as raised:
        load(Settings)
    assert len(raised.value.problems) == 1
    return raised.value.problems[0]


def test_overrides_take_precedence_over_the_environment(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("ALLOW_NET", "10.0.0.0/8, ::1")
    environment.setenv("SHUTDOWN_TIMEOUT", "500ms")
    environment.setenv("slots", "3")
    settings = load(Settings, http_port=0)
    assert settings.allow_net == (ip_network("10.0.0.0/8"), ip_network("::1/128"))
    assert settings.shutdown_timeout == timedelta(milliseconds=500)
    assert (settings.slots, settings.http_port) == (3, 0)


def test_name_servers_are_addresses_with_or_without_a_port(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("EGRESS_NAME_SERVERS", "10.0.0.53, [fd00::53]:5353,[fd00::54]")
    assert load(Settings).egress_name_servers == (("10.0.0.53", 53), ("fd00::53", 5353), ("fd00::54", 53))
    for wrong in ("dns.example", "10.0.0.53:port", "10.0.0.53:99999", "fd00::53"):
        assert "must be addresses" in problem(environment, "EGRESS_NAME_SERVERS", wrong)


def test_an_empty_variable_counts_as_not_set(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("HTTP_PORT", "")
    assert load(Settings).http_port == 8080


def test_files_are_delivered_from_the_public_url_by_default(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("PUBLIC_URL", "https://api.example.com/")
    assert load(Settings).delivery_base == "https://api.example.com"
    environment.setenv("DELIVERY_URL", "https://cdn.example.com")
    assert load(Settings).delivery_base == "https://cdn.example.com"


def test_all_wrong_settings_are_reported_together(environment: pytest.MonkeyPatch) -> None:
    environment.delenv("DATABASE_URL")
    environment.setenv("SLOTS", "0")
    environment.setenv("HTTP_PORT", "eighty")
    with pytest.raises(SettingsError) as raised:
        load(Settings)
    assert sorted(line.split()[0] for line in str(raised.value).splitlines()) == ["DATABASE_URL", "HTTP_PORT", "SLOTS"]


def test_a_missing_setting_is_reported_with_its_description(environment: pytest.MonkeyPatch) -> None:
    environment.delenv("STORAGE_URL")
    with pytest.raises(SettingsError, match=r"^STORAGE_URL is required. Storage: Where files are kept"):
        load(Settings)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("HTTP_PORT", "eighty", "HTTP_PORT must be a whole number (it is 'eighty')."),
        ("HTTP_PORT", "70000", "HTTP_PORT must be at most 65535 (it is '70000')."),
        ("SLOTS", "0", "SLOTS must be at least 1 (it is '0')."),
        ("LOG_LEVEL", "loud", "LOG_LEVEL must be one of 'debug', 'info', 'warning', 'error' (it is 'loud')."),
        ("PUBLIC_URL", "ftp://x", "PUBLIC_URL must be a http:// or https:// address with a host (it is 'ftp://x')."),
        ("STORAGE_URL", "./files", "STORAGE_URL must be file:///an/absolute/folder or s3://bucket/prefix"),
        ("SHUTDOWN_TIMEOUT", "soon", "SHUTDOWN_TIMEOUT must be a duration such as 500ms, 8s, 2m, 1h or 1d"),
        ("SHUTDOWN_TIMEOUT", "99999999999999d", "SHUTDOWN_TIMEOUT must be at most 36500d"),
        ("ALLOW_NET", "10.0.0.0/99", "ALLOW_NET must be networks such as 10.0.0.0/8, separated by commas"),
    ],
)
def test_a_wrong_setting_has_a_message(environment: pytest.MonkeyPatch, name: str, value: str, sentence: str) -> None:
    assert problem(environment, name, value).startswith(sentence)


def test_a_wrong_url_is_shown_without_its_password(environment: pytest.MonkeyPatch) -> None:
    shown = problem(environment, "DATABASE_URL", "mysql://root:hunter2@db/bitmill")
    assert shown.startswith("DATABASE_URL must be a postgresql:// or postgres:// address with a host")
    assert "hunter2" not in shown
    assert "db/bitmill" in shown


def test_a_wrong_secret_is_not_shown(environment: pytest.MonkeyPatch) -> None:
    shown = problem(environment, "WEBHOOK_SECRET", "abc")
    assert shown.startswith("WEBHOOK_SECRET must have at least 5 characters")
    assert "'abc'" not in shown


def test_every_setting_is_described() -> None:
    infos = {info.env: info for info in describe(Settings)}
    assert all(info.title and info.description for info in infos.values())
    assert infos["SLOTS"] == SettingInfo("SLOTS", "Slots", "How many jobs at a time.", "whole number", "2", False)
    assert infos["DATABASE_URL"].default is None
    assert infos["SHUTDOWN_TIMEOUT"].default == "8s"
    assert infos["EGRESS_NAME_SERVERS"].type == "addresses"
    assert (infos["WEBHOOK_SECRET"].secret, infos["WEBHOOK_SECRET"].default) == (True, "***")
