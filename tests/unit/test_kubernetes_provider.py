"""The stand-in for Pulumi's kubernetes provider: its refusals, and what it asks of an API server."""

import base64
import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pulumi
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pulumi.runtime.proto import provider_pb2 as pb

from fleet.engine.local.engine import LocalEngine
from fleet.engine.local.provider_host import ProviderCallError, ProviderClient
from fleet.engine.local.store import StateStore
from fleet.engine.local.values import UNKNOWN_VALUE, Secret, from_struct, to_struct
from fleet.ports.engine import StackRef, StackResult, StackRun, UnsupportedByLocalEngine
from fleet.sandbox.kubernetes_client import KubernetesClient
from fleet.sandbox.kubernetes_config import ClusterAccess, KubeconfigError, read_kubeconfig, tls_context
from fleet.sandbox.kubernetes_objects import drifted, field_manager, forces_replacement, kind_of
from fleet.sandbox.kubernetes_provider import KubernetesProvider
from fleet.sandbox.providers import SandboxProviders

TOKEN = "not-to-be-seen"
MAP = "kubernetes:core/v1:ConfigMap"
URN = f"urn:pulumi:narvik::fleet::{MAP}::map"
RESOURCES = {
    "/api/v1": [
        ("configmaps", "ConfigMap", True),
        ("namespaces", "Namespace", False),
        ("secrets", "Secret", True),
    ],
    "/apis/apps/v1": [("deployments", "Deployment", True), ("deployments/status", "Deployment", True)],
}


def kubeconfig(
    cluster: Mapping[str, Any] | None = None, user: Mapping[str, Any] | None = None, **more: Any
) -> str:
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
            "clusters": [
                {"name": "k", "cluster": {"server": "https://cluster.example:6443", **(cluster or {})}}
            ],
            "users": [{"name": "u", "user": {"token": TOKEN} if user is None else user}],
            **more,
        }
    )


