"""The evaluator that test_network_meaning.py trusts, on the cases of Kubernetes' own documentation
(kubernetes.io/docs/concepts/services-networking/network-policies)."""

import pytest
import yaml

from tests.conformance.network_policies import Place, Policy, allowed, selects

DB = Place("db", "10.244.0.1", "default", {"role": "db"}, ports={"redis": 6379})
FRONTEND = Place("frontend", "10.244.0.2", "default", {"role": "frontend"})
OTHER = Place("other", "10.244.0.3", "default", {"role": "other"})
PROJECT = Place("project", "10.244.1.1", "project", {"role": "any"}, {"project": "myproject"})
CLIENT = Place("client", "10.244.1.2", "alice", {"role": "client"}, {"user": "alice"})
NOT_CLIENT = Place("no client", "10.244.1.3", "alice", {"role": "other"}, {"user": "alice"})
DEFAULT_CLIENT = Place("client here", "10.244.1.4", "default", {"role": "client"})
OUTSIDE, EXCEPTED = Place("outside", "172.17.0.9"), Place("excepted", "172.17.1.9")
EVERYONE = (FRONTEND, OTHER, PROJECT, CLIENT, NOT_CLIENT, DEFAULT_CLIENT, OUTSIDE, EXCEPTED)


def policy(spec: str, namespace: str = "default") -> Policy:
    return {"metadata": {"name": "test", "namespace": namespace}, "spec": yaml.safe_load(spec)}


def who_may(policies: list[Policy], port: int = 6379, protocol: str = "TCP") -> set[str]:
    """Who reaches the database."""
    return {each.name for each in EVERYONE if allowed(policies, each, DB, port, protocol)}


ALL = {each.name for each in EVERYONE}
# "The NetworkPolicy resource"; ingress half.
DOCUMENTED = policy("""
podSelector: {matchLabels: {role: db}}
policyTypes: [Ingress, Egress]
ingress:
  - from:
      - ipBlock: {cidr: 172.17.0.0/16, except: [172.17.1.0/24]}
      - namespaceSelector: {matchLabels: {project: myproject}}
      - podSelector: {matchLabels: {role: frontend}}
    ports: [{protocol: TCP, port: 6379}]
egress:
  - to: [{ipBlock: {cidr: 10.0.0.0/24}}]
    ports: [{protocol: TCP, port: 5978}]
""")


def test_the_documented_example() -> None:
    assert who_may([DOCUMENTED]) == {"outside", "project", "frontend"}
    assert who_may([DOCUMENTED], port=80) == set()
    assert who_may([DOCUMENTED], protocol="UDP") == set()
    near, far = Place("near", "10.0.0.7"), Place("far", "10.0.1.7")
    assert [allowed([DOCUMENTED], DB, to, port) for to, port in ((near, 5978), (near, 5979), (far, 5978))] == [
        True, False, False,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("{podSelector: {}, policyTypes: [Ingress]}", set()),  # default deny all ingress
        ("{podSelector: {}, policyTypes: [Ingress], ingress: []}", set()),
        ("{podSelector: {}, policyTypes: [Ingress], ingress: [{}]}", ALL),  # allow all ingress
        (
            "{podSelector: {}, policyTypes: [Egress]}",
            {"project", "client", "no client", "outside", "excepted"},
        ),
        ("{podSelector: {}, policyTypes: [Ingress, Egress]}", set()),  # default deny both
        ("{podSelector: {matchLabels: {role: web}}, policyTypes: [Ingress]}", ALL),  # selects another pod
        ("{podSelector: {}}", set()),  # ingress without policyTypes
        ("{podSelector: {}, egress: [{}]}", set()),  # egress rules isolate for ingress too
        # "AND" in one element, "OR" in two.
        (
            "{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {user: alice}}, "
            "podSelector: {matchLabels: {role: client}}}]}]}",
            {"client"},
        ),
        (
            "{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {user: alice}}}, "
            "{podSelector: {matchLabels: {role: client}}}]}]}",
            {"client", "no client", "client here"},
        ),
        # An empty namespaceSelector: all pods of all namespaces, and nothing outside.
        ("{podSelector: {}, ingress: [{from: [{namespaceSelector: {}}]}]}", ALL - {"outside", "excepted"}),
        ("{podSelector: {}, ingress: [{from: [{podSelector: {}}]}]}", {"frontend", "other", "client here"}),
        ("{podSelector: {}, ingress: [{from: []}]}", ALL),  # an empty list is no restriction
        # By name, as in "Targeting a Namespace by its name".
        (
            "{podSelector: {}, ingress: [{from: [{namespaceSelector: "
            "{matchLabels: {kubernetes.io/metadata.name: alice}}}]}]}",
            {"client", "no client"},
        ),
        ("{podSelector: {}, ingress: [{ports: [{port: redis}]}]}", ALL),
        ("{podSelector: {}, ingress: [{ports: [{port: http}]}]}", set()),
        ("{podSelector: {}, ingress: [{ports: [{port: 6000, endPort: 6379}]}]}", ALL),
        ("{podSelector: {}, ingress: [{ports: [{port: 6000, endPort: 6378}]}]}", set()),
        ("{podSelector: {}, ingress: [{ports: [{protocol: UDP, port: 6379}]}]}", set()),
        ("{podSelector: {}, ingress: [{ports: [{}]}]}", ALL),  # TCP, each port
    ],
)
def test_a_policy_alone(spec: str, expected: set[str]) -> None:
    assert who_may([policy(spec)]) == expected


def test_policies_add_up() -> None:
    deny = policy("{podSelector: {}, policyTypes: [Ingress]}")
    one = policy(
        "{podSelector: {matchLabels: {role: db}}, ingress: [{from: [{podSelector: {matchLabels: {role: frontend}}}]}]}"
    )
    two = policy(
        "{podSelector: {matchLabels: {role: db}}, ingress: [{from: [{ipBlock: {cidr: 172.17.1.0/24}}]}]}"
    )
    assert who_may([]) == ALL
    assert who_may([deny, one]) == {"frontend"}
    assert who_may([deny, one, two]) == who_may([two, one, deny]) == {"frontend", "excepted"}


def test_both_ends_must_allow() -> None:
    takes = policy("{podSelector: {matchLabels: {role: db}}, ingress: [{}]}")
    gives_nothing = policy("{podSelector: {matchLabels: {role: client}}, policyTypes: [Egress]}", "alice")
    assert who_may([takes, gives_nothing]) == ALL - {"client"}


def test_a_policy_is_of_its_namespace() -> None:
    assert who_may([policy("{podSelector: {}, policyTypes: [Ingress]}", "alice")]) == ALL


def test_expressions() -> None:
    def expression(operator: str, *values: str) -> bool:
        row = {"key": "role", "operator": operator, **({"values": values} if values else {})}
        return selects({"matchExpressions": [row]}, DB.labels)

    assert [expression("In", "db"), expression("In", "x"), expression("NotIn", "x")] == [True, False, True]
    assert [expression("NotIn", "db"), expression("Exists"), expression("DoesNotExist")] == [
        False,
        True,
        False,
    ]
    assert selects({"matchExpressions": [{"key": "none", "operator": "NotIn", "values": ["x"]}]}, DB.labels)
    with pytest.raises(ValueError, match="no operator"):
        expression("Equals", "db")
