"""The load platform's keys: one that signs launches, one with a certificate for https."""

from __future__ import annotations

import ipaddress
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import certifi
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwcrypto.jwk import JWK

from tests.load.messages import KID


def make_keys(folder: Path) -> None:
    """Write into `folder`: key.pem and jwks.json for launches; server.pem for https; and authorities.pem,
    the public certificate authorities that `requests` ships plus our own."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    (folder / "key.pem").write_bytes(_pem(key))
    public = JWK.from_pyca(key.public_key()).export_public(as_dict=True)
    listed = {"keys": [{**public, "kid": KID, "alg": "RS256", "use": "sig"}]}
    (folder / "jwks.json").write_text(json.dumps(listed))
    server_key = ec.generate_private_key(ec.SECP256R1())
    certificate = _certificate(server_key).public_bytes(serialization.Encoding.PEM)
    (folder / "server.pem").write_bytes(_pem(server_key) + certificate)
    (folder / "authorities.pem").write_bytes(Path(certifi.where()).read_bytes() + certificate)


def _pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _certificate(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "load platform")])
    now = datetime.now(UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