class FakeServer:
    """Discovery, apply, get and delete, with what a test wants to go wrong. `clock` moves with each sleep."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.requests: list[httpx.Request] = []
        self.fail: dict[str, list[httpx.Response]] = {}
        self.finalizers: list[str] = []
        self.now = 0.0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        path = request.url.path
        if self.fail.get(request.method):
            return self.fail[request.method].pop(0)
        if path in RESOURCES:
            rows = [{"name": n, "kind": k, "namespaced": s} for n, k, s in RESOURCES[path]]
            return httpx.Response(200, json={"kind": "APIResourceList", "resources": rows})
        if path == "/apis":
            return httpx.Response(200, json={"kind": "APIGroupList", "groups": []})
        if path.count("/") == 3 and path.startswith("/apis/"):
            return httpx.Response(404, text="404 page not found")
        if request.method == "PATCH":
            return self._apply(path, request)
        if path not in self.objects:
            return status(404, "NotFound", f"{path} not found")
        if request.method == "DELETE":
            if not self.finalizers:
                return httpx.Response(200, json=self.objects.pop(path))
            self.objects[path]["metadata"] |= {"deletionTimestamp": "now", "finalizers": self.finalizers}
        return httpx.Response(200, json=self.objects[path])

    def _apply(self, path: str, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        entry = {"manager": request.url.params["fieldManager"], "operation": "Apply"}
        inside = re.search("/namespaces/([^/]+)/", path)
        space = {"namespace": inside[1]} if inside else {}
        body["metadata"] |= {
            **space,
            "uid": "1",
            "resourceVersion": str(len(self.requests)),
            "managedFields": [entry],
        }
        self.objects[path] = body | {"status": {"seen": len(self.requests)}}
        return httpx.Response(200, json=self.objects[path])

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def connect(self, access: ClusterAccess) -> KubernetesClient:
        return KubernetesClient(access, httpx.MockTransport(self), sleep=self.sleep, clock=lambda: self.now)


def status(code: int, reason: str, message: str, **headers: str) -> httpx.Response:
    return httpx.Response(
        code, json={"kind": "Status", "reason": reason, "message": message}, headers=headers
    )


@pytest.fixture
def server() -> FakeServer:
    return FakeServer()


def client(server: FakeServer, **settings: Any) -> ProviderClient:
    made = ProviderClient("kubernetes", KubernetesProvider(server.connect))
    made.configure({"kubeconfig": Secret(kubeconfig()), **settings}, urn="urn:p")
    return made


def a_map(data: str = "1", **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "m"} | metadata,
        "data": {"a": data},
    }


def create(made: ProviderClient, inputs: Mapping[str, Any], urn: str = URN) -> tuple[str, dict[str, Any]]:
    answer = made.call("Create", pb.CreateRequest(urn=urn, properties=to_struct(inputs)))
    return answer.id, from_struct(answer.properties)


def failure(call: Callable[[], Any]) -> ProviderCallError:
    with pytest.raises(ProviderCallError) as error:
        call()
    assert TOKEN not in str(error.value)
    return error.value


def test_an_object_is_applied_server_side_and_strictly(server: FakeServer) -> None:
    id_, outputs = create(client(server), a_map())
    patch = server.requests[-1]
    assert (patch.method, patch.url.path) == ("PATCH", "/api/v1/namespaces/default/configmaps/m")
    assert patch.headers["content-type"] == "application/apply-patch+yaml"
    assert patch.headers["authorization"] == f"Bearer {TOKEN}"
    expected = {"fieldManager": field_manager(URN), "fieldValidation": "Strict", "force": "false"}
    assert dict(patch.url.params) == expected
    assert id_ == "default/m"
    assert outputs["metadata"] == {"name": "m", "namespace": "default", "uid": "1"}
    assert outputs["__fieldManager"] == field_manager(URN) and "status" not in outputs


@pytest.mark.parametrize(
    ("metadata", "settings", "id_"),
    [
        ({"namespace": "tools"}, {"namespace": "agents"}, "tools/m"),
        ({}, {"namespace": "agents"}, "agents/m"),
        ({}, {}, "default/m"),
    ],
)
def test_the_id_is_known_before(server: FakeServer, metadata: Any, settings: Any, id_: str) -> None:
    made = client(server, **settings)
    assert made.predict_id(MAP, a_map(**metadata)) == id_
    assert create(made, a_map(**metadata))[0] == id_


def test_a_cluster_scoped_object_has_no_namespace(server: FakeServer) -> None:
    made = client(server, namespace="agents")
    inputs = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}}
    urn = URN.replace("ConfigMap", "Namespace")
    assert made.predict_id("kubernetes:core/v1:Namespace", inputs) == "n"
    assert create(made, inputs, urn)[0] == "n"
    assert server.requests[-1].url.path == "/api/v1/namespaces/n"


def test_what_exists_is_not_taken_over(server: FakeServer) -> None:
    made = client(server)
    create(made, a_map())
    other = URN.replace("::map", "::other")
    error = failure(lambda: create(made, a_map("2"), other))
    assert error.code == "AlreadyExists" and "ConfigMap default/m exists already" in error.message
    assert server.objects["/api/v1/namespaces/default/configmaps/m"]["data"] == {"a": "1"}
    create(made, a_map("2"))  # a create that was cut short, begun again
    create(client(server, upsertExistingObjects=True), a_map("3"), other)
    assert server.objects["/api/v1/namespaces/default/configmaps/m"]["data"] == {"a": "3"}


def test_force_is_asked_for_by_annotation_or_setting(server: FakeServer) -> None:
    create(client(server), a_map(annotations={"pulumi.com/patchForce": "true"}))
    assert server.requests[-1].url.params["force"] == "true"
    create(client(server, enablePatchForce="true"), a_map())
    assert server.requests[-1].url.params["force"] == "true"


@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        (status(403, "Forbidden", 'configmaps is forbidden: User "u"'), "Forbidden", ["forbidden", "role"]),
        (status(401, "Unauthorized", "Unauthorized"), "Unauthorized", ["fetch the kubeconfig again"]),
        (status(422, "Invalid", "data: Invalid value"), "Invalid", ["data: Invalid value"]),
        (status(400, "BadRequest", 'unknown field "dta"'), "BadRequest", ['unknown field "dta"']),
        (status(404, "NotFound", 'namespaces "x" not found'), "NotFound", ["declare what it lives in first"]),
        (
            status(409, "Conflict", 'conflict with "kubectl" using v1: .data.a'),
            "Conflict",
            [".data.a", "another manager", "patchForce"],
        ),
        (httpx.Response(502, text="<html>" + TOKEN), "NotKubernetes", ["HTTP 502", "not from a Kubernetes API"]),
        (httpx.Response(200, text="<html>log in</html>"), "NotKubernetes", ["HTTP 200"]),
    ],
)  # fmt: skip
def test_a_refusal_is_told(server: FakeServer, answer: httpx.Response, code: str, words: list[str]) -> None:
    server.fail["PATCH"] = [answer]
    error = failure(lambda: create(client(server), a_map()))
    assert error.code == code
    assert all(word in error.message for word in words), error.message


def test_no_answer_is_told(server: FakeServer) -> None:
    def broken(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("connection refused")

    made = ProviderClient(
        "kubernetes", KubernetesProvider(lambda a: KubernetesClient(a, httpx.MockTransport(broken)))
    )
    made.configure({"kubeconfig": kubeconfig()}, urn="urn:p")
    error = failure(lambda: create(made, a_map()))
    assert error.code == "Unreachable" and "https://cluster.example:6443" in error.message
    assert made.predict_id(MAP, a_map()) == ""


def test_a_busy_server_is_asked_again_and_then_told(server: FakeServer) -> None:
    busy = status(429, "TooManyRequests", "later", **{"Retry-After": "7"})
    server.fail["PATCH"] = [busy]
    create(client(server), a_map())
    assert server.now == 7
    server.fail["PATCH"] = [status(503, "ServiceUnavailable", "later") for _ in range(3)]
    assert failure(lambda: create(client(server), a_map())).code == "ServiceUnavailable"


def test_a_kind_that_is_not_served_is_named_and_asked_for_again(server: FakeServer) -> None:
    made = client(server)
    urn = URN.replace(MAP, "kubernetes:kai.scheduler/v1:SchedulingShard")
    inputs = {"apiVersion": "kai.scheduler/v1", "kind": "SchedulingShard", "metadata": {"name": "s"}}
    error = failure(lambda: create(made, inputs, urn))
    assert error.code == "KindNotServed" and "CustomResourceDefinition" in error.message
    RESOURCES["/apis/kai.scheduler/v1"] = [("schedulingshards", "SchedulingShard", False)]
    try:
        assert create(made, inputs, urn)[0] == "s"
    finally:
        del RESOURCES["/apis/kai.scheduler/v1"]


def test_a_proxys_page_is_not_taken_for_gone(server: FakeServer) -> None:
    """Else a refresh through a broken proxy would forget the whole site."""
    made = client(server)
    id_, outputs = create(made, a_map())
    request = pb.ReadRequest(id=id_, urn=URN, properties=to_struct(outputs), inputs=to_struct(a_map()))
    server.fail["GET"] = [httpx.Response(404, text="<html>no such page</html>")]
    assert failure(lambda: made.call("Read", request)).code == "NotKubernetes"
    server.fail["GET"] = [httpx.Response(404, text="<html>") for _ in range(2)]
    assert failure(lambda: client(server).call("Read", request)).code == "NotKubernetes"
    server.fail["DELETE"] = [httpx.Response(404, text="<html>")]
    assert failure(lambda: made.delete(pb.DeleteRequest(urn=URN, id=id_))).code == "NotKubernetes"


def test_what_is_not_known_yet_is_planned(server: FakeServer) -> None:
    made = client(server)
    for news in ({"metadata": UNKNOWN_VALUE}, a_map(name=UNKNOWN_VALUE), {**a_map(), "kind": UNKNOWN_VALUE}):
        assert not made.call("Check", pb.CheckRequest(urn=URN, news=to_struct(news))).failures
        request = pb.DiffRequest(urn=URN, id="default/m", old_inputs=to_struct(a_map()), news=to_struct(news))
        assert made.call("Diff", request).changes == pb.DiffResponse.DIFF_SOME


def test_a_delete_waits_until_the_object_is_gone(server: FakeServer) -> None:
    made = client(server)
    create(made, a_map())
    server.finalizers = ["example.com/hold"]
    request = pb.DeleteRequest(urn=URN, id="default/m", timeout=30)
    error = failure(lambda: made.delete(request))
    assert error.code == "DeleteTimeout" and "example.com/hold" in error.message and "30 s" in error.message
    assert server.now >= 30
    server.finalizers = []
    made.delete(request)
    assert not server.objects
    made.delete(request)  # gone already
    asked = next(r for r in server.requests if r.method == "DELETE")
    assert asked.url.params["propagationPolicy"] == "Foreground"


def test_a_read_tells_what_changed_of_what_the_program_says(server: FakeServer) -> None:
    made = client(server)
    id_, outputs = create(made, a_map())
    live = server.objects["/api/v1/namespaces/default/configmaps/m"]
    live["data"] |= {"a": "by hand", "more": "theirs"}
    request = pb.ReadRequest(id=id_, urn=URN, properties=to_struct(outputs), inputs=to_struct(a_map()))
    answer = made.call("Read", request)
    assert from_struct(answer.inputs) == a_map("by hand")
    assert from_struct(answer.properties)["data"] == {"a": "by hand"}
    server.objects.clear()
    assert made.call("Read", request).id == ""


def test_an_import_takes_the_object_without_what_the_server_adds(server: FakeServer) -> None:
    made = client(server)
    create(made, a_map())
    answer = made.call("Read", pb.ReadRequest(id="default/m", urn=URN))
    assert from_struct(answer.inputs) == a_map(namespace="default")


def test_a_secrets_data_are_secret(server: FakeServer) -> None:
    inputs = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"k": "cGxhaW4="}}
    _, outputs = create(client(server), inputs, URN.replace("ConfigMap", "Secret"))
    assert outputs["data"] == Secret({"k": "cGxhaW4="})


@pytest.mark.parametrize(
    ("old", "new", "replaces", "first"),
    [
        (a_map(), a_map(), [], False),
        (a_map(), a_map("2"), ["data.a"], True),
        (a_map(), a_map(labels={"x": "y"}), [], False),
        (a_map(), {**a_map(), "metadata": {"name": "n"}}, ["metadata.name"], False),
        (a_map(namespace="a"), a_map(namespace="b"), ["metadata.namespace"], False),
    ],
)
def test_diff(server: FakeServer, old: Any, new: Any, replaces: list[str], first: bool) -> None:
    request = pb.DiffRequest(urn=URN, id="default/m", old_inputs=to_struct(old), news=to_struct(new))
    answer = client(server).call("Diff", request)
    assert (list(answer.replaces), answer.deleteBeforeReplace) == (replaces, first)
    assert (answer.changes == pb.DiffResponse.DIFF_SOME) is (old != new)
    mutable = client(server, enableConfigMapMutable=True).call("Diff", request)
    assert "data.a" not in mutable.replaces
    assert not server.requests, "a plan asks the cluster nothing"


def test_what_forces_a_replacement() -> None:
    deployment, service = kind_of("kubernetes:apps/v1:Deployment"), kind_of("kubernetes:core/v1:Service")
    assert deployment and service
    assert forces_replacement(deployment, "spec.selector.matchLabels.app")
    assert not forces_replacement(deployment, "spec.replicas")
    assert forces_replacement(service, "spec.clusterIP") and not forces_replacement(service, "spec.type")


@pytest.mark.parametrize(
    "token",
    [
        "kubernetes:core/v1:NamespacePatch",
        "kubernetes:core/v1:ConfigMapList",
        "kubernetes:yaml/v2:ConfigFile",
        "kubernetes:kustomize/v2:Directory",
        "kubernetes:helm.sh/v4:Chart",
        "kubernetes:yaml:ConfigFile",
    ],
)
def test_what_is_no_single_object_is_refused_by_name(server: FakeServer, token: str) -> None:
    request = pb.CheckRequest(urn=URN.replace(MAP, token), news=to_struct(a_map()))
    error = failure(lambda: client(server).call("Check", request))
    assert error.code == "UnknownType" and token in error.message


def test_a_helm_release_is_planned_and_not_made(server: FakeServer) -> None:
    made, urn = client(server), URN.replace(MAP, "kubernetes:helm.sh/v3:Release")
    inputs = {"name": "gpu-operator", "chart": "oci://r.example/charts/gpu-operator"}
    assert not made.call("Check", pb.CheckRequest(urn=urn, news=to_struct(inputs))).failures
    planned = made.call("Create", pb.CreateRequest(urn=urn, properties=to_struct(inputs), preview=True))
    assert from_struct(planned.properties) == inputs
    error = failure(lambda: create(made, inputs, urn))
    assert error.code == "HelmNotSupported" and "Pulumi CLI" in error.message


@pytest.mark.parametrize(
    ("news", "property_"),
    [
        ({"apiVersion": "v1", "kind": "ConfigMap"}, "metadata.name"),
        ({"metadata": {"generateName": "m-"}}, "metadata.name"),
        ({"metadata": {"name": "m"}, "kind": "Secret"}, "kind"),
        ({"metadata": {"name": "m"}, "apiVersion": "v2"}, "apiVersion"),
    ],
)
def test_check_refuses(server: FakeServer, news: Any, property_: str) -> None:
    answer = client(server).call("Check", pb.CheckRequest(urn=URN, news=to_struct(news)))
    assert [f.property for f in answer.failures] == [property_]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", "not YAML"),
        ("[]", "kind: Config"),
        (kubeconfig(**{"current-context": None}), "no current-context"),
        (kubeconfig(**{"current-context": "x"}), "'x' is not among its contexts"),
        (kubeconfig({"server": "http://cluster.example"}), "https://"),
        (kubeconfig({"insecure-skip-tls-verify": True}), "TLS is always verified"),
        (kubeconfig({"proxy-url": "http://proxy"}), "proxy-url"),
        (kubeconfig({"certificate-authority": "ca.pem"}), "not an absolute path"),
        (kubeconfig({"certificate-authority": "/no/such/ca.pem"}), "can't be read"),
        (kubeconfig({"certificate-authority-data": "*"}), "not base64"),
        (kubeconfig(user={"exec": {"command": "kubelogin"}}), "log-in plugin"),
        (kubeconfig(user={"username": "u", "password": TOKEN}), "a password"),
        (kubeconfig(user={"client-certificate-data": "YQ=="}), "come together"),
        (kubeconfig(user={}), "neither a client certificate nor a token"),
    ],
)
def test_a_kubeconfig_that_cannot_be_used_says_why(server: FakeServer, text: str, words: str) -> None:
    with pytest.raises(KubeconfigError, match=words) as error:
        read_kubeconfig(text)
    assert TOKEN not in str(error.value)
    made = client(server)
    answer = made.call(
        "CheckConfig", pb.CheckRequest(urn="urn:p", news=to_struct({"kubeconfig": Secret(text)}))
    )
    assert [f.property for f in answer.failures] == ["kubeconfig"]


def test_a_client_certificate_is_used() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "fleet")])
    start = datetime(2026, 1, 1, tzinfo=UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, start, start + timedelta(days=3650))
    pem = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    plain = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    b64 = {"client-certificate-data": pem, "client-key-data": plain}
    user = {name: base64.b64encode(value).decode() for name, value in b64.items()}
    access = read_kubeconfig(
        kubeconfig({"certificate-authority-data": user["client-certificate-data"]}, user)
    )
    assert access.token is None and access.key == plain.decode()
    assert "PRIVATE" not in repr(access)
    assert tls_context(access).verify_mode.name == "CERT_REQUIRED"
    with pytest.raises(KubeconfigError, match="not a pair"):
        tls_context(ClusterAccess("https://c", certificate=pem.decode(), key="nonsense"))
    with pytest.raises(KubeconfigError, match="no certificate"):
        tls_context(ClusterAccess("https://c", ca="nonsense"))


def test_without_a_kubeconfig_it_plans_only() -> None:
    made = ProviderClient("kubernetes", KubernetesProvider())
    made.configure({}, urn="urn:p")
    assert made.predict_id(MAP, a_map()) == ""
    request = pb.CreateRequest(urn=URN, properties=to_struct(a_map()), preview=True)
    assert from_struct(made.call("Create", request).properties) == a_map()
    assert failure(lambda: create(made, a_map())).code == "NotConnected"


@pytest.mark.parametrize(
    ("old", "new", "replaces"),
    [
        ({"kubeconfig": kubeconfig()}, {"kubeconfig": kubeconfig(user={"token": "newer"})}, []),
        (
            {"kubeconfig": kubeconfig()},
            {"kubeconfig": kubeconfig({"server": "https://other"})},
            ["kubeconfig"],
        ),
        (
            {"clusterIdentifier": "a", "kubeconfig": kubeconfig()},
            {"clusterIdentifier": "a", "kubeconfig": kubeconfig({"server": "https://other"})},
            [],
        ),
        ({"clusterIdentifier": "a"}, {"clusterIdentifier": "b"}, ["clusterIdentifier"]),
    ],
)
def test_another_cluster_is_another_place(
    server: FakeServer, old: Any, new: Any, replaces: list[str]
) -> None:
    request = pb.DiffRequest(urn="urn:p", old_inputs=to_struct(old), news=to_struct(new))
    assert list(client(server).call("DiffConfig", request).replaces) == replaces


def test_defaults_and_other_forms_of_a_value_are_no_drift() -> None:
    inputs = {"spec": {"cpu": "1000m", "list": [{"name": "a"}], "gone": 1, "hidden": 2}}
    before = {"spec": {"cpu": "1", "list": [{"name": "a", "default": 1}], "gone": 1}}
    now = {"spec": {"cpu": "1", "list": [{"name": "a", "default": 2}], "extra": 3}}
    assert drifted(inputs, before, now) == {"spec": {"cpu": "1000m", "list": [{"name": "a"}], "hidden": 2}}
    now["spec"]["cpu"] = "2"
    assert drifted(inputs, before, now)["spec"]["cpu"] == "2"
    assert drifted({"a": Secret("x")}, {"a": "x"}, {"a": "y"}) == {"a": Secret("x")}


def _program(value: str) -> None:
    import pulumi_kubernetes as k

    provider = k.Provider("k", kubeconfig=pulumi.Output.secret(kubeconfig()))
    k.core.v1.ConfigMap(
        "map", metadata={"name": "m"}, data={"a": value}, opts=pulumi.ResourceOptions(provider=provider)
    )


def test_through_the_local_engine(server: FakeServer, tmp_path: Path) -> None:
    engine = LocalEngine(
        StateStore(tmp_path), lambda _: KubernetesProvider(server.connect), lambda: "passphrase"
    )

    def run(value: str) -> StackRun:
        return StackRun(StackRef("fleet", "narvik"), partial(_program, value))

    def ops(result: StackResult) -> set[str]:
        assert result.error is None, result.failures
        return {c.op for c in result.changes if c.name == "map"}

    assert ops(engine.preview(run("1"))) == {"create"}
    assert not server.requests, "a plan asks the cluster nothing"
    assert ops(engine.up(run("1"))) == {"create"}
    assert ops(engine.up(run("1"))) == {"same"}
    assert ops(engine.up(run("2"))) == {"replace"}
    server.objects["/api/v1/namespaces/default/configmaps/m"]["data"]["a"] = "by hand"
    assert ops(engine.refresh(run("2"))) == {"refresh"}
    assert ops(engine.destroy(run("2"))) == {"delete"}
    assert not server.objects
    assert not [f for f in tmp_path.rglob("*") if f.is_file() and TOKEN in f.read_text()]


def test_the_factory_makes_one_and_closes_it() -> None:
    with SandboxProviders() as providers:
        assert isinstance(providers("kubernetes"), KubernetesProvider)
        with pytest.raises(UnsupportedByLocalEngine, match="docker"):
            providers("docker")
