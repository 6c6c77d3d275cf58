"""Starts a real control plane on loopback: kube-apiserver and etcd, and, where nodes are wanted, the controller
manager, the scheduler and KWOK, which plays the kubelets."""

import contextlib
import json
import secrets
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from fleet.sandbox.tls import ensure_server_tls, write_private
from tests.conformance.binaries import HERE, binary
from tests.conformance.cluster import Cluster, wait_until

Command = Sequence[str | Path]


@contextlib.contextmanager
def running_cluster(folder: Path, *, nodes: bool = False) -> Iterator[Cluster]:
    """A cluster with an empty etcd, its files and logs below `folder`, until the block ends.

    Without `nodes` it only takes objects. With them, controllers run, pods are scheduled to the Node objects that
    are made (tests/conformance/nodes.py), and KWOK makes them ready: no container runs.
    """
    names = ["etcd", "kube-apiserver"]
    names += ["kube-controller-manager", "kube-scheduler", "kwok"] if nodes else []
    programs = {name: binary(name) for name in names}
    etcd_port, peer_port, port = free_ports(3)
    tls = ensure_server_tls(folder / "tls")
    token, key = secrets.token_urlsafe(32), folder / "service-accounts.key"
    write_private(folder / "tokens.csv", f"{token},fleet,fleet,system:masters\n".encode())
    write_private(key, _private_key())
    etcd_url, url = f"http://127.0.0.1:{etcd_port}", f"https://127.0.0.1:{port}"
    with contextlib.ExitStack() as stack:
        servers: dict[str, Command] = {
            "etcd": [
                "--data-dir", folder / "etcd", "--unsafe-no-fsync",
                "--listen-client-urls", etcd_url, "--advertise-client-urls", etcd_url,
                "--listen-peer-urls", f"http://127.0.0.1:{peer_port}",
            ],
            "kube-apiserver": [
                f"--etcd-servers={etcd_url}",
                "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", f"--secure-port={port}",
                "--endpoint-reconciler-type=none", "--service-cluster-ip-range=10.96.0.0/12",
                f"--tls-cert-file={tls.cert_file}", f"--tls-private-key-file={tls.key_file}",
                f"--token-auth-file={folder / 'tokens.csv'}", "--authorization-mode=RBAC",
                "--anonymous-auth=false",
                "--service-account-issuer=https://kubernetes.default.svc",
                f"--service-account-key-file={key}", f"--service-account-signing-key-file={key}",
            ],
        }  # fmt: skip
        processes = started(stack, programs, servers, folder)
        cluster = Cluster(url, token, tls.ca_file, _write_kubeconfig(folder, url, token, tls.ca_file))
        stack.callback(cluster.close)

        def up() -> bool:
            require_running(processes, folder)
            return cluster.ready()

        wait_until(up, "the API server did not become ready")
        if nodes:
            processes |= started(
                stack, programs, _controllers(folder, cluster.kubeconfig, tls.ca_file, key), folder
            )

            def controlled() -> bool:
                require_running(processes, folder)
                accounts = cluster.get("/api/v1/namespaces/default/serviceaccounts")["items"]
                return any(account["metadata"]["name"] == "default" for account in accounts)

            wait_until(controlled, "the controller manager did nothing")
        yield cluster


def _write_kubeconfig(folder: Path, url: str, token: str, ca_file: Path) -> Path:
    kubeconfig = folder / "kubeconfig"
    # 0600, as it holds the token, which no argument list shows. JSON is YAML.
    write_private(kubeconfig, json.dumps(_kubeconfig(url, token, ca_file)).encode())
    return kubeconfig


def _controllers(folder: Path, kubeconfig: Path, ca_file: Path, key: Path) -> dict[str, Command]:
    scheduler = {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "clientConnection": {"kubeconfig": str(kubeconfig)},
        "leaderElection": {"leaderElect": False},
        # A second, not ten, before a pod that found no node is tried again.
        "podInitialBackoffSeconds": 1,
        "podMaxBackoffSeconds": 1,
    }
    (folder / "scheduler.json").write_text(json.dumps(scheduler))
    return {
        "kube-controller-manager": [
            f"--kubeconfig={kubeconfig}", "--leader-elect=false", "--secure-port=0",
            f"--service-account-private-key-file={key}", f"--root-ca-file={ca_file}",
        ],
        "kube-scheduler": [f"--config={folder / 'scheduler.json'}", "--secure-port=0"],
        "kwok": [
            f"--kubeconfig={kubeconfig}", f"--config={HERE / 'stages.yaml'}", "--manage-all-nodes",
            "--node-lease-duration-seconds=40", "--cidr=10.244.0.0/16",
        ],
    }  # fmt: skip


def _kubeconfig(url: str, token: str, ca_file: Path) -> Mapping[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": {"server": url, "certificate-authority": str(ca_file)}}],
        "users": [{"name": "fleet", "user": {"token": token}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "fleet"}}],
        "current-context": "test",
    }


def started(
    stack: contextlib.ExitStack,
    programs: Mapping[str, Path],
    arguments: Mapping[str, Command],
    folder: Path,
    environment: Mapping[str, str] | None = None,
) -> dict[str, subprocess.Popen[bytes]]:
    """Processes by name, ended with `stack`; each writes NAME.log in `folder`."""
    processes = {}
    for name, rest in arguments.items():
        log = stack.enter_context((folder / f"{name}.log").open("wb"))
        command = [str(programs[name]), *map(str, rest)]
        processes[name] = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        stack.callback(_stop, processes[name])
    return processes


def require_running(processes: Mapping[str, subprocess.Popen[bytes]], folder: Path) -> None:
    """Raise RuntimeError, with the end of its log, when one of `started` has ended."""
    for name, process in processes.items():
        if process.poll() is not None:
            raise RuntimeError(f"{name} ended: {(folder / f'{name}.log').read_text()[-2000:]}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nothing listens on now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _private_key() -> bytes:
    key = rsa.generate_private_key(65537, 2048)
    plain = serialization.NoEncryption()
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, plain
    )
