"""Rules about what an agent needs beside it: stores, engines, toolboxes, a deployment that suits it."""

from collections.abc import Iterator
from typing import get_args

from fleet import catalog
from fleet.inventory.inventory import Inventory, Site
from fleet.inventory.rule import Finding, Rule
from fleet.inventory.shape import did_you_mean
from fleet.model.inference import PrivacyClass

_STRICTNESS = {name: number for number, name in enumerate(get_args(PrivacyClass))}
"""From `public`, the least strict."""


def _state(site: Site, _: Inventory) -> Iterator[Finding]:
    services = site.spec.services
    there = {"none": True, "redis": services.redis is not None, "postgres": services.postgres is not None}
    for name, agent in site.spec.agents.items():
        for key, what, store in (
            ("checkpoints", "checkpoints", agent.checkpoints),
            ("memoryStore", "memory", agent.memory_store),
        ):
            if not there[store]:
                yield Finding(
                    ("agents", name, key),
                    f"{name!r} keeps its {what} in {store}, which the site does not run",
                    f"add 'services: {{{store}: …}}', or '{key}: none'",
                )


def _langgraph_store(site: Site, _: Inventory) -> Iterator[Finding]:
    for name, agent in site.spec.agents.items():
        if agent.framework != "langgraph":
            continue
        for key, what, store in (
            ("checkpoints", "checkpoints", agent.checkpoints),
            ("memoryStore", "memory", agent.memory_store),
        ):
            if store == "redis":
                yield Finding(
                    ("agents", name, key),
                    f"{name!r} keeps LangGraph's {what} in redis: that needs RedisJSON and RediSearch, and a "
                    "site runs Valkey, which has neither",
                    f"'{key}: postgres'",
                )


def _durable(site: Site, _: Inventory) -> Iterator[Finding]:
    services = site.spec.services
    if services.temporal is not None:
        return
    for name, agent in site.spec.agents.items():
        if agent.long_running:
            has = "only Celery, which loses the work of a worker that dies" if services.celery else "none"
            yield Finding(
                ("agents", name, "longRunning"),
                f"{name!r} works for longer than a request and needs a durable engine; the site has {has}",
                "add 'services: {temporal: {}}', which keeps its state in PostgreSQL",
            )


def _toolboxes(site: Site, _: Inventory) -> Iterator[Finding]:
    known = site.spec.toolboxes
    for name, agent in site.spec.agents.items():
        if agent.toolbox is not None and agent.toolbox not in known:
            yield Finding(
                ("agents", name, "toolbox"),
                f"the agent {name!r} uses the toolbox {agent.toolbox!r}, which the site does not have",
                did_you_mean(agent.toolbox, known) or "add it under 'toolboxes:'",
            )


def _long_prompt(site: Site, _: Inventory) -> Iterator[Finding]:
    most = catalog.platform().system_prompt_tokens
    for name, agent in site.spec.agents.items():
        if agent.prompt_tokens > most:
            yield Finding(
                ("agents", name, "promptTokens"),
                f"the system prompt of {name!r} has {agent.prompt_tokens} tokens; "
                f"above {most} models follow it badly",
                "split it: into steps of a workflow, or into agents",
            )


def _prompt_fits(site: Site, _: Inventory) -> Iterator[Finding]:
    for name, agent in site.spec.agents.items():
        deployment = site.spec.inference.get(agent.inference)
        if deployment is None or not agent.prompt_tokens:
            continue
        taken = agent.prompt_tokens + deployment.max_output_tokens
        if taken >= deployment.context_tokens:
            yield Finding(
                ("agents", name, "promptTokens"),
                f"the system prompt of {name!r} and an answer take {taken} tokens; "
                f"{agent.inference!r} has {deployment.context_tokens}, and a question needs some",
                "a shorter prompt, a smaller 'maxOutputTokens', or a longer context",
            )


def _privacy(site: Site, _: Inventory) -> Iterator[Finding]:
    for name, agent in site.spec.agents.items():
        deployment = site.spec.inference.get(agent.inference)
        if deployment is not None and _STRICTNESS[agent.privacy] > _STRICTNESS[deployment.privacy]:
            yield Finding(
                ("agents", name, "inference"),
                f"{name!r} has {agent.privacy} prompts; {agent.inference!r} is for {deployment.privacy} ones",
                f"'privacy: {agent.privacy}' on the deployment, or another deployment",
            )


def _trust(site: Site, _: Inventory) -> Iterator[Finding]:
    for name, agent in site.spec.agents.items():
        deployment = site.spec.inference.get(agent.inference)
        if deployment is not None and deployment.trust_domain != agent.trust_domain:
            yield Finding(
                ("agents", name, "inference"),
                f"{name!r} is of the trust domain {agent.trust_domain!r}; "
                f"{agent.inference!r} is of {deployment.trust_domain!r}",
                f"a deployment with 'trustDomain: {agent.trust_domain}'",
            )


RULES = (
    Rule(
        code="AGT013",
        summary="an agent's state is kept in a store of its site",
        source="requirements D8, D21",
        check_site=_state,
    ),
    Rule(
        code="AGT014",
        summary="a long-running agent has a durable engine",
        source="requirements D5, D6",
        severity="warning",
        check_site=_durable,
    ),
    Rule(
        code="AGT015",
        summary="an agent uses a toolbox of its site",
        source="requirements C20, E5",
        check_site=_toolboxes,
    ),
    Rule(
        code="AGT016",
        summary="a system prompt is short enough to be followed",
        source="requirement J19",
        severity="warning",
        check_site=_long_prompt,
    ),
    Rule(
        code="AGT017",
        summary="a system prompt and an answer leave room for a question",
        source="requirements J19, O13",
        check_site=_prompt_fits,
    ),
    Rule(
        code="AGT018",
        summary="an agent's prompts go to a deployment that may be given them",
        source="requirements G21, M10",
        check_site=_privacy,
    ),
    Rule(
        code="AGT019",
        summary="an agent talks to a deployment of its own trust domain",
        source="requirement B26",
        severity="warning",
        check_site=_trust,
    ),
    Rule(
        code="AGT021",
        summary="LangGraph keeps its state where its clients can: in PostgreSQL",
        source="langgraph-checkpoint-redis 0.5.2, README (Redis Modules Requirements)",
        check_site=_langgraph_store,
    ),
)
