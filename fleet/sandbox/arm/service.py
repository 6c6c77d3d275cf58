"""The stand-in without a server: one request in, one answer out."""

from fleet.sandbox.arm import crud, groups
from fleet.sandbox.arm.crud import Site
from fleet.sandbox.arm.errors import ArmAnswerError, bad_request
from fleet.sandbox.arm.faults import Fault, FaultBook, FaultError, parse_fault
from fleet.sandbox.arm.ids import Address, parse_address, split_path
from fleet.sandbox.arm.limits import Throttle, remaining, sort_of
from fleet.sandbox.arm.messages import ArmRequest, ArmResponse
from fleet.sandbox.arm.operations import behaviour_of, result_answer, settle, status_answer
from fleet.sandbox.arm.types import GROUP_TYPE
from fleet.sandbox.arm.world import World

NOT_CHECKED = (
    "property schemas (the tests check bodies against Microsoft's type definitions)",
    "who the caller is and what they may do (any bearer of the sandbox's token may do everything)",
    "policies, locks and regions; request rates, quotas and provider registration unless it is strict",
    "whether role assignments have propagated; a recovered Key Vault comes back without its secrets",
    "references from other resources on delete, apart from children",
)


class DroppedConnection(Exception):  # noqa: N818 (it is not an error of ours, it is an order)
    """A fault that breaks the connection was ordered.

    `answer` is what the caller does not get to see, None where the request was not carried out.
    """

    def __init__(self, answer: ArmResponse | None = None) -> None:
        super().__init__()
        self.answer = answer


