"""What the manifests refer to exists: secrets, volumes, ports, roles, users; and the values in them are valid."""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import pytest

from cli.args import parser
from cli.migrate import service_roles, spec_of
from schemas.topics import SERVICES
from tests.contracts.deploy_files import (
    DEPLOY,
    HTTP_PORT,
    VARIABLES,
    containers,
    documents,
    load_settings,
    named,
)


def deployments() -> dict[str, dict[str, Any]]:
    return named("Deployment")


def references(container: Mapping[str, Any]) -> Iterator[tuple[str, str, str | None]]:
    """Kind and name of each secret or config map of a container's environment, and the key (None: all keys)."""
    for source in container.get("envFrom", []):
        for field, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
            if field in source:
                yield kind, source[field]["name"], None
    for variable in container.get("env", []):
        for field, reference in variable.get("valueFrom", {}).items():
            kind = {"secretKeyRef": "Secret", "configMapKeyRef": "ConfigMap"}[field]
            yield kind, reference["name"], reference["key"]


def content(kind: str, name: str) -> Mapping[str, str]:
    """The keys and values of a secret of the example, or of a config map."""
    found = named(kind)[name]
    return dict(found["stringData" if kind == "Secret" else "data"])


def generated_config_maps() -> dict[str, set[str]]:
    """The keys of each config map that kustomize makes of files."""
    [kustomization] = documents(DEPLOY / "kustomization.yaml")
    return {
        each["name"]: {file.partition("=")[0].rpartition("/")[2] for file in each["files"]}
        for each in kustomization["configMapGenerator"]
    }


def environment_of(container: Mapping[str, Any]) -> dict[str, str]:
    """The environment of a container with the values of the example secrets, filled in."""
    found: dict[str, str] = {}
    for kind, name, key in references(container):
        if key is None:
            found |= content(kind, name)
    for variable in container.get("env", []):
        if "value" in variable:
            found[variable["name"]] = variable["value"]
            continue
        [reference] = variable["valueFrom"].values()
        found[variable["name"]] = content("Secret", reference["name"])[reference["key"]]
    return found | {name: VARIABLES[name] for name in VARIABLES if name in found}


def test_every_secret_and_config_map_that_a_container_refers_to_is_defined_and_used() -> None:
    used: set[tuple[str, str, str]] = set()
    for deployment in deployments().values():
        for container in containers(deployment):
            for kind, name, key in references(container):
                keys = content(kind, name)
                assert key is None or key in keys, (name, key)
                used |= {(kind, name, each) for each in ([key] if key else keys)}
    for authentication in named("TriggerAuthentication").values():
        for target in authentication["spec"]["secretTargetRef"]:
            assert target["key"] in content("Secret", target["name"])
    given = {("Secret", name, key) for name in named("Secret") for key in content("Secret", name)}
    assert given - used == set(), "secrets that nothing reads"


@pytest.mark.parametrize("name", sorted(named("Deployment")))
def test_every_volume_of_a_deployment_is_defined_mounted_and_has_its_files(name: str) -> None:
    deployment = deployments()[name]
    volumes = {volume["name"]: volume for volume in deployment["spec"]["template"]["spec"]["volumes"]}
    mounted = [mount for container in containers(deployment) for mount in container.get("volumeMounts", [])]
    assert {mount["name"] for mount in mounted} == set(volumes)
    files = generated_config_maps()
    for mount in mounted:
        source = volumes[mount["name"]].get("configMap")
        if source is not None:
            assert mount["subPath"] in files[source["name"]]
        # The root is read-only: a container can write into its volumes only.
        assert source is not None or "emptyDir" in volumes[mount["name"]]


@pytest.mark.parametrize("name", sorted(named("Deployment")))
def test_probes_services_and_annotations_name_the_port_on_which_the_container_listens(name: str) -> None:
    deployment = deployments()[name]
    pod = deployment["spec"]["template"]
    [container] = pod["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"http": HTTP_PORT}
    probes = [container[probe] for probe in container if probe.endswith("Probe")]
    assert len(probes) >= 2
    for probe in probes:
        assert (probe.get("httpGet") or probe["tcpSocket"])["port"] in ports
    service = named("Service")[name]
    [port] = service["spec"]["ports"]
    assert port["targetPort"] in ports
    assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    if "prometheus.io/port" in pod["metadata"].get("annotations", {}):
        assert int(pod["metadata"]["annotations"]["prometheus.io/port"]) == HTTP_PORT
    if name in SERVICES and name in (DEPLOY / "gateway" / "upstreams.kubernetes.conf").read_text():
        assert port["port"] == HTTP_PORT, "nginx has it"


@pytest.mark.parametrize("service", SERVICES)
def test_every_value_in_a_deployment_is_valid_for_its_setting(service: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    [container] = deployments()[service]["spec"]["template"]["spec"]["containers"]
    # Logins are for a Kafka that has them: `optional` in the manifests.
    environment = {name: value for name, value in environment_of(container).items() if "SASL" not in name}
    settings = load_settings(service, environment, monkeypatch)
    assert settings.storage_url.startswith("s3://")


@pytest.mark.parametrize("service", SERVICES)
def test_migrate_makes_the_role_with_which_a_deployment_connects(service: Any) -> None:
    deployment = deployments()[service]
    init, container = containers(deployment)
    arguments = parser().parse_args(init["command"][1:])
    [role] = service_roles([spec_of(name) for name in arguments.service], environment_of(init))
    address = urlsplit(environment_of(container)["DATABASE_URL"])
    assert (role.name, role.password, role.schema) == (address.username, address.password, service)
    admin = urlsplit(environment_of(init)["ADMIN_DATABASE_URL"])
    assert (admin.hostname, admin.path) == (address.hostname, address.path)
    assert admin.username != address.username


@pytest.mark.parametrize("service", SERVICES)
def test_the_users_of_kafka_are_those_that_the_acls_are_granted_to(service: Any) -> None:
    principal = parser().parse_args(["kafka", "acls", service]).principal.replace("{role}", service)
    [container] = deployments()[service]["spec"]["template"]["spec"]["containers"]
    assert principal == f"User:{environment_of(container)['KAFKA_SASL_USERNAME']}"


def test_a_worker_is_scaled_with_the_role_that_can_read_its_job_queue() -> None:
    for name, scaled in named("ScaledObject").items():
        assert scaled["spec"]["scaleTargetRef"]["name"] in deployments()
        [trigger] = scaled["spec"]["triggers"]
        authentication = named("TriggerAuthentication")[trigger["authenticationRef"]["name"]]
        [target] = authentication["spec"]["secretTargetRef"]
        assert target["parameter"] == "connection"
        user = urlsplit(content("Secret", target["name"])[target["key"]]).username
        [container] = deployments()[name]["spec"]["template"]["spec"]["containers"]
        assert user == urlsplit(environment_of(container)["DATABASE_URL"]).username
