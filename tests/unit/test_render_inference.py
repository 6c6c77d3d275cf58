"""The served models: what a gateway is told, which share of a GPU it gets, how long Flux waits, and who calls whom."""

import json
from typing import Any

import pytest

from fleet.diagnostics.diagnostic import FleetError
from fleet.model.site import SiteSpec
from fleet.model.supply import ModelPackage
from fleet.render import foundry, inference
from tests.factory import ROOT
from tests.unit.rendered_sites import DIGEST, objects, one, site

OPERATED = "runtime: foundry-local-azure-local"
CONTRACT = (ROOT / "docs" / "inference-contract.md").read_text()


def chat(fields: str, more: str = "", name: str = "graz") -> SiteSpec:
    """graz serves `chat` with vLLM from two nodes of one GPU each; turin with Foundry Local on CPU."""
    return site(name, f"inference: {{chat: {{{fields}}}}}\n{more}")


def packed(spec: SiteSpec, **sizes: float) -> SiteSpec:
    """The site with packages of these sizes, as if the fleet had them."""
    packages = {
        name: ModelPackage.model_validate(
            {
                "model": "phi-4-mini", "precision": "fp16", "sizeGib": size, "source": "s", "licence": "MIT",
                "artifact": f"registry.factory.example/models/{name}@{DIGEST}",
            }
        )
        for name, size in sizes.items()
    }  # fmt: skip
    return spec.model_copy(update={"packages": packages})


def deployment(spec: SiteSpec, name: str = "chat") -> Any:
    return one(objects(inference.sections(spec)), "Deployment", name)["spec"]


def pod(spec: SiteSpec, name: str = "chat") -> Any:
    return deployment(spec, name)["template"]["spec"]


def env(found: Any) -> dict[str, str]:
    return {item["name"]: item.get("value", "") for item in found["containers"][0]["env"]}


def limits(spec: SiteSpec) -> dict[str, Any]:
    """The container's, without memory; requests must say the same."""
    resources = pod(spec)["containers"][0]["resources"]
    extended = {key: value for key, value in resources["limits"].items() if key != "memory"}
    requested = {key: value for key, value in resources["requests"].items() if key not in ("cpu", "memory")}
    assert requested == extended
    return extended


def test_a_gateway_is_told_what_the_inventory_says() -> None:
    told = env(
        pod(
            chat(
                "maxOutputTokens: 512, gpuMemoryUtilization: 0.8, runtimeVersion: 0.9.2, "
                "gateway: {maxConcurrency: 33, queueLength: 7, requestsPerMinute: 601}, warmup: {prompts: 3}"
            )
        )
    )
    assert told["MAX_OUTPUT_TOKENS"] == "512"
    assert (told["RUNTIME"], told["RUNTIME_VERSION"], told["GPU_MEMORY_UTILIZATION"]) == (
        "vllm",
        "0.9.2",
        "0.8",
    )
    assert (told["MODALITY"], told["TOOL_CALLING"], told["WARMUP_PROMPTS"]) == ("chat", "native", "3")
    # Of the deployment, for one of its two replicas.
    limits = (
        told["MAX_CONCURRENCY"],
        told["QUEUE_LENGTH"],
        told["REQUESTS_PER_MINUTE"],
        told["MAX_SESSIONS"],
    )
    assert limits == ("17", "4", "301", "8")
    assert told["ENDPOINT_NAME"] == "chat.platform.svc.cluster.local"
    assert told["FALLBACK"] == "none" and "FALLBACK_URL" not in told
    on_cpu = env(pod(chat("executionProvider: openvino", name="turin")))
    assert on_cpu["EXECUTION_PROVIDER"] == "openvino"
    assert "GPU_MEMORY_UTILIZATION" not in on_cpu and "TENSOR_PARALLEL" not in on_cpu


