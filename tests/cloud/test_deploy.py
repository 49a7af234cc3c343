"""The files in deploy/ mean something: known settings, ports and secrets that fit, the rules of docs/scale.md."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from mnemon_cloud import settings

DEPLOY = Path(__file__).parents[2] / "deploy"
CLOUD, MODELS = "kubernetes/cloud.yaml", ("kubernetes/vllm.yaml", "kubernetes/ray-serve.yaml")
FILES = (CLOUD, "kubernetes/network.yaml", "kubernetes/postgres.yaml", *MODELS)


def documents(name: str) -> list[dict[str, Any]]:
    return [d for d in yaml.safe_load_all((DEPLOY / name).read_text("utf-8")) if d]


def one(kind: str, name: str = CLOUD) -> dict[str, Any]:
    (found,) = [d for d in documents(name) if d["kind"] == kind]
    return found


def compose() -> dict[str, Any]:
    return documents("compose.yaml")[0]


def containers() -> list[dict[str, Any]]:
    """Every container of every manifest, those of Ray's groups too."""
    found: list[dict[str, Any]] = []

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            found.extend(node.get("containers", []))
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    for name in FILES:
        walk(documents(name))
    return found


@pytest.fixture(params=["compose", "kubernetes"])
def environment(request: pytest.FixtureRequest) -> dict[str, str]:
    if request.param == "compose":
        found = compose()["services"]["cloud"]["environment"]
        return {key: re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value) for key, value in found.items()}
    return dict(one("ConfigMap")["data"])


