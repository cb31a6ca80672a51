"""The files in `deploy` fit the services: their settings, the gateway rule, one image for each."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, get_args

import pytest
import yaml

from chassis.core.setting_types import duration
from chassis.core.settings import describe
from chassis.runtime.service_app import ServiceApp
from chassis.runtime.signals import DEADLINE_SECONDS
from cli.gateway import Settings as GatewaySettings
from cli.gateway import upstream
from cli.service_commands import settings_class
from schemas.faults import RequestFault
from schemas.topics import SERVICES
from tests.contracts.deploy_files import DEPLOY, MANIFESTS, compose, documents, named

LIBRARY_VARIABLES = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "FFMPEG_BINARY"}
"""Read by libraries and not by our settings classes."""


def known(service: Any) -> set[str]:
    return {info.env for info in describe(settings_class(service))} | LIBRARY_VARIABLES


def required(service: Any) -> set[str]:
    return {info.env for info in describe(settings_class(service)) if info.default is None}


def needed(service: Any) -> set[str]:
    """Settings without which the service does not start."""
    cls = settings_class(service)
    fields = {name.upper(): field for name, field in cls.model_fields.items()}
    return {env for env in required(service) if fields[env].is_required()}


def test_every_yaml_file_parses_and_nothing_is_named_twice() -> None:
    for path in [DEPLOY / "compose.yaml", DEPLOY / "kustomization.yaml", *MANIFESTS]:
        names = [(document.get("kind"), str(document.get("metadata"))) for document in documents(path)]
        assert names
        assert len(names) == len(set(names))


@pytest.mark.parametrize("service", SERVICES)
def test_compose_sets_only_settings_of_the_service_and_all_required_ones(service: Any) -> None:
    environment = compose()["services"][service]["environment"]
    assert set(environment) <= known(service)
    assert needed(service) <= set(environment)
    assert compose()["services"][service]["build"]["args"] == {"SERVICE": service}


def test_every_dependency_in_compose_waits_for_health() -> None:
    services = compose()["services"]
    for name, service in services.items():
        built = "build" in service  # the image has its own
        assert built or "healthcheck" in service, name
        for on, condition in service.get("depends_on", {}).items():
            assert on in services
            ends = "completed_successfully" if on == "migrate" else "healthy"
            assert condition == {"condition": f"service_{ends}"}


def environment_of(container: Mapping[str, Any], maps: Mapping[str, Any], secrets: Mapping[str, Any]) -> Iterator[str]:
    for source in container.get("envFrom", []):
        if "configMapRef" in source:
            yield from maps[source["configMapRef"]["name"]]["data"]
        else:
            yield from secrets[source["secretRef"]["name"]]["stringData"]
    for variable in container.get("env", []):
        yield variable["name"]
        if "value" in variable:
            continue
        reference = variable["valueFrom"]["secretKeyRef"]
        assert reference["key"] in secrets[reference["name"]]["stringData"]


@pytest.mark.parametrize("service", SERVICES)
def test_a_deployment_sets_only_settings_of_its_service_and_all_required_ones(service: Any) -> None:
    deployment = named("Deployment")[service]
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    environment = set(environment_of(container, named("ConfigMap"), named("Secret")))
    assert environment <= known(service)
    assert needed(service) <= environment


def user_of(address: str) -> str:
    """The user in an address, whose password may be a variable of compose with a message."""
    found = re.match(r"postgresql://(\w+):", address)
    assert found
    return found[1]


def test_in_compose_each_service_has_a_role_of_its_own_and_only_migrate_has_the_owner_s() -> None:
    services = compose()["services"]
    migrate = services["migrate"]
    assert migrate["entrypoint"] + migrate["command"] == ["bitmill", "migrate", "--roles"]
    owner = user_of(migrate["environment"]["ADMIN_DATABASE_URL"])
    for service in SERVICES:
        environment = services[service]["environment"]
        assert environment["DATABASE_URL"] == migrate["environment"][f"{service.upper()}_DATABASE_URL"]
        assert user_of(environment["DATABASE_URL"]) == f"bitmill_{service}"
        assert environment["MIGRATE_ON_START"] == "false"
        assert services[service]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
        assert "POSTGRES_PASSWORD" not in str(services[service])
    assert owner == services["postgres"]["environment"]["POSTGRES_USER"] == "bitmill"


@pytest.mark.parametrize("service", SERVICES)
def test_a_deployment_has_a_role_of_its_own_and_only_its_init_container_the_owner_s(service: Any) -> None:
    pod = named("Deployment")[service]["spec"]["template"]["spec"]
    [init], [container] = pod["initContainers"], pod["containers"]
    assert init["image"] == container["image"]
    assert init["command"] == ["bitmill", "migrate", service, "--roles"]
    secrets = {variable["name"]: variable["valueFrom"]["secretKeyRef"] for variable in init["env"]}
    own = {"name": f"bitmill-database-{service}", "key": "url"}
    admin = {"name": "bitmill-database-admin", "key": "url"}
    assert secrets == {"ADMIN_DATABASE_URL": admin, f"{service.upper()}_DATABASE_URL": own}
    assert {"name": "DATABASE_URL", "valueFrom": {"secretKeyRef": own}} in container["env"]
    used = re.findall(r"bitmill-database-[a-z]+", str(container))
    assert set(used) == {own["name"]}
    assert named("ConfigMap")["bitmill"]["data"]["MIGRATE_ON_START"] == "false"
    users = [user_of(named("Secret")[each["name"]]["stringData"]["url"]) for each in (own, admin)]
    assert users == [f"bitmill_{service}", "bitmill"]


@pytest.mark.parametrize("service", SERVICES)
def test_a_deployment_is_probed_confined_and_reachable(service: Any) -> None:
    deployment = named("Deployment")[service]
    pod = deployment["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert container["livenessProbe"]["httpGet"]["path"] == "/livez"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["image"] == f"bitmill-{service}"
    assert deployment["spec"]["selector"]["matchLabels"] == deployment["spec"]["template"]["metadata"]["labels"]
    assert named("Service")[service]["spec"]["selector"] == {"app": service}


def test_workers_are_scaled_by_the_seconds_of_work_in_their_own_job_queue() -> None:
    scaled = named("ScaledObject")
    assert set(scaled) == {"transcoder", "thumbnailer"}
    for name, document in scaled.items():
        assert document["spec"]["scaleTargetRef"]["name"] == name
        [trigger] = document["spec"]["triggers"]
        assert f"FROM {name}.job_queue" in trigger["metadata"]["query"]
        assert trigger["authenticationRef"]["name"] in named("TriggerAuthentication")


@pytest.mark.parametrize("service", ["transcoder", "thumbnailer"])
def test_a_worker_that_is_scaled_down_has_the_time_to_finish_its_work(service: Any) -> None:
    pod = named("Deployment")[service]["spec"]["template"]["spec"]
    variables = {entry["name"]: entry.get("value") for entry in pod["containers"][0]["env"]}
    drains = duration(variables["DRAIN_TIMEOUT"]).total_seconds()
    assert drains >= 3600
    assert pod["terminationGracePeriodSeconds"] >= drains + DEADLINE_SECONDS


def test_all_replicas_at_their_maximum_stay_within_the_connections_that_the_readme_asks_for() -> None:
    most = 0
    for service in SERVICES:
        scaled = named("ScaledObject").get(service)
        replicas = scaled["spec"]["maxReplicaCount"] if scaled else named("Deployment")[service]["spec"]["replicas"]
        most += replicas * connections(service)
    asked = re.search(r"`max_connections` of at least (\d+)", (DEPLOY / "README.md").read_text())
    assert asked
    # Three are reserved for superusers, and a deployment that is replaced has up to a quarter more replicas.
    assert most * 1.25 + 3 <= int(asked[1])


def test_the_postgres_of_compose_has_connections_for_every_service() -> None:
    assert sum(connections(service) for service in SERVICES) + 3 <= 100, "Postgres' default"


def connections(service: Any) -> int:
    """The most connections that a process of the service opens: its pool, and that for the catalog's requests."""
    module = import_module(f"services.{service}.app")
    apps = (each for each in vars(module).values() if isinstance(each, type) and issubclass(each, ServiceApp))
    [app] = [each for each in apps if each.__module__ == module.__name__]
    queries = settings_class(service).model_fields.get("catalog_connections")
    return int(app.spec.pool_size + (queries.default if queries else 0))


