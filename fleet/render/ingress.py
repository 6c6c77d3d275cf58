"""The one entry to a site's agents: a controller in `platform`, and a path for each agent without callers."""

from collections.abc import Callable, Iterator, Mapping
from ipaddress import IPv4Network
from typing import Any

from fleet.model.agents import Agent
from fleet.model.services import Ingress
from fleet.model.site import SiteSpec
from fleet.render.certificates import INGRESS_SECRET
from fleet.render.controllers import Controller, image, placement, replicas_of, split_image
from fleet.render.section import Section, api_server_networks
from fleet.render.templating import render_template

COMPONENTS = {"traefik": "traefik", "nginx": "nginx-ingress", "kong": "kong"}
"""`nginx` is F5 NGINX's own controller: Kubernetes' ingress-nginx was retired in March 2026 (from memory)."""
POD_LABELS = {"fleet/role": "ingress"}
"""By which network policies know the controller's pods, whatever their chart calls them."""
HTTPS_PORT, HTTP_PORT = 8443, 8000
"""Where its pods listen: no privilege is needed for these."""


def controllers(spec: SiteSpec) -> Iterator[Controller]:
    """The ingress controller of the site's kind."""
    if spec.platform.ingress is not None:
        kind = spec.platform.ingress.kind
        yield Controller(COMPONENTS[kind], "platform", _VALUES[kind](spec, spec.platform.ingress))


