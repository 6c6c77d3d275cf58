"""The ARM client against scripted answers: what it sends, how long it waits, what it raises."""

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from fleet.adapters.arm_client import ArmClient, ArmError, RetryPolicy

V = "2025-10-01"
ENDPOINT = "https://management.azure.com"
PATH = "/subscriptions/s/resourceGroups/g/providers/Microsoft.AzureStackHCI/clusters/c"
Step = httpx.Response | Exception


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now, self.slept = 0.0, []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def __call__(self) -> float:
        return self.now


class Script(httpx.BaseTransport):
    """Answers in turn; the last one is repeated."""

    def __init__(self, *steps: Step) -> None:
        self.steps, self.asked = list(steps), []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        step = self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]
        if isinstance(step, Exception):
            raise step
        return httpx.Response(step.status_code, headers=step.headers, content=step.content)


def client(*steps: Step, **options: Any) -> tuple[ArmClient, Script, Clock]:
    script, clock = Script(*steps), Clock()
    made = ArmClient(
        ENDPOINT,
        lambda: "t0ken",
        transport=script,
        sleep=clock.sleep,
        clock=clock,
        jitter=lambda: 1.0,
        **options,
    )
    return made, script, clock


def answer(status: int, body: Any = None, **headers: str) -> httpx.Response:
    return httpx.Response(status, json=body, headers={k.replace("_", "-"): v for k, v in headers.items()})


def refused(status: int, code: str, message: str = "no", **headers: str) -> httpx.Response:
    return answer(status, {"error": {"code": code, "message": message}}, x_ms_request_id="r-1", **headers)


DONE = answer(200, {"id": PATH, "properties": {"provisioningState": "Succeeded"}})


def test_get_sends_the_api_version_and_the_token() -> None:
    arm, script, _ = client(DONE)
    assert arm.get(PATH, V)["id"] == PATH
    (request,) = script.asked
    assert str(request.url) == f"{ENDPOINT}{PATH}?api-version={V}"
    assert request.headers["Authorization"] == "Bearer t0ken"


@pytest.mark.parametrize("endpoint", ["http://management.azure.com", "management.azure.com", "", "ftp://x"])
def test_plain_http_is_refused(endpoint: str) -> None:
    with pytest.raises(ArmError, match="https") as caught:
        ArmClient(endpoint, lambda: "t")
    assert caught.value.code == "InsecureEndpoint"


def test_an_unusable_ca_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    for file in (tmp_path / "ca.pem", tmp_path / "missing.pem"):
        with pytest.raises(ArmError, match=file.name):
            ArmClient(ENDPOINT, lambda: "t", file)


def test_an_error_says_what_where_and_which_request() -> None:
    arm, _, _ = client(refused(403, "AuthorizationFailed", "The client has no permission."))
    with pytest.raises(ArmError) as caught:
        arm.get(PATH, V)
    error = caught.value
    assert (error.status, error.code, error.request_id) == (403, "AuthorizationFailed", "r-1")
    assert "no permission" in error.message and PATH in error.message and "r-1" in error.message
    assert "role" in error.help
    assert "t0ken" not in str(error)


def test_details_of_an_error_are_shown() -> None:
    details = [{"code": "X", "message": "inner reason"}]
    arm, _, _ = client(answer(400, {"error": {"code": "Bad", "message": "outer", "details": details}}))
    with pytest.raises(ArmError, match="outer / inner reason"):
        arm.get(PATH, V)


@pytest.mark.parametrize("body", [b"<html>gateway</html>", b"[1]", b"", b'"x"'])
def test_an_error_without_an_arm_body_is_still_an_arm_error(body: bytes) -> None:
    arm, _, _ = client(httpx.Response(404, content=body))
    with pytest.raises(ArmError) as caught:
        arm.get(PATH, V)
    assert (caught.value.status, caught.value.code) == (404, "Unknown")


@pytest.mark.parametrize("content", [b"not json", b"[]"])
def test_an_unreadable_answer_is_an_arm_error(content: bytes) -> None:
    arm, _, _ = client(httpx.Response(200, content=content))
    with pytest.raises(ArmError, match="not a JSON object"):
        arm.get(PATH, V)


def test_find_gives_none_for_what_is_missing_only() -> None:
    assert client(refused(404, "ResourceNotFound"))[0].find(PATH, V) is None
    with pytest.raises(ArmError):
        client(refused(403, "AuthorizationFailed"))[0].find(PATH, V)


GONE = ["ResourceNotFound", "ResourceGroupNotFound", "ParentResourceNotFound", "NotFound"]
NOT_SEEN = [
    "SubscriptionNotFound",
    "InvalidResourceType",
    "InvalidResourceNamespace",
    "Unknown",
    "OtherNotFound",
]