def test_the_contract_names_every_variable() -> None:
    spec = site(
        "graz",
        "inference: {chat: {canary: {package: new}, package: old, executionProvider: cuda, runtimeVersion: 0.9.2, "
        "gateway: {requestsPerMinute: 60}, fallback: {to: deployment, deployment: small}}, "
        f"small: {{{OPERATED}, model: phi-4-mini, accelerator: cpu, gpus: 0, nodePool: agents, image: 'a/b@{DIGEST}', "
        "slo: {p95Ms: 1000, concurrentSessions: 2}}}\n"
        "router: {model: chat, routes: [{kind: complex, deployment: small, timeoutSeconds: 60}]}",
    )
    spec = packed(spec, old=7.5, new=8)
    said = {
        item["name"]
        for name in ("chat", "chat-canary", "small")
        for found in [pod(spec, name)]
        for container in (*found.get("initContainers", ()), *found["containers"])
        for item in container["env"]
    }
    assert {"MODEL_PACKAGE", "MODEL_ARTIFACT", "CANARY_URL", "ROUTES_FILE", "UPSTREAM_API_KEY"} <= said
    missing = {name for name in said if not name.startswith("OTEL_") and f"`{name}`" not in CONTRACT}
    assert missing == set()


@pytest.mark.parametrize("seconds", [30, 95, 600, 7200])
def test_probe_deadline_and_flux_follow_the_time_to_load(seconds: int) -> None:
    spec = chat(f"warmup: {{timeoutSeconds: {seconds}}}")
    found = deployment(spec)
    probe = found["template"]["spec"]["containers"][0]["startupProbe"]
    waits = probe["periodSeconds"] * probe["failureThreshold"]
    assert seconds <= waits < seconds + probe["periodSeconds"]
    assert waits < found["progressDeadlineSeconds"]
    (section,) = inference.sections(spec)
    # Two replicas, one after the other.
    assert int(section.timeout.removesuffix("m")) * 60 > 2 * waits


def test_answers_in_flight_are_finished() -> None:
    assert pod(chat("slo: {p95Ms: 90000}"))["terminationGracePeriodSeconds"] == 100
    assert pod(chat("slo: {p95Ms: 900}"))["terminationGracePeriodSeconds"] == 30


def test_kai_gets_queue_class_and_scheduler() -> None:
    found = deployment(chat("queue: agents"))
    labels = found["template"]["metadata"]["labels"]
    assert labels["kai.scheduler/queue"] == "agents"
    assert (labels["priorityClassName"], labels["kai.scheduler/preemptibility"]) == (
        "inference",
        "non-preemptible",
    )
    assert found["template"]["spec"]["schedulerName"] == "kai-scheduler"
    stopped = deployment(chat("queue: agents, preemptible: true"))["template"]["metadata"]["labels"]
    assert (stopped["priorityClassName"], stopped["kai.scheduler/preemptibility"]) == ("train", "preemptible")
    plain = deployment(chat("model: phi-4-mini"))
    assert "schedulerName" not in plain["template"]["spec"]
    assert set(plain["template"]["metadata"]["labels"]) == {"app", "fleet/role"}


def test_without_kai_what_may_be_stopped_has_a_lower_class() -> None:
    found = objects(inference.sections(chat("preemptible: true")))
    assert one(found, "PriorityClass", inference.PREEMPTIBLE)["value"] < 0
    assert pod(chat("preemptible: true"))["priorityClassName"] == inference.PREEMPTIBLE
    assert "priorityClassName" not in pod(chat("preemptible: true, queue: agents"))


def test_a_fraction_is_an_annotation_and_no_gpu() -> None:
    spec = chat("queue: agents, gpuFraction: 0.25", "gpu: {sharing: fraction}")
    assert deployment(spec)["template"]["metadata"]["annotations"]["gpu-fraction"] == "0.25"
    assert limits(spec) == {}


def test_a_mig_instance_is_asked_for_by_its_name_where_instances_have_names() -> None:
    pools = "kubernetes: {nodePools: {inference: {vmSize: Standard_NC16_RTX6000Pro_1, mig: {strategy: %s, profiles: {1g.24gb: 4}}}}}"
    mig = "gpu: {model: RTX6000Pro, sharing: mig}\n"
    assert limits(chat("migProfile: 1g.24gb", mig + pools % "mixed")) == {"nvidia.com/mig-1g.24gb": 1}
    assert limits(chat("gpus: 1", mig + pools % "single")) == {"nvidia.com/gpu": 1}


@pytest.mark.parametrize(
    ("fields", "more", "wanted"),
    [
        ("gpus: 1", "", ("8", "32Gi")),
        ("gpuFraction: 0.5, queue: agents", "gpu: {sharing: fraction}", ("4", "16Gi")),
        ("gpus: 1", "gpu: {sharing: time-slicing, timeSlices: 4}", ("2", "8Gi")),
        ("gpus: 1", "gpu: {sharing: time-slicing, timeSlices: 48}", ("166m", "682Mi")),
    ],
)
def test_what_shares_a_card_shares_the_node(fields: str, more: str, wanted: tuple[str, str]) -> None:
    """A Standard_NC16_L4_1: 16 processors, 64 GiB and one card, of which half is given out."""
    requests = pod(chat(fields, more))["containers"][0]["resources"]["requests"]
    assert (requests["cpu"], requests["memory"]) == wanted


