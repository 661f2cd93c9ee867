"""The files of certificates, as authorities, editors and Kubernetes write them."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.request import urlopen

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509 import CertificateBuilder, DNSName, Name, NameAttribute, SubjectAlternativeName
from cryptography.x509.oid import NameOID

from authorities import Authority, Issued
from tallymark import Client
from tallymark.testing import Server, ServerError


def _self_signed(folder: Path, key: Ed25519PrivateKey | EllipticCurvePrivateKey) -> Issued:
    """Return a certificate for localhost that the key has signed itself."""
    name = Name([NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
    made = made.add_extension(SubjectAlternativeName([DNSName("localhost")]), critical=False)
    signed = made.sign(key, None if isinstance(key, Ed25519PrivateKey) else SHA256())
    issued = Issued(folder / "own.crt", folder / "own.key")
    issued.certificate.write_bytes(signed.public_bytes(Encoding.PEM))
    issued.key.touch(mode=0o600)
    issued.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return issued


@pytest.mark.parametrize(
    "key", [Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP521R1())], ids=["Ed25519", "P-521"]
)
def test_a_key_that_grpc_cannot_use_is_refused(
    tmp_path: Path, key: Ed25519PrivateKey | EllipticCurvePrivateKey
) -> None:
    """A server does not start with a certificate that works for HTTP alone."""
    issued = _self_signed(tmp_path, key)
    with pytest.raises(ServerError, match="gRPC does not connect"), Server(tmp_path / "a.db", issued.for_server):
        pass


def test_a_key_of_another_curve_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server with a key of P-384 answers over gRPC."""
    issued = _self_signed(tmp_path, ec.generate_private_key(ec.SECP384R1()))
    monkeypatch.setenv("TALLYMARK_CA", str(issued.certificate))
    with Server(tmp_path / "tallymark.db", issued.for_server) as server:
        port = server.address.rpartition(":")[2]
        with Client(f"grpcs://localhost:{port}") as client:
            assert client.newest_revision() == 0


BOM = b"\xef\xbb\xbf"


@pytest.mark.parametrize(
    ("before", "ends"),
    [(BOM, b"\n"), (BOM, b"\r\n"), ("# F\u0151tan\u00fas\u00edtv\u00e1ny\n".encode(), b"\n"), (b"", b"\r\n")],
)
def test_files_as_editors_and_collections_write_them(
    tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch, before: bytes, ends: bytes
) -> None:
    """A mark of the encoding, comments in any language and other ends of lines are taken in every file of TLS."""
    issued, mine = authority.issue(), authority.issue("ci.lab.example", file="client")
    trusted = authority.certificate.read_text()
    for file in (*issued, *mine, authority.certificate):
        file.write_bytes(before + file.read_bytes().replace(b"\n", ends))
    monkeypatch.setenv("TALLYMARK_CA", str(authority.certificate))
    monkeypatch.setenv("TALLYMARK_CLIENT_CERT", str(mine.certificate))
    monkeypatch.setenv("TALLYMARK_CLIENT_KEY", str(mine.key))
    options = [*issued.for_server, "--client-ca", str(authority.certificate)]
    with Server(tmp_path / "tallymark.db", options, http="127.0.0.1:0") as server:
        with Client(server.address) as client:
            assert client.newest_revision() == 0
        context = ssl.create_default_context(cadata=trusted)
        context.load_cert_chain(mine.certificate, mine.key)
        with urlopen(f"{server.dashboard}models.json", context=context) as answer:
            assert answer.status == 200


def test_a_secret_of_kubernetes_is_renewed_by_its_link(
    tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files that are links, whose folder is replaced by replacing another link, are read again at both ports."""
    mount = tmp_path / "mount"
    (mount / "..1").mkdir(parents=True)
    (mount / "..data").symlink_to("..1")
    files = Issued(mount / "tls.crt", mount / "tls.key")
    for file, source in zip(files, authority.issue(), strict=True):
        (mount / "..1" / file.name).write_bytes(source.read_bytes())
        file.symlink_to(f"..data/{file.name}")
    files.key.chmod(0o440)
    with Server(tmp_path / "tallymark.db", files.for_server, http="127.0.0.1:0") as server:
        ports = [int(each.rstrip("/").rpartition(":")[2]) for each in (server.address, server.dashboard)]
        before = {ssl.get_server_certificate(("127.0.0.1", port)) for port in ports}
        (mount / "..2").mkdir()
        for file, source in zip(files, authority.issue(file="new"), strict=True):
            (mount / "..2" / file.name).write_bytes(source.read_bytes())
        (mount / "..2/tls.key").chmod(0o440)
        (mount / "..data_tmp").symlink_to("..2")
        (mount / "..data_tmp").rename(mount / "..data")
        after = {ssl.get_server_certificate(("127.0.0.1", port)) for port in ports}
    assert (len(before), len(after), before & after) == (1, 1, set())