@pytest.mark.parametrize("code", GONE)
def test_these_404s_mean_gone(code: str) -> None:
    assert client(refused(404, code))[0].find(PATH, V) is None
    client(refused(404, code))[0].delete(PATH, V)


@pytest.mark.parametrize(
    "step", [*(refused(404, code) for code in NOT_SEEN), httpx.Response(404, content=b"<html>a proxy</html>")]
)
def test_any_other_404_is_an_error(step: httpx.Response) -> None:
    for act in (lambda arm: arm.find(PATH, V), lambda arm: arm.delete(PATH, V)):
        with pytest.raises(ArmError) as caught:
            act(client(step)[0])
        assert (caught.value.status, caught.value.means_gone) == (404, False)


def test_an_error_says_whether_azure_had_taken_the_change_on() -> None:
    begun = answer(201, {}, Azure_AsyncOperation=ASYNC, Retry_After="0")
    failed = answer(200, {"status": "Failed", "error": {"code": "DeploymentFailed", "message": "no"}})
    for step in (failed, httpx.Response(500), refused(404, "OperationNotFound")):
        for method in ("put", "patch"):
            with pytest.raises(ArmError) as caught:
                getattr(client(begun, step)[0], method)(PATH, V, {})
            assert caught.value.accepted
    for step in (refused(409, "Conflict"), httpx.ConnectError("refused")):
        with pytest.raises(ArmError) as caught:
            client(step)[0].put(PATH, V, {})
        assert not caught.value.accepted


def test_throttling_waits_as_told_then_succeeds() -> None:
    arm, script, clock = client(refused(429, "TooManyRequests", Retry_After="7"), DONE)
    arm.get(PATH, V)
    assert clock.slept == [7.0] and len(script.asked) == 2


def test_server_errors_back_off_doubling_and_capped_then_give_up() -> None:
    policy = RetryPolicy(attempts=5, base=1.0, cap=3.0)
    arm, script, clock = client(refused(503, "ServerBusy"), retry=policy)
    with pytest.raises(ArmError) as caught:
        arm.get(PATH, V)
    assert clock.slept == [1.0, 2.0, 3.0, 3.0]
    assert (caught.value.status, len(script.asked)) == (503, 5)


def test_a_retry_after_beyond_the_limit_ends_the_request() -> None:
    arm, script, _ = client(refused(429, "TooManyRequests", Retry_After="100000"))
    with pytest.raises(ArmError):
        arm.get(PATH, V)
    assert len(script.asked) == 1


def test_client_errors_are_not_repeated() -> None:
    arm, script, _ = client(refused(400, "InvalidRequest"))
    with pytest.raises(ArmError):
        arm.put(PATH, V, {})
    assert len(script.asked) == 1


def test_a_lost_connection_is_tried_again_and_then_named() -> None:
    arm, script, _ = client(httpx.ConnectError("refused"), httpx.ReadError("cut"), DONE)
    assert arm.get(PATH, V)["id"] == PATH
    assert len(script.asked) == 3
    with pytest.raises(ArmError, match="no answer from https") as caught:
        client(httpx.ConnectError("refused"))[0].get(PATH, V)
    assert caught.value.status == 0


def test_an_untrusted_certificate_is_not_tried_again() -> None:
    problem = httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed")
    arm, script, _ = client(problem)
    with pytest.raises(ArmError, match="CA file") as caught:
        arm.get(PATH, V)
    assert (caught.value.code, len(script.asked)) == ("CertificateNotTrusted", 1)


def test_a_post_that_may_have_run_is_not_repeated() -> None:
    for step in (httpx.ReadError("cut"), refused(500, "InternalServerError")):
        arm, script, _ = client(step)
        with pytest.raises(ArmError):
            arm.post(f"{PATH}/start", V)
        assert len(script.asked) == 1


ASYNC = f"{ENDPOINT}/subscriptions/s/providers/P/locations/l/operationStatuses/1?api-version={V}"
RESULT = f"{ENDPOINT}/subscriptions/s/providers/P/locations/l/operationResults/1?api-version={V}"


def test_put_follows_azure_async_operation_first_and_returns_the_resource() -> None:
    begun = answer(201, {"properties": {}}, Azure_AsyncOperation=ASYNC, Location=RESULT, Retry_After="15")
    running = answer(200, {"status": "InProgress"}, Retry_After="5")
    arm, script, clock = client(begun, running, answer(200, {"status": "Succeeded"}), DONE)
    assert arm.put(PATH, V, {"location": "x"}) == DONE.json()
    assert [r.method for r in script.asked] == ["PUT", "GET", "GET", "GET"]
    assert str(script.asked[1].url) == ASYNC and script.asked[3].url.path == PATH
    assert clock.slept == [15.0, 5.0]


