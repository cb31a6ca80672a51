"""What compose.yaml refers to exists: volumes, files, ports, roles, variables; and the values in it are valid."""

import re
from ipaddress import ip_address, ip_network
from typing import Any
from urllib.parse import urlsplit

import pytest

from cli.migrate import service_roles, spec_of
from schemas.topics import SERVICES
from tests.contracts.deploy_files import DEPLOY, HTTP_PORT, VARIABLES, compose, load_settings, required_variables


def test_images_and_nginx_listen_on_the_port_of_the_manifests() -> None:
    dockerfile, nginx = (DEPLOY / "Dockerfile").read_text(), (DEPLOY / "gateway" / "nginx.conf").read_text()
    assert re.findall(r"HTTP_PORT=(\d+)", dockerfile) == re.findall(r"^EXPOSE (\d+)", dockerfile, re.MULTILINE)
    assert re.findall(r"HTTP_PORT=(\d+)", dockerfile) == re.findall(r"listen (\d+);", nginx) == [str(HTTP_PORT)]
    for file in (DEPLOY / "gateway").glob("upstreams.*.conf"):
        assert set(re.findall(r"server \w+:(\d+)", file.read_text())) == {str(HTTP_PORT)}
    [published] = compose(VARIABLES)["services"]["gateway"]["ports"]
    assert published == f"127.0.0.1:8080:{HTTP_PORT}"


@pytest.mark.parametrize("service", SERVICES)
def test_every_value_in_compose_is_valid_for_its_setting(service: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_settings(service, compose(VARIABLES)["services"][service]["environment"], monkeypatch)
    assert settings.storage_url == "file:///data/files"


def test_migrate_makes_the_roles_with_which_the_services_of_compose_connect() -> None:
    services = compose(VARIABLES)["services"]
    environment = services["migrate"]["environment"]
    roles = {role.schema: role for role in service_roles([spec_of(name) for name in SERVICES], environment)}
    assert set(roles) == set(SERVICES)
    for service, role in roles.items():
        address = urlsplit(services[service]["environment"]["DATABASE_URL"])
        assert (role.name, role.password) == (address.username, address.password)
        assert (address.hostname, address.path) == (
            "postgres",
            "/" + services["postgres"]["environment"]["POSTGRES_DB"],
        )
    owner = urlsplit(environment["ADMIN_DATABASE_URL"])
    given = services["postgres"]["environment"]
    assert (owner.username, owner.password) == (given["POSTGRES_USER"], given["POSTGRES_PASSWORD"])


def test_every_volume_and_file_of_compose_is_there() -> None:
    document = compose(VARIABLES)
    used = set()
    for name, service in document["services"].items():
        for volume in service.get("volumes", []):
            source, _, _ = volume.partition(":")
            if source.startswith("."):
                assert (DEPLOY / source).is_file(), (name, source)
            else:
                used.add(source)
        if "build" in service:
            assert (DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]).is_file()
        for file in service.get("env_file", []):
            assert not file["required"] or (DEPLOY / file["path"]).is_file()
    assert used == set(document["volumes"])


def test_every_file_service_of_compose_has_the_folders_of_its_settings_on_a_volume() -> None:
    services = compose(VARIABLES)["services"]
    for service in SERVICES:
        environment = services[service]["environment"]
        folders = [urlsplit(environment["STORAGE_URL"]).path, *filter(None, [environment.get("WORK_DIR")])]
        targets = [volume.split(":")[1] for volume in services[service]["volumes"]]
        assert sorted(folders) == sorted(targets)


def test_kafka_and_the_gateway_of_compose_have_the_addresses_that_others_use() -> None:
    document = compose(VARIABLES)
    services = document["services"]
    kafka = services["kafka"]["environment"]
    used = {services[service]["environment"]["KAFKA_BOOTSTRAP_SERVERS"] for service in SERVICES}
    assert {f"PLAINTEXT://{address}" for address in used} == {kafka["KAFKA_ADVERTISED_LISTENERS"]}
    port = kafka["KAFKA_ADVERTISED_LISTENERS"].rpartition(":")[2]
    assert f"PLAINTEXT://:{port}" in kafka["KAFKA_LISTENERS"].split(",")
    assert str(services["kafka"]["healthcheck"]["test"]).count(f"/{port}") == 1
    gateway = services["gateway"]["networks"]["default"]["ipv4_address"]
    [network] = document["networks"]["default"]["ipam"]["config"]
    assert ip_address(gateway) in ip_network(network["subnet"])
    assert services["catalog"]["environment"]["TRUSTED_PROXIES"] == gateway
    [health] = [word for word in services["gateway"]["healthcheck"]["test"] if word.startswith("http")]
    assert urlsplit(health).port == HTTP_PORT


def test_the_commands_of_the_readme_make_every_variable_without_which_compose_does_not_start() -> None:
    text = (DEPLOY / "README.md").read_text()
    loop = re.search(r"for name in (.*?); do\s+printf '%s_PASSWORD=", text, re.DOTALL)
    assert loop
    made = {f"{name}_PASSWORD" for name in loop[1].replace("\\", "").split()}
    made |= set(re.findall(r"(\w+)=(?:whsec_)?%s\\n", text))
    assert required_variables() <= made
