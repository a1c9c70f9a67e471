"""HTTPS: the operator's certificate, or one that this server makes for itself and keeps.

Browsers give the camera to pages of `localhost` and of HTTPS addresses only, so a phone needs the latter. A made
certificate is signed by nobody: the browser warns once, and the exception then holds as long as the certificate.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
import socket
import ssl
from collections.abc import Sequence
from pathlib import Path

import ifaddr
import platformdirs
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from webrtc_server.config import Config
from webrtc_server.config.listening import TLS_AUTO, TLS_OFF
from webrtc_server.policy.hosts import ANY

LIFE = datetime.timedelta(
    days=397
)  # browsers refuse longer ones (CA/Browser Forum's rules, which Apple applies to all)
RENEW_BEFORE = datetime.timedelta(days=30)


class BadCertificate(Exception):
    """The certificate or the key cannot be used; the message says which, and why."""


def context_for(config: Config) -> ssl.SSLContext | None:
    """As `tls` says: None where it is off. Raises BadCertificate."""
    return None if config.tls == TLS_OFF else context(config.tls_files, *certificate_names(config))


def certificate_names(config: Config) -> tuple[list[str], list[str]]:
    """All that clients may write for this server, as far as it knows: what a made certificate has to hold, and this
    machine's IPv6 addresses, which it holds when it is made. Many systems take new ones each day (RFC 8981).
    """
    told = [*config.allowed_hosts, config.public_ip or ANY, ANY if config.is_everywhere else config.host]
    own = host_names()
    lasting = [name for name in own if ":" not in name]
    names = [*lasting, *(name for name in told if name != ANY and name.isascii())]
    return names, [name for name in own if ":" in name]


def context(files: tuple[Path, Path] | None, names: Sequence[str], passing: Sequence[str] = ()) -> ssl.SSLContext:
    """For a server of these host names and addresses. `files`, certificate and key in PEM, or None: one is made.

    Raises BadCertificate.
    """
    certificate, key = files or own_certificate(own_folder(), names, passing)
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        made.load_cert_chain(certificate, key, _no_pass_phrase)
        if files and (ended := _ended(certificate)):
            raise BadCertificate(f"the certificate {certificate} ended on {ended}")
    except ValueError as error:
        raise BadCertificate(f"the key {key} cannot be used: {error}") from error
    except OSError as error:  # ssl.SSLError is one
        why = error.strerror if error.filename is None else f"{error.filename}: {error.strerror}"
        raise BadCertificate(f"the certificate {certificate} and its key {key} cannot be used: {why}") from error
    return made


def _ended(path: Path) -> datetime.date | None:
    """When the first certificate in `path` did, if it did."""
    try:
        end = x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc
    except ValueError:  # OpenSSL, which serves it, takes more
        return None
    return end.date() if end < datetime.datetime.now(datetime.UTC) else None


def own_folder() -> Path:
    """Where a made certificate is kept."""
    return platformdirs.user_state_path("live-diffusion")


def is_kept(folder: Path, names: Sequence[str]) -> bool:
    """Whether `own_certificate` has nothing to write there."""
    return _is_good(folder / "certificate.pem", folder / "key.pem", names)


def own_certificate(folder: Path, names: Sequence[str], passing: Sequence[str] = ()) -> tuple[Path, Path]:
    """Certificate and key in `folder`, made where there are none for all `names`, or they end soon; then for
    `passing`, too.

    Raises BadCertificate where the folder cannot be written.
    """
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    if not _is_good(certificate, key, names):
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            _write(key, certificate, [*names, *passing])
        except OSError as error:
            raise BadCertificate(f"no certificate can be kept in {folder}: {error.strerror}") from error
    return certificate, key


def _is_good(path: Path, key: Path, names: Sequence[str]) -> bool:
    try:
        pair = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        pair.load_cert_chain(path, key, _no_pass_phrase)  # whether they belong together
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        held = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, x509.ExtensionNotFound):
        return False
    ends_late = certificate.not_valid_after_utc - datetime.datetime.now(datetime.UTC) > RENEW_BEFORE
    return ends_late and set(_general(names)) <= set(held)


def _no_pass_phrase() -> str:
    """Else OpenSSL asks for one at the terminal, and waits."""
    raise ValueError("it has a pass phrase, and there is nobody to type it")


def _general(names: Sequence[str]) -> list[x509.GeneralName]:
    general: list[x509.GeneralName] = []
    for name in dict.fromkeys(names):
        try:
            general.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            general.append(x509.DNSName(name))
    return general


def _write(key_path: Path, certificate_path: Path, names: Sequence[str]) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Live Diffusion")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))  # a phone's clock may be behind
        .not_valid_after(now + LIFE)
        .add_extension(x509.SubjectAlternativeName(_general(names)), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    key_path.unlink(missing_ok=True)
    with open(key_path, "xb", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
        file.write(private)
    certificate_path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def own_names(config: Config) -> list[str]:
    """The names under which this machine's network knows it, where a made certificate says that they are this server's.

    None of them can be a stranger's: they have no dot, or end in .local, or are this machine's own.
    """
    return [name for name in host_names() if not _is_address(name)] if config.tls == TLS_AUTO else []


def host_names() -> list[str]:
    """What this machine may be called: localhost, its name, and its addresses but for link-local ones."""
    name = socket.gethostname().lower()
    names = [name] if "." in name else [name, f"{name}.local"]
    return ["localhost", *(names if name and name.isascii() else []), *addresses()]


def addresses() -> list[str]:
    """This machine's addresses: the one that leads to other networks first, no link-local ones, loopback last."""
    found = [
        ipaddress.ip_address(ip.ip if isinstance(ip.ip, str) else ip.ip[0])
        for adapter in ifaddr.get_adapters()
        for ip in adapter.ips
    ]
    usable = [address for address in dict.fromkeys(found) if not address.is_link_local]
    outward = _outward()
    usable.sort(key=lambda address: (address.is_loopback, str(address) != outward, address.version))
    return [str(address) for address in usable]


def _outward() -> str:
    """The address from which this machine would speak to the internet, or nothing. Nothing is sent for it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            asking.connect(("192.0.2.1", 9))  # RFC 5737: an address of documents, where nobody is
        except OSError:
            return ""
        return str(asking.getsockname()[0])


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