def test_a_failed_operation_is_an_error_with_azures_reason() -> None:
    begun = answer(201, {}, Azure_AsyncOperation=ASYNC)
    failed = answer(
        200, {"status": "Failed", "error": {"code": "DeploymentFailed", "message": "node 2 is off"}}
    )
    arm, _, _ = client(begun, failed)
    with pytest.raises(ArmError, match="node 2 is off") as caught:
        arm.put(PATH, V, {})
    assert (caught.value.status, caught.value.code) == (200, "DeploymentFailed")


def test_location_is_followed_until_it_is_not_202() -> None:
    begun = answer(202, Location=RESULT, Retry_After="0")
    arm, _, clock = client(begun, answer(202, Location=RESULT, Retry_After="0"), DONE, DONE)
    assert arm.put(PATH, V, {})["id"] == PATH
    assert clock.slept == [0.02, 0.02]  # Retry-After 0 does not mean: without a pause


def test_provisioning_state_is_polled_without_headers() -> None:
    pending = answer(200, {"properties": {"provisioningState": "Accepted"}})
    arm, _, clock = client(pending, pending, DONE)
    assert arm.put(PATH, V, {})["id"] == PATH
    assert clock.slept == [10.0, 10.0]


def test_a_failed_provisioning_state_is_an_error() -> None:
    pending = answer(201, {"properties": {"provisioningState": "Creating"}})
    arm, _, _ = client(pending, answer(200, {"properties": {"provisioningState": "Failed"}}))
    with pytest.raises(ArmError, match="provisioningState is failed"):
        arm.put(PATH, V, {})


def test_an_operation_that_does_not_end_is_a_timeout() -> None:
    begun = answer(201, {}, Azure_AsyncOperation=ASYNC, Retry_After="15")
    arm, _, clock = client(begun, answer(200, {"status": "InProgress"}, Retry_After="15"))
    with pytest.raises(ArmError, match="did not end in time") as caught:
        arm.put(PATH, V, {}, timeout=40)
    assert caught.value.code == "OperationTimeout"
    assert clock.now == 40


def test_a_change_waits_for_the_operation_of_an_interrupted_run() -> None:
    arm, _, _ = client(refused(409, "AnotherOperationInProgress"), DONE)
    assert arm.put(PATH, V, {})["id"] == PATH
    arm, _, _ = client(refused(409, "AnotherOperationInProgress"))
    with pytest.raises(ArmError, match="AnotherOperationInProgress"):
        arm.put(PATH, V, {}, timeout=60)


def test_delete_of_what_is_gone_is_done() -> None:
    client(refused(404, "ResourceNotFound"))[0].delete(PATH, V)
    client(httpx.Response(204))[0].delete(PATH, V)


def test_the_token_never_leaves_for_another_host() -> None:
    for url in ("https://evil.example/op", "http://management.azure.com/op", f"{ENDPOINT}.evil.example/op"):
        arm, script, _ = client(answer(201, {}, Azure_AsyncOperation=url, Retry_After="0"))
        with pytest.raises(ArmError) as caught:
            arm.put(PATH, V, {})
        assert (caught.value.code, len(script.asked)) == ("ForeignLink", 1)
    arm, script, _ = client(answer(200, {"value": [], "nextLink": "https://evil.example/"}))
    with pytest.raises(ArmError, match="another host"):
        list(arm.list(PATH, V))


@pytest.mark.parametrize("link", ["https://[", "https://management.azure.com:port/", 5, {"a": "b"}])
def test_a_link_that_is_none_is_not_followed(link: Any) -> None:
    with pytest.raises(ArmError) as caught:
        list(client(answer(200, {"value": [], "nextLink": link}))[0].list(PATH, V))
    assert caught.value.code == "ForeignLink"


@pytest.mark.parametrize(
    "content", [b"\xff", b"[" * 100_000, b'{"a": ' + b"1" * 5000 + b"}", b"[]", b"<html>"]
)
def test_an_answer_that_is_none_is_told_as_one(content: bytes) -> None:
    with pytest.raises(ArmError) as caught:
        client(httpx.Response(200, content=content))[0].get(PATH, V)
    assert caught.value.code == "UnreadableAnswer" and PATH in caught.value.message
    with pytest.raises(ArmError, match="HTTP 400, Unknown"):
        client(httpx.Response(400, content=content))[0].get(PATH, V)


@pytest.mark.parametrize("value", [5, "text", {"a": 1}])
def test_a_list_that_is_none_is_told_as_one(value: Any) -> None:
    with pytest.raises(ArmError, match="the answer is not a list") as caught:
        list(client(answer(200, {"value": value}))[0].list(PATH, V))
    assert caught.value.code == "UnreadableAnswer"


