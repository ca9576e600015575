"""``deploy/kuberay``: what Kubernetes and KubeRay take, and true to the code and to ``ray_cluster.yaml``."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from parlor.settings import Settings
from tests.unit.test_cluster_files import SECRET, cluster_file, serve_file

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Ray's own models use what pydantic deprecates
    import ray
    from ray.serve.schema import ServeDeploySchema

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
BASE = ROOT / "deploy/kuberay/base"
FIELDS = {
    "spec": {
        *("rayClusterConfig", "serveConfigV2", "upgradeStrategy", "serveService", "suspend", "managedBy"),
        *("excludeHeadPodFromServeSvc", "rayClusterDeletionDelaySeconds"),
    },
    "spec.upgradeStrategy": {"type", "clusterUpgradeOptions"},
    "spec.rayClusterConfig": {
        *("rayVersion", "authOptions", "gcsFaultToleranceOptions", "enableInTreeAutoscaling", "autoscalerOptions"),
        *("headGroupSpec", "workerGroupSpecs", "headServiceAnnotations", "suspend", "managedBy", "upgradeStrategy"),
    },
    "spec.rayClusterConfig.authOptions": {"mode", "secretName", "enableK8sTokenAuth"},
    "spec.rayClusterConfig.gcsFaultToleranceOptions": {
        *("redisAddress", "redisUsername", "redisPassword", "externalStorageNamespace"),
    },
    "spec.rayClusterConfig.autoscalerOptions": {
        *("version", "upscalingMode", "idleTimeoutSeconds", "image", "imagePullPolicy", "resources", "env", "envFrom"),
        *("securityContext", "volumeMounts"),
    },
    "spec.rayClusterConfig.headGroupSpec": {
        *("rayStartParams", "template", "serviceType", "headService", "enableIngress", "resources", "labels"),
    },
    "spec.rayClusterConfig.workerGroupSpecs": {
        *("groupName", "replicas", "minReplicas", "maxReplicas", "idleTimeoutSeconds", "rayStartParams", "template"),
        *("numOfHosts", "scaleStrategy", "suspend", "resources", "labels", "priority"),
    },
}
"""The fields of KubeRay 1.5's RayService, as its CRD has them."""
PROBES = {"httpGet", "periodSeconds", "timeoutSeconds", "failureThreshold", "initialDelaySeconds", "successThreshold"}


@cache
def documents() -> list[dict[str, Any]]:
    """What the base is made of, file by file."""
    names = yaml.safe_load((BASE / "kustomization.yaml").read_text(encoding="utf-8"))["resources"]
    return [found for name in names for found in yaml.safe_load_all((BASE / name).read_text(encoding="utf-8"))]


def one(kind: str, name: str = "parlor") -> dict[str, Any]:
    (found,) = (each for each in documents() if (each["kind"], each["metadata"]["name"]) == (kind, name))
    return found


def cluster() -> dict[str, Any]:
    found: dict[str, Any] = one("RayService")["spec"]["rayClusterConfig"]
    return found


def groups() -> dict[str, dict[str, Any]]:
    return {group["groupName"]: group for group in cluster()["workerGroupSpecs"]}


def templates() -> dict[str, dict[str, Any]]:
    """The pods of each kind."""
    found = {name: group["template"] for name, group in groups().items()}
    found["migrate"] = one("Job", "parlor-migrate")["spec"]["template"]
    return {**found, "head": cluster()["headGroupSpec"]["template"]}


def settings_map() -> dict[str, str]:
    found: dict[str, str] = one("ConfigMap", "parlor-settings")["data"]
    return found


# Valid


def unknown(document: dict[str, Any]) -> list[str]:
    """The fields that KubeRay does not know."""
    wrong = []
    for path, known in FIELDS.items():
        parts: list[Any] = [document]
        for name in path.split("."):
            parts = [part[name] for part in parts]
            parts = [each for part in parts for each in (part if isinstance(part, list) else [part])]
        wrong += [f"{path}.{field}" for part in parts for field in part.keys() - known]
    return wrong


def test_kuberay_knows_every_field() -> None:
    assert unknown(one("RayService")) == []


def test_a_field_that_it_does_not_know_is_noticed() -> None:
    wrong = one("RayService")
    wrong["spec"]["rayClusterConfig"]["workerGroupSpecs"][1]["maxReplica"] = 3
    assert unknown(wrong) == ["spec.rayClusterConfig.workerGroupSpecs.maxReplica"]


def test_every_file_is_part_of_the_base_and_every_name_is_there_once() -> None:
    names = yaml.safe_load((BASE / "kustomization.yaml").read_text(encoding="utf-8"))["resources"]
    assert {*names, "kustomization.yaml"} == {path.name for path in BASE.iterdir()}
    found = [(each["kind"], each["metadata"]["name"]) for each in documents()]
    assert len(set(found)) == len(found)