def test_gpus_of_one_copy_have_memory_to_talk_through() -> None:
    two = "kubernetes: {nodePools: {inference: {vmSize: Standard_NC16_L4_2}}}"
    found = pod(chat("gpus: 2, replicas: 1", two))
    assert env(found)["TENSOR_PARALLEL"] == "2"
    assert {"name": "shared-memory", "mountPath": "/dev/shm"} in found["containers"][0]["volumeMounts"]
    assert env(pod(chat("gpus: 2, tensorParallel: 1, replicas: 1", two)))["TENSOR_PARALLEL"] == "1"
    assert "shared-memory" not in str(pod(chat("gpus: 1")))


SMALL = (
    "small: {runtime: foundry-local, model: phi-4-mini, accelerator: cpu, gpus: 0, nodePool: agents, "
    f"image: 'registry.factory.example/inference/foundry-gateway@{DIGEST}', slo: {{p95Ms: 9000, concurrentSessions: 2}}}}"
)


def callers(found: Any, name: str) -> set[str]:
    """Who may call a deployment from within its own namespace."""
    policy = one(found, "NetworkPolicy", f"{name}-allow")["spec"]
    return {
        peer["podSelector"]["matchLabels"]["app"]
        for rule in policy["ingress"]
        for peer in rule["from"]
        if "namespaceSelector" not in peer
    }


def called(found: Any, name: str) -> set[str]:
    policy = one(found, "NetworkPolicy", f"{name}-allow")["spec"]
    assert ("egress" in policy) is ("Egress" in policy["policyTypes"])
    return {
        peer["podSelector"]["matchLabels"]["app"] for rule in policy.get("egress", ()) for peer in rule["to"]
    }


def test_a_fallback_may_be_called_and_by_its_stable_name() -> None:
    spec = site("graz", f"inference: {{chat: {{fallback: {{to: deployment, deployment: small}}}}, {SMALL}}}")
    found = objects(inference.sections(spec))
    assert env(pod(spec))["FALLBACK_URL"] == "https://small.platform.svc.cluster.local/v1"
    assert (called(found, "chat"), callers(found, "small")) == ({"small"}, {"chat"})
    assert (called(found, "small"), callers(found, "chat")) == (set(), set())
    assert env(pod(chat("fallback: {to: human}")))["FALLBACK"] == "human"


def test_the_router_is_the_gateway_of_the_model_that_decides() -> None:
    routes = "[{kind: simple, deployment: small, timeoutSeconds: 10}, {kind: complex, deployment: chat, timeoutSeconds: 60}]"
    spec = site(
        "graz", f"inference: {{{SMALL}}}\nrouter: {{model: small, confidence: 0.7, routes: {routes}}}"
    )
    found = objects(inference.sections(spec))
    table = json.loads(one(found, "ConfigMap", "small-routes")["data"]["routes.json"])
    assert table["confidence"] == 0.7
    assert table["routes"][1] == {
        "kind": "complex",
        "model": "phi-4-mini",
        "privacy": "restricted",
        "timeoutSeconds": 60,
        "url": "https://chat.platform.svc.cluster.local/v1",
    }
    assert env(pod(spec, "small"))["ROUTES_FILE"] == "/routes/routes.json"
    assert "ROUTES_FILE" not in env(pod(spec))
    assert (called(found, "small"), callers(found, "chat")) == ({"chat"}, {"small"})
    # Another table is another pod.
    assert spec.router is not None
    other = spec.model_copy(update={"router": spec.router.model_copy(update={"confidence": 0.9})})
    digests = {
        deployment(s, "small")["template"]["metadata"]["annotations"]["fleet/config-digest"]
        for s in (spec, other)
    }
    assert len(digests) == 2


CANARY = "package: old, canary: {package: new, percent: 10}"