def test_details_of_an_error_may_be_anything() -> None:
    body = {"error": {"code": "Bad", "message": "No.", "details": 5}}
    with pytest.raises(ArmError, match="HTTP 400, Bad"):
        client(answer(400, body))[0].get(PATH, V)


def test_lists_are_read_page_by_page() -> None:
    link = f"{ENDPOINT}/subscriptions?api-version={V}&$skiptoken=1"
    arm, script, _ = client(
        answer(200, {"value": [{"n": 1}], "nextLink": link}), answer(200, {"value": [{"n": 2}]})
    )
    assert [item["n"] for item in arm.list("/subscriptions", V, {"$top": "1"})] == [1, 2]
    assert script.asked[0].url.params["$top"] == "1" and "skiptoken" in str(script.asked[1].url)


def test_tls_is_verified() -> None:
    seen: list[Any] = []
    original: Callable[..., Any] = httpx.Client.__init__

    def spy(self: httpx.Client, **options: Any) -> None:
        seen.append(options["verify"])
        original(self, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(httpx.Client, "__init__", spy)
        ArmClient(ENDPOINT, lambda: "t").close()
    assert isinstance(seen[0], ssl.SSLContext)
    assert seen[0].verify_mode is ssl.CERT_REQUIRED and seen[0].check_hostname


def test_throttling_that_says_how_long_is_no_attempt() -> None:
    told = [refused(429, "TooManyRequests", Retry_After="2")] * 9
    arm, script, clock = client(*told, DONE, retry=RetryPolicy(attempts=2))
    arm.put(PATH, V, {})
    assert len(script.asked) == 10
    assert clock.slept == [2.0, *[3.0] * 8], "a part of a second at random, from the second time on"


def test_throttling_is_waited_for_so_long_in_all() -> None:
    policy = RetryPolicy(longest_wait=100)
    arm, _, clock = client(refused(429, "TooManyRequests", Retry_After="30"), retry=policy)
    with pytest.raises(ArmError) as caught:
        arm.put(PATH, V, {})
    assert sum(clock.slept) <= 100 and caught.value.status == 429
    assert "gave up after waiting 92 s in all; Azure asks for 30 s more" in str(caught.value)


def test_throttling_that_does_not_say_how_long_is_an_attempt() -> None:
    arm, script, _ = client(refused(429, "TooManyRequests", Retry_After="0"), retry=RetryPolicy(attempts=4))
    with pytest.raises(ArmError):
        arm.get(PATH, V)
    assert len(script.asked) == 4


BEGUN = answer(201, {}, Azure_AsyncOperation=ASYNC, Retry_After="0")
LOST = httpx.ReadError("connection reset")


def test_an_outage_under_a_long_operation_is_waited_out() -> None:
    outage = [LOST, httpx.ConnectError("no route"), refused(503, "ServerBusy")] * 10
    arm, _, _ = client(BEGUN, *outage, answer(200, {"status": "Succeeded"}), *outage, DONE)
    assert arm.put(PATH, V, {})["id"] == PATH


def test_an_outage_that_does_not_end_is_told_and_the_change_counts_as_taken_on() -> None:
    arm, _, clock = client(BEGUN, LOST, retry=RetryPolicy(longest_silence=600))
    with pytest.raises(ArmError) as caught:
        arm.put(PATH, V, {}, timeout=36_000)
    assert (caught.value.code, caught.value.accepted) == ("ConnectionFailed", True)
    assert 600 <= clock.now < 800
    arm, _, clock = client(BEGUN, LOST)
    with pytest.raises(ArmError):
        arm.put(PATH, V, {}, timeout=60)
    assert clock.now < 200, "no longer than the operation may take"


def test_an_answer_that_is_a_refusal_ends_the_waiting() -> None:
    arm, script, _ = client(BEGUN, refused(403, "AuthorizationFailed"))
    with pytest.raises(ArmError, match="AuthorizationFailed"):
        arm.put(PATH, V, {})
    assert len(script.asked) == 2


@pytest.mark.parametrize(
    ("step", "in_doubt"), [(LOST, True), (httpx.ConnectError("refused"), False), (refused(409, "X"), False)]
)
def test_a_change_is_in_doubt_where_the_connection_broke_under_it(step: Step, in_doubt: bool) -> None:
    with pytest.raises(ArmError) as caught:
        client(step)[0].put(PATH, V, {})
    assert caught.value.in_doubt is in_doubt
    with pytest.raises(ArmError) as caught:
        client(step)[0].get(PATH, V)
    assert not caught.value.in_doubt