def sections(spec: SiteSpec) -> Iterator[Section]:
    """The section `ingress`: routes, limits, and who may reach the controller."""
    ingress = spec.platform.ingress
    if ingress is None:
        return
    files = {
        "network-policies.yaml": render_template(
            "platform/ingress/network-policies.yaml.j2",
            labels=POD_LABELS,
            networks=allowed_networks(spec, ingress),
            api_servers=api_server_networks(spec),
            https_port=HTTPS_PORT,
            http_port=HTTP_PORT,
            acme=_acme(spec),
        )
    }
    agents = entered(spec)
    if agents:
        files["routes.yaml"] = render_template(
            f"platform/ingress/{ingress.kind}.yaml.j2",
            ingress=ingress,
            agents=agents,
            secret=INGRESS_SECRET,
            burst=max(ingress.requests_per_minute // 10, 10),
            rewrites=";".join(f"serviceName={name} rewrite=/" for name in agents),
        )
    yield Section("ingress", "platform/ingress", files, ("platform", "controllers", "certificates"))


def entered(spec: SiteSpec) -> Mapping[str, Agent]:
    """Agents that the ingress leads to: those that name no callers inside the cluster."""
    return {name: agent for name, agent in spec.agents.items() if not agent.callers}


def allowed_networks(spec: SiteSpec, ingress: Ingress) -> tuple[IPv4Network, ...]:
    """Who may reach it: what the inventory says, else the site's own networks."""
    own = (spec.azure_local.management.cidr, spec.kubernetes.network.cidr)
    return ingress.allowed_cidrs or tuple(dict.fromkeys(own))


def _acme(spec: SiteSpec) -> bool:
    return spec.platform.certificates.issuer == "acme"


def _service(spec: SiteSpec) -> dict[str, str]:
    """Clients keep their addresses, by which they are let in and counted.

    Without addresses to announce, a load balancer's would be waited for without end.
    """
    there = spec.kubernetes.network.load_balancer is not None
    return {"type": "LoadBalancer" if there else "NodePort", "externalTrafficPolicy": "Local"}


def _resources(memory_mib: int) -> dict[str, Any]:
    return {
        "requests": {"cpu": "100m", "memory": f"{memory_mib // 2}Mi"},
        "limits": {"memory": f"{memory_mib}Mi"},
    }


def _traefik(spec: SiteSpec, ingress: Ingress) -> Mapping[str, Any]:
    """github.com/traefik/traefik-helm-chart 41.3.0, traefik/values.yaml. Traefik itself does not buffer."""
    seconds = f"{ingress.read_timeout_seconds}s"
    return {
        "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
        "image": split_image(spec, "traefik", "docker.io/library/traefik"),
        "api": {"dashboard": False},
        "deployment": {"replicas": replicas_of(spec), "podLabels": POD_LABELS},
        "podDisruptionBudget": {"enabled": True, "maxUnavailable": 1},
        "resources": _resources(256),
        **placement(spec),
        "ingressClass": {"enabled": True, "isDefaultClass": False, "name": "traefik"},
        "providers": {
            "kubernetesCRD": {"namespaces": ["agents"]},
            # Only cert-manager makes Ingresses there, to answer an ACME server.
            "kubernetesIngress": {"enabled": _acme(spec), "namespaces": ["agents"]},
        },
        "ports": {
            "web": {"port": HTTP_PORT, "expose": {"default": _acme(spec)}},
            "websecure": {
                "port": HTTPS_PORT,
                "transport": {"respondingTimeouts": {"readTimeout": seconds, "idleTimeout": seconds}},
            },
        },
        "service": {"spec": _service(spec)},
    }


def _nginx(spec: SiteSpec, ingress: Ingress) -> Mapping[str, Any]:
    """github.com/nginx/kubernetes-ingress, charts/nginx-ingress 2.7.0, values.yaml."""
    return {
        "controller": {
            "image": image(spec, "nginx-ingress", "docker.io/nginx/nginx-ingress"),
            "replicaCount": replicas_of(spec),
            "pod": {"extraLabels": POD_LABELS},
            "podDisruptionBudget": {"enabled": True, "maxUnavailable": 1},
            "resources": _resources(512),
            **placement(spec),
            "watchNamespace": "agents",
            "enableCustomResources": False,
            "telemetryReporting": {"enable": False},
            "readOnlyRootFilesystem": True,
            "containerPort": {"http": HTTP_PORT, "https": HTTPS_PORT},
            "defaultHTTPListenerPort": HTTP_PORT,
            "defaultHTTPSListenerPort": HTTPS_PORT,
            "config": {
                "entries": {
                    "ssl-protocols": "TLSv1.2 TLSv1.3",
                    "proxy-buffering": "false",
                    "proxy-read-timeout": f"{ingress.read_timeout_seconds}s",
                    "server-tokens": "off",
                }
            },
            "service": {
                **_service(spec),
                "httpPort": {"enable": _acme(spec), "targetPort": HTTP_PORT},
                "httpsPort": {"targetPort": HTTPS_PORT},
            },
        },
        "prometheus": {"create": False},
    }


def _kong(spec: SiteSpec, _: Ingress) -> Mapping[str, Any]:
    """github.com/Kong/charts, charts/kong 3.4.1, values.yaml; without a database."""
    return {
        "image": image(spec, "kong", "docker.io/library/kong"),
        "replicaCount": replicas_of(spec),
        "podLabels": POD_LABELS,
        "podDisruptionBudget": {"enabled": True, "maxUnavailable": 1},
        "resources": _resources(1024),
        **placement(spec),
        "env": {"database": "off", "ssl_cipher_suite": "intermediate", "anonymous_reports": "off"},
        "proxy": {
            **_service(spec),
            "http": {"enabled": _acme(spec), "containerPort": HTTP_PORT},
            "tls": {"containerPort": HTTPS_PORT},
        },
        "manager": {"enabled": False},
        "ingressController": {
            "image": image(spec, "kong", "docker.io/kong/kubernetes-ingress-controller"),
            "watchNamespaces": ["agents"],
            "env": {"anonymous_reports": "false"},
            "admissionWebhook": {"enabled": False},
        },
    }


_VALUES: Mapping[str, Callable[[SiteSpec, Ingress], Mapping[str, Any]]] = {
    "traefik": _traefik,
    "nginx": _nginx,
    "kong": _kong,
}