def loaded(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> settings.Settings:
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    return settings.load(tmp_path / "none.toml")


def test_the_settings_are_ones_the_server_knows_and_takes(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    known = {
        f"MNEMON_CLOUD_{section}_{key}".upper()
        for section in settings.Settings.__dataclass_fields__
        for key in getattr(settings.Settings(), section).__dataclass_fields__
    }
    ours = {key for key in environment if key.startswith("MNEMON_")}
    assert ours - known <= {"MNEMON_CLOUD_HOME"}
    found = loaded(environment, monkeypatch, tmp_path)
    assert found.engine.kind == "openai"
    assert found.storage.url == "postgresql://mnemon@postgres/mnemon"
    assert "@" in found.storage.url
    assert ":" not in found.storage.url.split("//")[1].split("@")[0], "a password"


def test_answers_have_time_to_end_before_the_process_is_killed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pod = one("Deployment")["spec"]["template"]["spec"]
    drain = loaded(dict(one("ConfigMap")["data"]), monkeypatch, tmp_path).server.drain_seconds
    wait = int(pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pod["terminationGracePeriodSeconds"] > drain + wait
    cloud = compose()["services"]["cloud"]
    grace = int(cloud["stop_grace_period"].removesuffix("s"))
    assert grace > float(cloud["environment"]["MNEMON_CLOUD_SERVER_DRAIN_SECONDS"])


def test_the_model_behind_is_the_one_that_is_asked_for_and_keeps_no_log(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = loaded(dict(one("ConfigMap")["data"]), monkeypatch, tmp_path).engine
    vllm = one("Deployment", MODELS[0])["spec"]["template"]["spec"]["containers"][0]
    assert f"--model={found.model}" in vllm["args"]
    assert f"--max-model-len={found.window}" in vllm["args"]
    assert "--no-enable-log-requests" in vllm["args"]
    (most,) = [int(a.partition("=")[2]) for a in vllm["args"] if a.startswith("--max-num-seqs=")]
    replicas = one("Deployment")["spec"]["replicas"]
    assert most >= found.parallel * replicas, "questions would wait where nothing bounds the queue"
    serve = yaml.safe_load(one("RayService", MODELS[1])["spec"]["serveConfigV2"])
    (model,) = serve["applications"][0]["args"]["llm_configs"]
    assert model["model_loading_config"]["model_id"] == found.model
    assert model["engine_kwargs"]["max_model_len"] == found.window
    assert "--no-enable-log-requests" in compose()["services"]["vllm"]["command"]


def test_names_and_ports_of_services_fit_those_who_call_them(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = loaded(environment, monkeypatch, tmp_path)
    host, port = re.match(r"http://([^:/]+):(\d+)/v1$", found.engine.url).groups()  # type: ignore[union-attr]
    if host == "vllm":
        assert f"--port={port}" in compose()["services"]["vllm"]["command"]
        assert compose()["services"]["cloud"]["ports"] == [f"8443:{found.server.listen.rpartition(':')[2]}"]
        return
    for name in MODELS:
        service = one("Service", name)
        assert (service["metadata"]["name"], service["spec"]["ports"][0]["port"]) == (host, int(port))
    pod = one("Deployment")["spec"]["template"]
    ports = {p["name"]: p["containerPort"] for p in pod["spec"]["containers"][0]["ports"]}
    listens = {"grpc": found.server.listen, "metrics": found.server.metrics}
    assert ports == {name: int(address.rpartition(":")[2]) for name, address in listens.items()}
    assert pod["metadata"]["annotations"]["prometheus.io/port"] == str(ports["metrics"])
    assert one("Service", "kubernetes/postgres.yaml")["metadata"]["name"] == "postgres"


def test_every_container_is_bounded_probed_and_pinned() -> None:
    assert len(containers()) == 5
    for container in containers():
        resources = container["resources"]
        assert {"cpu", "memory"} <= resources["requests"].keys() & resources["limits"].keys(), container["name"]
        assert re.search(r":v?\d+\.\d+", container["image"]), container["image"]
        if not container["name"].startswith("ray"):  # the operator probes those itself
            assert {"readinessProbe", "livenessProbe"} <= container.keys(), container["name"]
    for name, service in compose()["services"].items():
        assert {"healthcheck", "mem_limit", "cpus", "restart"} <= service.keys(), name
        assert re.search(r":v?\d+\.\d+", service["image"]), service["image"]


def test_secrets_come_by_reference_and_all_are_explained() -> None:
    page = (DEPLOY.parent / "docs" / "scale.md").read_text("utf-8")
    text = "\n".join((DEPLOY / name).read_text("utf-8") for name in (*FILES, "compose.yaml"))
    assert "kind: Secret" not in text
    for name in set(re.findall(r"secretName: ([\w-]+)|secretKeyRef: {name: ([\w-]+)", text)):
        assert f"create secret generic {''.join(name)} " in page, name
    for container in containers():
        for entry in container.get("env", []):
            if re.search("PASSWORD|KEY|TOKEN", entry["name"]):
                assert "valueFrom" in entry, entry
    for secret in compose()["secrets"].values():
        assert secret["file"].removeprefix("./") in page
    for command in re.findall(r"^(?:\S+ exec .*)?mnemon-cloud (\w+)", page, re.MULTILINE):
        from mnemon_cloud.commands import cli

        assert command in cli.commands, command


def test_nothing_but_the_door_is_reachable() -> None:
    policies = {d["metadata"]["name"]: d["spec"] for d in documents("kubernetes/network.yaml")}
    assert policies["closed"] == {"podSelector": {}, "policyTypes": ["Ingress"]}
    behind = policies["behind"]["podSelector"]["matchExpressions"][0]["values"]
    labels = {c["metadata"]["labels"]["app"] for c in pods()}
    assert labels == {*behind, "mnemon-cloud"}
    assert [n for n, s in compose()["services"].items() if "ports" in s or "outside" in s["networks"]] == ["cloud"]


def pods() -> list[dict[str, Any]]:
    found = []
    for name in FILES:
        for document in documents(name):
            spec = document.get("spec", {})
            if "template" in spec:
                found.append(spec["template"])
            if "rayClusterConfig" in spec:
                cluster = spec["rayClusterConfig"]
                found += [cluster["headGroupSpec"]["template"]]
                found += [group["template"] for group in cluster["workerGroupSpecs"]]
    return found