def test_kustomize_renders_it_with_the_image_of_the_overlay() -> None:
    if (kubectl := shutil.which("kubectl")) is None:
        pytest.skip("there is no kubectl on PATH")
    done = subprocess.run([kubectl, "kustomize", BASE], check=True, timeout=60, capture_output=True, text=True)
    rendered = list(yaml.safe_load_all(done.stdout))
    assert {(each["kind"], each["metadata"]["name"]) for each in rendered} == {
        (each["kind"], each["metadata"]["name"]) for each in documents()
    }
    assert {each["metadata"].get("namespace") for each in rendered if each["kind"] != "Namespace"} == {"parlor"}
    assert set(re.findall(r"image: (.*)", done.stdout)) == {"registry.example/parlor:0.1.0"}


def test_ray_is_the_one_that_is_installed() -> None:
    assert cluster()["rayVersion"] == ray.__version__


# The application


def test_serve_gets_what_the_serve_file_has() -> None:
    config = ServeDeploySchema.model_validate(yaml.safe_load(one("RayService")["spec"]["serveConfigV2"]))
    assert config.model_dump(exclude_unset=True) == serve_file().model_dump(exclude_unset=True)


def test_replicas_rooms_and_writers_have_a_group_each() -> None:
    def resources(params: dict[str, str]) -> dict[str, int]:
        # In quotes for the shell that KubeRay starts Ray with.
        own = json.loads(json.loads(params.get("resources", '"{}"')))
        return {kind: count for kind, count in {"CPU": int(params["num-cpus"]), **own}.items() if count}

    types = cluster_file()["available_node_types"]
    expected = {name: {k: v for k, v in node["resources"].items() if v} for name, node in types.items()}
    found = {name: resources(group["rayStartParams"]) for name, group in groups().items()}
    assert {**found, "head": resources(cluster()["headGroupSpec"]["rayStartParams"])} == expected


def test_the_least_pools_fit_into_the_least_pods() -> None:
    given, of = settings_map(), groups()
    rooms = json.loads(json.loads(of["rooms"]["rayStartParams"]["resources"]))["rooms"]
    assert int(given["PARLOR_ROOMS__ACTORS_MIN"]) <= rooms * of["rooms"]["minReplicas"]
    assert int(given["PARLOR_ROOMS__ACTORS_MAX"]) <= rooms * of["rooms"]["maxReplicas"]
    replicas = serve_file().applications[0].deployments[0].model_dump(exclude_unset=True)["autoscaling_config"]
    cpus = int(of["api"]["rayStartParams"]["num-cpus"])
    assert replicas["min_replicas"] <= cpus * of["api"]["minReplicas"]
    assert replicas["max_replicas"] <= cpus * of["api"]["maxReplicas"]


@pytest.mark.parametrize("name", [name for name in settings_map() if name.startswith("PARLOR_")])
def test_every_variable_of_ours_is_a_setting(name: str) -> None:
    section, _, field = name.removeprefix("PARLOR_").lower().partition("__")
    part = Settings.model_fields[section].default
    assert field in type(part).model_fields
    Settings.model_validate({section: {field: settings_map()[name]}})


def test_the_variables_of_ray_are_those_of_the_other_cluster() -> None:
    text = "\n".join(cluster_file()["setup_commands"])
    there = dict(re.findall(r"export (RAY_\w+|PARLOR_\w+)=(\S+)", text))
    here = settings_map()
    common = here.keys() & there.keys() - {"RAY_SERVE_HAPROXY_BINARY_PATH"}
    assert len(common) > 12
    assert {name: here[name] for name in common} == {name: there[name] for name in common}


def test_haproxy_is_ours() -> None:
    path = Path(settings_map()["RAY_SERVE_HAPROXY_BINARY_PATH"])
    script = one("ConfigMap", "parlor-haproxy")["data"][path.name]
    assert script.startswith("#!/bin/sh\nexec /opt/parlor/bin/python -P -m parlor_cli.front_end ")
    for name in ("head", *groups()):
        (container,) = templates()[name]["spec"]["containers"]
        assert {"name": "haproxy", "mountPath": str(path.parent)} in container["volumeMounts"]
        (volume,) = (each for each in templates()[name]["spec"]["volumes"] if each["name"] == "haproxy")
        assert volume["configMap"]["defaultMode"] == 0o555


def test_a_login_shell_finds_ray_in_the_image() -> None:
    """KubeRay starts it there."""
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    (linked,) = re.findall(r"^ +&& ln -s (.*) /usr/local/bin/$", dockerfile, re.MULTILINE)
    assert "/opt/parlor/bin/ray" in linked.split()


# What is kept, and from whom


def test_the_head_may_die_and_no_cluster_finds_the_state_of_another() -> None:
    kept = cluster()["gcsFaultToleranceOptions"]
    assert kept["redisAddress"]
    assert kept["redisPassword"]["valueFrom"]["secretKeyRef"] == {"name": "parlor", "key": "GCS_REDIS_PASSWORD"}
    # KubeRay then uses the cluster's own id.
    assert "externalStorageNamespace" not in kept


