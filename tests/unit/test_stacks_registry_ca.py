"""`registry.caFile`: what is sent to Azure in plain text, and which files never are."""

import base64
import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from stacks_recorder import certificate_pem, changed, factory_sites

from fleet.model.site import SiteSpec
from fleet_stacks.errors import StackError
from fleet_stacks.registry_ca import read_ca

GRAZ = factory_sites()["graz"]


def with_ca(name: str | None) -> SiteSpec:
    return changed(GRAZ, registry={"caFile": name})


def key_pem() -> str:
    return (
        ec.generate_private_key(ec.SECP256R1())
        .private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        .decode()
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    inventory = tmp_path / "fleet"
    (inventory / "ca").mkdir(parents=True)
    return inventory


def test_a_site_without_a_private_ca_has_none(folder: Path) -> None:
    assert read_ca(folder, with_ca(None)) is None
    assert read_ca(folder, factory_sites()["turin"]) is None


def test_all_certificates_of_the_file_are_read_and_nothing_around_them(folder: Path) -> None:
    first, second = certificate_pem("one"), certificate_pem("two")
    (folder / "ca" / "root.pem").write_text(f"# issued to jo@factory.example\n{first}\npassword: x\n{second}")
    got = read_ca(folder, with_ca("ca/root.pem"))
    assert got is not None and base64.b64decode(got).decode() == first + second


def test_a_link_inside_the_folder_is_followed(folder: Path) -> None:
    (folder / "ca" / "root.pem").write_text(certificate_pem())
    (folder / "link.pem").symlink_to("ca/root.pem")
    assert read_ca(folder, with_ca("link.pem")) == read_ca(folder, with_ca("ca/root.pem"))


@pytest.mark.parametrize(
    "name", ["../ca.pem", "ca/../../ca.pem", "ca/../root.pem", "..", r"..\ca.pem", r"C:\ca.pem"]
)
def test_a_path_out_of_the_folder_is_refused(folder: Path, name: str) -> None:
    for path in (folder.parent / "ca.pem", folder / "root.pem", folder / r"..\ca.pem", folder / r"C:\ca.pem"):
        path.write_text(certificate_pem())
    with pytest.raises(StackError, match=r"registry\.caFile is .* inside the inventory's folder"):
        read_ca(folder, with_ca(name))


def test_an_absolute_path_is_refused_also_into_the_folder(folder: Path) -> None:
    (folder / "root.pem").write_text(certificate_pem())
    with pytest.raises(StackError, match="inside the inventory's folder"):
        read_ca(folder, with_ca(str(folder / "root.pem")))


@pytest.mark.parametrize("link", ["ca.pem", "linked/ca.pem"])
def test_a_link_out_of_the_folder_is_refused(folder: Path, link: str) -> None:
    outside = folder.parent / "outside"
    outside.mkdir()
    (outside / "ca.pem").write_text(certificate_pem())
    (folder / "linked").symlink_to(outside)
    (folder / "ca.pem").symlink_to(outside / "ca.pem")
    with pytest.raises(StackError, match="leads out"):
        read_ca(folder, with_ca(link))


def test_what_is_no_readable_file_is_refused(folder: Path) -> None:
    (folder / "loop.pem").symlink_to("loop.pem")
    os.mkfifo(folder / "pipe.pem")
    (folder / "large.pem").write_text(certificate_pem() + "#" * (1 << 20))
    for name, why in (
        ("missing.pem", "No such file"),
        ("ca", "not a file"),
        ("pipe.pem", "not a file"),
        ("loop.pem", "can't be read"),
        ("a\0b", "can't be read"),
        ("large.pem", "1 MiB"),
    ):
        with pytest.raises(StackError, match=why):
            read_ca(folder, with_ca(name))


@pytest.mark.parametrize("also_a_certificate", [False, True])
@pytest.mark.parametrize("label", ["PRIVATE KEY", "OPENSSH PRIVATE KEY", "CERTIFICATE REQUEST"])
def test_a_file_with_anything_but_certificates_is_refused(
    folder: Path, label: str, also_a_certificate: bool
) -> None:
    other = key_pem().replace("PRIVATE KEY", label)
    (folder / "ca.pem").write_text((certificate_pem() if also_a_certificate else "") + other)
    with pytest.raises(StackError, match=f"it holds {label}") as error:
        read_ca(folder, with_ca("ca.pem"))
    assert other.splitlines()[1] not in str(error.value)


def test_a_bundle_that_is_cut_short_is_refused(folder: Path) -> None:
    (folder / "ca.pem").write_text(certificate_pem() + certificate_pem()[:200])
    with pytest.raises(StackError, match="cut short"):
        read_ca(folder, with_ca("ca.pem"))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"admin:correct-horse\n",
        b"-----BEGIN CERTIFICATE-----\n",
        b"-----BEGIN CERTIFICATE-----\nbm90IG9uZQ==\n-----END CERTIFICATE-----\n",
        b"\xff\xfe\x00\x30\x82",
    ],
)
def test_what_is_no_certificate_is_refused_and_not_shown(folder: Path, content: bytes) -> None:
    (folder / "ca.pem").write_bytes(content)
    with pytest.raises(StackError, match="no certificates") as error:
        read_ca(folder, with_ca("ca.pem"))
    assert "correct-horse" not in str(error.value)