def test_a_canary_is_a_second_deployment_that_only_the_first_calls() -> None:
    spec = packed(chat(CANARY), old=7.5, new=8)
    found = objects(inference.sections(spec))
    first, second = (pod(spec, name) for name in ("chat", "chat-canary"))
    assert (env(first)["MODEL_PACKAGE"], env(second)["MODEL_PACKAGE"]) == ("old", "new")
    assert env(first)["CANARY_URL"] == "https://chat-canary.platform.svc.cluster.local/v1"
    assert env(first)["CANARY_PERCENT"] == "10"
    assert "CANARY_URL" not in env(second)
    assert one(found, "Service", "chat")["spec"]["selector"] == {"app": "chat"}
    assert one(found, "Service", "chat-canary")["spec"]["selector"] == {"app": "chat-canary"}
    assert deployment(spec, "chat-canary")["replicas"] == 1
    assert (called(found, "chat"), callers(found, "chat-canary")) >= ({"chat-canary"}, {"chat"})
    peers = one(found, "NetworkPolicy", "chat-canary-allow")["spec"]["ingress"][0]["from"]
    assert peers == [{"podSelector": {"matchLabels": {"app": "chat"}}}]
    # It answers under the name of the deployment, with that certificate.
    assert {v["secret"]["secretName"] for v in second["volumes"] if v["name"] == "tls"} == {"chat-tls"}


def test_a_canary_with_the_name_of_a_deployment_is_refused() -> None:
    taken = site("graz", f"inference: {{chat: {{{CANARY}}}, {SMALL.replace('small:', 'chat-canary:')}}}")
    with pytest.raises(FleetError) as caught:
        list(inference.sections(packed(taken, old=7.5, new=8)))
    assert caught.value.code == "TPL002"


@pytest.mark.parametrize(("fields", "missing"), [("package: typo", "typo"), (CANARY, "new")])
def test_a_package_that_the_fleet_does_not_have_is_refused(fields: str, missing: str) -> None:
    with pytest.raises(FleetError, match=f"the package '{missing}', which the fleet does not have") as caught:
        list(inference.sections(packed(chat(fields), old=7.5)))
    assert caught.value.code == "TPL011"


def test_a_canary_is_told_its_own_precision() -> None:
    spec = packed(chat(CANARY), old=7.5, new=2)
    small = spec.packages["new"].model_copy(update={"precision": "int4"})
    spec = spec.model_copy(update={"packages": {**spec.packages, "new": small}})
    told = [env(pod(spec, name))["MODEL_PRECISION"] for name in ("chat", "chat-canary")]
    assert told == ["fp16", "int4"]


def test_a_package_comes_from_the_model_cache_by_digest() -> None:
    spec = packed(chat("package: old, replicas: 1"), old=7.5)
    found = pod(spec)
    (fetch,) = found["initContainers"]
    told = {item["name"]: item["value"] for item in fetch["env"]}
    assert told["MODEL_ARTIFACT"] == f"model-cache.model-cache.svc.cluster.local/models/old@{DIGEST}"
    assert fetch["image"] == found["containers"][0]["image"]
    claim = one(objects(inference.sections(spec)), "PersistentVolumeClaim", "chat-models-15gi")
    assert claim["spec"]["resources"]["requests"] == {"storage": "15Gi"}  # two versions
    assert {"name": "models", "persistentVolumeClaim": {"claimName": "chat-models-15gi"}} in found["volumes"]
    rules = one(objects(inference.sections(spec)), "NetworkPolicy", "chat-allow")["spec"]["egress"]
    assert [rule["ports"] for rule in rules] == [[{"protocol": "TCP", "port": 5000}]]


def test_the_claim_is_of_the_class_that_the_site_names() -> None:
    more = "modelCache: {storageGib: 100, storageClass: fast}"
    found = objects(inference.sections(packed(chat("package: old, replicas: 1", more), old=7.5)))
    claim = one(found, "PersistentVolumeClaim", "chat-models-15gi-fast")
    assert claim["spec"]["storageClassName"] == "fast"
    plain = objects(inference.sections(packed(chat("package: old, replicas: 1"), old=7.5)))
    assert "storageClassName" not in one(plain, "PersistentVolumeClaim", "chat-models-15gi")["spec"]


def test_several_replicas_have_a_copy_each() -> None:
    found = pod(packed(chat("package: old, replicas: 2"), old=7.5))
    assert {"name": "models", "emptyDir": {"sizeLimit": "15Gi"}} in found["volumes"]