def test_the_kustomization_names_every_manifest_but_the_example_secret() -> None:
    [kustomization] = documents(DEPLOY / "kustomization.yaml")
    resources = {DEPLOY / name for name in kustomization["resources"]}
    assert resources == {path for path in MANIFESTS if path.name != "secret.example.yaml"}
    assert {image["name"] for image in kustomization["images"]} == {f"bitmill-{service}" for service in SERVICES}
    for generator in kustomization["configMapGenerator"]:
        assert all((DEPLOY / name.rpartition("=")[2]).is_file() for name in generator["files"])


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_kustomize_accepts_the_manifests() -> None:
    made = subprocess.run(["kubectl", "kustomize", str(DEPLOY)], capture_output=True, text=True, timeout=60)
    assert made.returncode == 0, made.stderr
    assert len(list(yaml.safe_load_all(made.stdout))) >= 16


def test_nginx_and_the_python_gateway_have_the_same_rule() -> None:
    text = (DEPLOY / "gateway" / "nginx.conf").read_text()
    found = re.search(r"map \$request_method \$by_method \{(.*?)\}", text, re.DOTALL)
    assert found
    rule = dict(line.rstrip(";").split() for line in found[1].strip().splitlines() for line in [line.strip()])
    settings = GatewaySettings(ingest_url="ingest", catalog_url="catalog", notifier_url="notifier")
    for method in ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"):
        assert rule.get(method, rule["default"]) == upstream(settings, method, "/jobs")
    for path in re.findall(r"location (?:= )?(/webhooks/?) \{\s*proxy_pass http://notifier;", text):
        assert upstream(settings, "GET", path) == "notifier"
    ingest = re.findall(r"location (?:= )?(/connections/?) \{\s*proxy_pass http://ingest;", text)
    assert [upstream(settings, "GET", path) for path in ingest] == ["ingest"] * 2
    size = re.search(r"client_max_body_size (\d+)m;", text)
    assert size
    assert int(size[1]) > 1


