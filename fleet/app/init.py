"""The first fleet: one ring, one profile, one pilot site, with every placeholder marked and named."""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network

from fleet.app.site_draft import (
    CHECK,
    SiteRequest,
    draft_site,
    inherited,
    problem,
    with_checks,
    wrong_value,
)
from fleet.inventory.edit import new_text, plain
from fleet.inventory.schema import schema
from fleet.inventory.source import Path, SourceFile

REPLACE = "# REPLACE: "
"""Stands behind every placeholder of the files, before what to put there."""
TO_REPLACE = frozenset({"FLT007", "FLT008"})
"""The rules that find placeholders."""
NOBODY = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True)
class Question:
    """One thing that a first fleet must know. `at` is the field of a site whose form the answer has."""

    key: str
    text: str
    default: str
    at: Path
    hint: str = ""
    """For a default that is a placeholder: where the real value is found."""


QUESTIONS = (
    Question("name", "Name of the fleet", "fleet", ("name",)),
    Question("tenant", "Entra tenant id", NOBODY, ("azure", "tenant"), "az account show --query tenantId"),
    Question(
        "subscription", "Subscription id", NOBODY, ("azure", "subscription"), "az account show --query id"
    ),
    Question("region", "Azure region", "westeurope", ("azure", "region")),
    Question("domain", "Domain of the machines", "fleet.example", ("delivery", "registry"), "your domain"),
    Question("site", "Name of the pilot site", "pilot-1", ("name",)),
    Question("profile", "Name of its profile", "pilot", ("profile",)),
    Question("management", "Its management network", "10.20.1.0/24", ("azureLocal", "management", "cidr")),
    Question("kubernetes", "Its Kubernetes network", "10.20.2.0/24", ("kubernetes", "network", "cidr")),
)

_FLEET = """\
# {name}: one inventory for every site that runs agents and local inference.
# `fleet validate` checks it, `fleet site add` adds a site, docs/inventory.md lists every field.
apiVersion: fleet/v1
kind: Fleet
name: {name}

# Sites change ring by ring, in this order; the first site of the first ring goes alone.
rings:
  - name: canary
    soakMinutes: 60

# What every site has unless its profile, its ring or its own file says otherwise.
defaults:
  environment: prod
  azure:
    tenant: {tenant}
    subscription: {subscription}
    region: {region}
    hciResourceProviderObjectId: {nobody}{replace}{provider_hint}
  azureLocal:
    domainFqdn: {domain}
    intents:{replace}the names of the machines' network adapters
      - {{name: managementcompute, traffic: [Management, Compute], adapters: [ethernet, ethernet 2]}}
    secrets:
      localAdmin: {{env: FLEET_LOCAL_ADMIN}}
      lcmUser: {{env: FLEET_LCM_USER}}
  kubernetes:
    version: 1.30.4
    controlPlane: {{count: 1}}
    podCidr: 10.244.0.0/16
    adminGroups: [{nobody}]{replace}the Entra group that administers the clusters
    sshPublicKey: ssh-ed25519 REPLACE-WITH-A-PUBLIC-KEY{replace}the key that may log in to the nodes
  delivery: {{registry: {registry}}}{replace}the registry that sites without their own pull from

profiles:
  # One machine: the smallest site. Inference, agents and tools come here or in `defaults`.
  {profile}:
    topology: pilot-node
    connectivity: {{mode: connected}}
    kubernetes:
      systemPool: agents
      nodePools:
        agents: {{vmSize: Standard_D4s_v3, count: 1}}
"""
_PROVIDER_HINT = "az ad sp show --id 1412d89f-b8a8-4111-b4fd-e82905cbd85d --query id (facts 1.1)"


@dataclass(frozen=True)
class Placeholder:
    """A line of a new file that its user must change or check."""

    file: str
    line: int
    text: str
    """The remark behind it: what to put there."""


def wrong_answer(question: Question, answer: str) -> tuple[str, str | None] | None:
    """What is wrong with an answer, and what to type instead; None when nothing is."""
    if answer == NOBODY:
        return "an id of zeros names nobody", question.hint
    if question.key == "domain" and ":" in answer:
        return "a domain has no port", None
    return wrong_value(question.at, answer)


def first_fleet(answers: Mapping[str, str]) -> dict[str, str]:
    """The files of a first fleet by relative path; `fleet.yaml` is the last, for it makes the others count.

    `answers` has an answer, checked by `wrong_answer`, for the keys of QUESTIONS that were answered; the
    others take their defaults, placeholders with a remark. Raises `FleetError` when the networks overlap or
    are too small.
    """
    values = {question.key: answers.get(question.key, question.default) for question in QUESTIONS}
    text = {key: plain(value) for key, value in values.items()}
    for question in QUESTIONS:
        if question.key not in answers and question.hint:
            text[question.key] += f"  {REPLACE}{question.hint}"
    fleet = _FLEET.format(
        **text,
        nobody=NOBODY,
        replace=f"  {REPLACE}",
        provider_hint=_PROVIDER_HINT,
        registry=plain(f"registry.{values['domain']}"),
    )
    raw, _ = SourceFile("fleet.yaml", fleet.encode()).load()
    request = SiteRequest(
        name=values["site"],
        ring="canary",
        profile=values["profile"],
        management=IPv4Network(values["management"]),
        kubernetes=IPv4Network(values["kubernetes"]),
    )
    draft = draft_site(request, inherited(raw, request.ring, request.profile, request.name))
    assumed = list(draft.assumed)
    for key, network in (("management", "management network"), ("kubernetes", "Kubernetes network")):
        if key not in answers:
            assumed.append(f"the {network} is {values[key]}")
    return {
        f"sites/{request.name}.yaml": with_checks(new_text(draft.values, schema("site")), assumed),
        "fleet.yaml": fleet,
    }


def placeholders(files: Mapping[str, str]) -> list[Placeholder]:
    """Every line of the files that must be changed or checked, in their order."""
    found = []
    for name in sorted(files):
        for number, line in enumerate(files[name].splitlines(), 1):
            for mark in (REPLACE, CHECK):
                if mark in line:
                    key, _, remark = line.partition(mark)
                    field = key.strip().partition(":")[0].strip("- ")
                    words = f"{field}: {remark}" if field else f"check that {remark}"
                    found.append(Placeholder(name, number, words))
    return found


def next_steps(files: Mapping[str, str], folder: str) -> list[str]:
    """What its user does with a new fleet in `folder`, a line each."""
    steps = []
    for mark, words in (
        (REPLACE, "put your own values in, and take the remarks out"),
        (CHECK, "see whether it holds what was assumed, and take the remarks out"),
    ):
        count = {name: text.count(mark) for name, text in sorted(files.items()) if mark in text}
        if count:
            places = " and ".join(f"{folder}/{name}" for name in count)
            steps.append(f"{words}: {sum(count.values())} lines with {mark.strip(': ')} in {places}")
    option = "" if folder == "." else f" -i {folder}"
    return [
        *steps,
        f"fleet validate{option} says with its line what is left to do",
        f"fleet plan{option} shows what would be made in Azure, and touches nothing",
    ]


def answers_from(given: Mapping[str, str | None]) -> dict[str, str]:
    """The given answers. Raises `FleetError` (NEW002) for the first that is wrong."""
    answers = {key: value for key, value in given.items() if value is not None}
    for question in QUESTIONS:
        if question.key in answers and (wrong := wrong_answer(question, answers[question.key])):
            raise problem(f"--{question.key} {answers[question.key]}: {wrong[0]}", wrong[1])
    return answers