def test_where_kubernetes_mounts_packages_nothing_is_fetched() -> None:
    found = pod(packed(chat("package: old", "kubernetes: {version: 1.35.0}"), old=7.5))
    assert "initContainers" not in found
    image = {"reference": f"registry.graz.factory.example/models/old@{DIGEST}", "pullPolicy": "IfNotPresent"}
    assert {"name": "models", "image": image} in found["volumes"]
    assert {"name": "models", "mountPath": "/models/old", "readOnly": True} in found["containers"][0][
        "volumeMounts"
    ]


def test_a_package_that_nothing_brings_is_refused() -> None:
    with pytest.raises(FleetError, match="nothing brings the package 'old' to chat") as caught:
        list(inference.sections(packed(chat("package: old", name="turin"), old=2.5)))
    assert (caught.value.code, caught.value.help) == ("TPL011", "modelCache: {storageGib: …}")


def test_the_operators_model_stands_behind_a_gateway_with_the_stable_name() -> None:
    spec = chat(f"{OPERATED}, gpuMemoryUtilization: 0.85")
    front, behind = inference.sections(spec)
    assert (behind.name, behind.after) == ("foundry-local", ("platform",))
    model = one(objects([behind]), "ModelDeployment", "chat-model")
    assert model["apiVersion"] == "foundrylocal.azure.com/v1"
    said = model["spec"]
    assert (said["compute"], said["runtime"], said["workloadType"], said["replicas"]) == (
        "gpu",
        "vllm",
        "generative",
        2,
    )
    assert said["resources"]["limits"] == {"memory": "32Gi", "gpu": 1}
    assert said["vllm"]["preferences"] == {"max_model_len": 8192, "gpu_memory_utilization": 0.85}
    found = objects([front])
    gateway = pod(spec)
    assert env(gateway)["UPSTREAM_URL"] == "https://chat-model.platform.svc.cluster.local:5000/v1"
    assert limits(spec) == {}
    assert one(found, "Service", "chat")["spec"]["ports"] == [
        {"name": "https", "port": 443, "targetPort": "https"}
    ]
    key = next(e for e in gateway["containers"][0]["env"] if e["name"] == "UPSTREAM_API_KEY")
    assert key["valueFrom"]["secretKeyRef"] == {"name": "chat-model-api-keys", "key": "primary-key"}


def test_onnx_runtime_serves_what_names_a_provider_or_runs_on_cpu() -> None:
    for fields, name in ((f"{OPERATED}, executionProvider: cuda", "graz"), (OPERATED, "turin")):
        _, behind = inference.sections(chat(fields, name=name))
        said = one(objects([behind]), "ModelDeployment", "chat-model")["spec"]
        assert said["runtime"] == "onnx-genai" and "vllm" not in said


@pytest.mark.parametrize(("version", "there"), [("0.260430.8", False), ("0.260630.27", True)])
def test_fields_that_a_version_does_not_have_are_not_asked_of_it(version: str, there: bool) -> None:
    spec = chat(OPERATED, f"azure: {{extensions: {{foundryLocal: {{version: {version}}}}}}}")
    _, behind = inference.sections(spec)
    assert ("endpoint" in one(objects([behind]), "ModelDeployment", "chat-model")["spec"]) is there


@pytest.mark.parametrize(
    "fields",
    ["queue: agents", "gpuFraction: 0.5", "migProfile: 1g.24gb", "preemptible: true", "package: old", "gpus: 2",
     "canary: {package: new}"],
)  # fmt: skip
def test_what_the_operators_object_can_not_carry_is_refused_by_name(fields: str) -> None:
    field = fields.partition(":")[0]
    with pytest.raises(FleetError, match=f"can't carry '{field}' of inference.chat") as caught:
        list(inference.sections(chat(f"{OPERATED}, {fields}")))
    assert caught.value.code == "TPL012"


def test_several_gpus_a_replica_need_a_later_extension() -> None:
    later = "azure: {extensions: {foundryLocal: {version: 0.260815.1}}}"
    spec = chat(f"{OPERATED}, gpus: 2", later)
    said = foundry.model_deployment(
        spec, "chat", spec.inference["chat"], {"cpu_request": "1", "memory": "2Gi"}
    )
    assert said["spec"]["resources"]["limits"]["gpu"] == 2


def test_a_site_that_serves_no_model_has_no_section() -> None:
    assert list(inference.sections(site("graz").model_copy(update={"inference": {}}))) == []