class ArmService:
    """Answers requests against a world. Thread-safe: the store's lock is held while state is touched."""

    def __init__(self, world: World, site: Site) -> None:
        self.world = world
        self.site = site
        self._throttle = Throttle(site.strictness.rates)

    @property
    def faults(self) -> FaultBook:
        """The faults on order."""
        return self.site.faults

    def handle(self, request: ArmRequest) -> ArmResponse:
        """The answer to a request whose caller has been authenticated; problems are answers too.

        Raises `DroppedConnection` where a fault wants the caller to get no answer.
        """
        headers: dict[str, str] = {}
        fault: Fault | None = None
        try:
            segments = split_path(request.path)
            if segments[:1] == ["sandbox"]:
                return self._order(request, segments)
            path = "/" + "/".join(segments)
            headers = self._throttle.take(request.method, path, self.world.clock())
            fault = self._strike(request, path, type_of(segments))
            with self.world.store.lock:
                settle(self.world)
                answer = self._route(request, segments)
            for resource in answer.resources:
                behaviour_of(resource["type"]).view(self.world, resource)
        except ArmAnswerError as problem:
            answer = ArmResponse(problem.status, problem.body(), dict(problem.headers))
        answer.headers = {**headers, **answer.headers}
        if fault is not None:
            raise DroppedConnection(answer)
        return answer

    def _strike(self, request: ArmRequest, path: str, resource_type: str | None) -> Fault | None:
        """Raise what a fault on order wants instead of an answer; the fault that wants the answer lost."""
        fault = self.faults.strike(("http", "throttle", "drop", "lost"), request.method, path, resource_type)
        if fault is None or fault.kind == "lost":
            return fault
        if fault.kind == "drop":
            raise DroppedConnection
        problem = fault.problem()
        if fault.kind == "throttle":
            problem.headers |= remaining(sort_of(request.method), 0)
        raise problem

    def _route(self, request: ArmRequest, segments: list[str]) -> ArmResponse:
        world, site = self.world, self.site
        if not request.api_version:
            raise bad_request(
                "MissingApiVersionParameter",
                "The api-version query parameter (?api-version=) is required for all requests.",
            )
        match [segment.lower() for segment in segments]:
            case ["subscriptions"]:
                self._check_version("Microsoft.Resources/subscriptions", request)
                return groups.subscriptions(site)
            case ["subscriptions", _]:
                self._check_version("Microsoft.Resources/subscriptions", request)
                return groups.subscription(site, segments[1])
            case ["subscriptions", _, "resourcegroups"]:
                self._check_version(GROUP_TYPE, request)
                return groups.groups(world, site, request, segments[1])
            case ["subscriptions", _, "resourcegroups", _]:
                self._check_version(GROUP_TYPE, request)
                return groups.group(world, site, request, segments[1], segments[3])
            case ["subscriptions", _, "resources"]:
                # Clients send old versions here (the Key Vault SDK 2015-11-01): ARM keeps them all.
                return groups.resources(world, site, request, segments[1], None)
            case ["subscriptions", _, "resourcegroups", _, "resources"]:
                self._check_version("Microsoft.Resources/resources", request)
                return groups.resources(world, site, request, segments[1], segments[3])
            case ["subscriptions", _, "providers"]:
                self._check_version("Microsoft.Resources/providers", request)
                return groups.providers(world, site, segments[1])
            case ["subscriptions", _, "providers", _]:
                self._check_version("Microsoft.Resources/providers", request)
                return groups.provider(world, site, request, segments[1], segments[3], None)
            case ["subscriptions", _, "providers", _, ("register" | "unregister") as action]:
                self._check_version("Microsoft.Resources/providers", request)
                return groups.provider(world, site, request, segments[1], segments[3], action)
            case ["subscriptions", _, "providers", _, "locations", _, kind, operation] if kind in (
                "operationstatuses",
                "operationresults",
            ):
                return self._operation(request, segments[1], kind, operation)
        address = parse_address(segments)
        if address is None:
            raise ArmAnswerError(
                404,
                "NotFound",
                f"The stand-in has nothing at '{request.path[:200]}'; see GET / for what it is.",
            )
        return self._typed(request, address)

    def _check_version(self, resource_type: str, request: ArmRequest) -> None:
        self.world.table.find(resource_type).check_api_version(request.api_version)

    def _operation(self, request: ArmRequest, subscription: str, kind: str, name: str) -> ArmResponse:
        self.site.require_subscription(subscription)
        operation = self.world.store.operation(name)
        if operation is None or f"/{subscription}/".lower() not in operation.resource_id.lower() + "/":
            raise ArmAnswerError(404, "OperationNotFound", f"The operation '{name}' is not known.")
        if request.method != "GET":
            raise groups.method_not_allowed(request.method)
        if kind == "operationstatuses":
            return status_answer(self.world, request.path, operation)
        return result_answer(self.world, self.site.endpoint, operation, request.api_version)

    def _typed(self, request: ArmRequest, address: Address) -> ArmResponse:
        world, site, method = self.world, self.site, request.method
        if not address.is_resource and method == "POST":
            kind = world.table.find(address.owner.full_type) if address.names else None
            if kind is None:
                raise groups.method_not_allowed(method)
            kind.check_api_version(request.api_version)
            return crud.act(world, site, address)
        kind = world.table.find(address.full_type)
        kind.check_api_version(request.api_version)
        if not address.is_resource:
            if method != "GET":
                raise groups.method_not_allowed(method)
            return crud.listing(world, site, request, crud.collection(world, site, address, kind))
        if method == "GET":
            return crud.read(world, site, request, address, kind)
        if method == "HEAD":
            crud.get(world, site, address)
            return ArmResponse(204)
        if kind.system:
            raise groups.method_not_allowed(method)
        if method in ("PUT", "PATCH"):
            return crud.put(world, site, request, address, kind)
        if method == "DELETE":
            return crud.delete(world, site, request, address, kind)
        raise groups.method_not_allowed(method)

    def _order(self, request: ArmRequest, segments: list[str]) -> ArmResponse:
        """`/sandbox/faults`: GET lists, POST orders one, DELETE cancels one (by id) or all."""
        match (request.method, *segments[1:]):
            case ("GET", "faults"):
                return ArmResponse(200, {"value": [fault.shown() for fault in self.faults.all()]})
            case ("POST", "faults"):
                try:
                    fault = parse_fault(request.json_object())
                except FaultError as error:
                    raise bad_request("InvalidFault", f"{error.message}.") from None
                return ArmResponse(201, self.faults.add(fault).shown())
            case ("DELETE", "faults"):
                return ArmResponse(200, {"removed": self.faults.remove()})
            case ("DELETE", "faults", fault_id):
                return ArmResponse(200, {"removed": self.faults.remove(fault_id)})
            case _:
                raise ArmAnswerError(404, "NotFound", "The sandbox has /sandbox/faults: GET, POST, DELETE.")


def type_of(segments: list[str]) -> str | None:
    """The resource type that a path is about (an action's name is appended to its target's), or None."""
    address = parse_address(segments)
    if address is not None:
        return address.full_type
    lowered = [segment.lower() for segment in segments]
    return GROUP_TYPE if lowered[2:3] == ["resourcegroups"] else None


def about(endpoint: str) -> dict[str, object]:
    """What `GET /` says."""
    return {
        "name": "fleet sandbox: a stand-in for Azure Resource Manager",
        "standIn": True,
        "endpoint": endpoint,
        "checked": "api versions, existence of parents, custom locations and machines, ARM's errors, "
        "long-running operations, and what a cluster's deployment creates",
        "notChecked": list(NOT_CHECKED),
    }