def test_errors_of_nginx_itself_have_the_shape_of_the_services() -> None:
    text = (DEPLOY / "gateway" / "nginx.conf").read_text()
    locations = [block for block in text.split("location ") if "internal;" in block.split("}")[0] + "}"]
    answered = {}
    for block in locations:
        found = re.search(r"return (\d+) '(\{.*\})';", block)
        assert found, block
        body = json.loads(found[2])
        assert (set(body), body["request_id"]) == ({"kind", "message", "request_id"}, "req_$request_id")
        assert body["kind"] in get_args(RequestFault)
        assert 'add_header X-Request-Id "req_$request_id" always;' in block
        answered[int(found[1])] = body["kind"]
    assert answered == {
        400: "invalid_http",
        405: "method_not_allowed",
        413: "payload_too_large",
        500: "internal_error",
        503: "unavailable",
    }
    handled = {int(code) for codes in re.findall(r"error_page ([\d ]+?) [=@]", text) for code in codes.split()}
    assert handled >= {400, 405, 413, 414, 431, 500, 502, 504}


@pytest.mark.parametrize("where", ["compose", "kubernetes"])
def test_the_gateway_finds_each_service_that_its_rule_names(where: str) -> None:
    rule = (DEPLOY / "gateway" / "nginx.conf").read_text()
    upstreams = (DEPLOY / "gateway" / f"upstreams.{where}.conf").read_text()
    found = dict(re.findall(r"upstream (\w+) \{.*?server (\w+):8080", upstreams, re.DOTALL))
    assert found == {name: name for name in ("ingest", "catalog", "notifier")}
    assert "include /etc/nginx/upstreams.conf;" in rule
    assert ("resolver 127.0.0.11" in upstreams) is (upstreams.count(":8080 resolve;") == 3) is (where == "compose")


def test_the_image_can_be_built_for_every_service_and_contains_no_secret() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    for service in SERVICES:
        assert service in text
    assert "USER 10001" in text
    assert not re.search(r"^(ENV|ARG).*(SECRET|PASSWORD|TOKEN)", text, re.MULTILINE)