def test_no_second_cluster_is_started_beside_the_first() -> None:
    assert one("RayService")["spec"]["upgradeStrategy"] == {"type": "None"}


def test_the_autoscaler_is_the_second_version_and_may_add_and_remove() -> None:
    assert cluster()["enableInTreeAutoscaling"] is True
    assert cluster()["autoscalerOptions"]["version"] == "v2"
    assert all(1 <= group["minReplicas"] < group["maxReplicas"] for group in groups().values())
    assert all(group["idleTimeoutSeconds"] > 0 for group in groups().values())


@pytest.mark.parametrize("name", templates())
def test_a_pod_has_no_rights(name: str) -> None:
    spec = templates()[name]["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert f"\nUSER {spec['securityContext']['runAsUser']}:{spec['securityContext']['runAsGroup']}\n" in dockerfile
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    # The head's account is KubeRay's, for the autoscaler beside it.
    assert name == "head" or spec["automountServiceAccountToken"] is False
    for container in spec["containers"]:
        assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
        assert container["resources"]["limits"]["memory"]


@pytest.mark.parametrize("name", templates())
def test_a_pod_reads_the_settings_and_then_the_secret(name: str) -> None:
    (container,) = templates()[name]["spec"]["containers"]
    assert container["envFrom"] == [{"configMapRef": {"name": "parlor-settings"}}, {"secretRef": {"name": "parlor"}}]


def test_no_secret_is_in_a_file() -> None:
    for path in BASE.iterdir():
        # A reference to a secret is none.
        text = re.sub(r"secretKeyRef: .*|redisPassword:|secretRef: .*", "", path.read_text(encoding="utf-8"))
        assert not SECRET.search(text), path.name
    assert not [each for each in documents() if each["kind"] == "Secret"]


# Probes, evictions, network


@pytest.mark.parametrize("name", ["head", *groups()])
def test_a_pod_is_asked_whether_it_lives_and_whether_it_is_ready(name: str) -> None:
    """By HTTP: the image has no wget, which KubeRay's own probes call."""
    (container,) = templates()[name]["spec"]["containers"]
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe].keys() <= PROBES
        assert container[probe]["httpGet"].keys() == {"path", "port"}
    gone = container["livenessProbe"]
    # As long as a head that starts again may be away, and longer than a busy machine needs.
    assert gone["periodSeconds"] * gone["failureThreshold"] >= 30


def test_an_api_pod_is_ready_when_its_haproxy_answers() -> None:
    (container,) = templates()["api"]["spec"]["containers"]
    assert container["readinessProbe"]["httpGet"] == {
        "path": "/healthz",
        "port": int(settings_map()["PARLOR_CONNECTIONS__HEALTH_PORT"]),
    }


def selects(selector: dict[str, str], name: str) -> bool:
    labels = templates()[name]["metadata"]["labels"]
    return bool(selector.items() <= labels.items())


def test_requests_go_to_api_pods_alone() -> None:
    service = one("Service")["spec"]
    assert {name for name in templates() if selects(service["selector"], name)} == {"api"}
    (port,) = service["ports"]
    (container,) = templates()["api"]["spec"]["containers"]
    (named,) = (each["containerPort"] for each in container["ports"] if each["name"] == port["targetPort"])
    assert named == yaml.safe_load(one("RayService")["spec"]["serveConfigV2"])["http_options"]["port"]


def test_an_eviction_leaves_some_of_each_kind() -> None:
    budgets = [each for each in documents() if each["kind"] == "PodDisruptionBudget"]
    chosen = [
        {name for name in templates() if selects(budget["spec"]["selector"]["matchLabels"], name)} for budget in budgets
    ]
    assert chosen == [{"api"}, {"rooms"}, {"writers"}]
    for budget in budgets:
        assert budget["spec"].get("minAvailable") == 1 or budget["spec"].get("maxUnavailable") == 1
    assert groups()["api"]["minReplicas"] > 1, "or the budget would forbid every eviction"


def test_only_parlors_own_pods_reach_rays_ports() -> None:
    own, http = one("NetworkPolicy")["spec"], one("NetworkPolicy", "parlor-http")["spec"]
    assert all(selects(own["podSelector"]["matchLabels"], name) for name in templates())
    for policy in (own, http):
        assert policy["policyTypes"] == ["Ingress"]
        for rule in policy["ingress"]:
            (source,) = rule["from"]
            if "namespaceSelector" in source:
                # Not the ports of Ray's clients, of its GCS, of its workers.
                assert {port["port"] for port in rule["ports"]} <= {8000, 8080, 8265}
            else:
                assert source == {"podSelector": own["podSelector"]}
    assert selects(http["podSelector"]["matchLabels"], "api")
    assert not selects(http["podSelector"]["matchLabels"], "rooms")
