"""TLS for connections to the database, by libpq's parameters."""

import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from service.settings.libpq_files import home_file

SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
VERSIONS = {
    "TLSv1": ssl.TLSVersion.TLSv1,
    "TLSv1.1": ssl.TLSVersion.TLSv1_1,
    "TLSv1.2": ssl.TLSVersion.TLSv1_2,
    "TLSv1.3": ssl.TLSVersion.TLSv1_3,
}
# If OpenSSL was built on another system: the paths of Debian, Fedora, Alpine and macOS.
BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
)


def check_mode(parameters: Mapping[str, str]) -> str:
    """Return `sslmode`, or its default. Raises ValueError with a message for the operator."""
    system = parameters.get("sslrootcert") == "system"
    mode = parameters.get("sslmode") or ("verify-full" if system else "prefer")
    if mode not in SSL_MODES:
        raise ValueError(f"sslmode must be one of {', '.join(sorted(SSL_MODES))}")
    if system and mode != "verify-full":
        raise ValueError(f"sslrootcert=system needs sslmode=verify-full, not {mode}")
    if parameters.get("sslnegotiation") == "direct" and SSL_MODES.index(mode) < SSL_MODES.index(
        "require"
    ):
        raise ValueError(f"sslnegotiation=direct needs sslmode=require or more, not {mode}")
    return mode


def tls_attempts(parameters: Mapping[str, str]) -> list[ssl.SSLContext | bool]:
    """Return the contexts to try to connect with, in order; False is without TLS.

    Raises ValueError with a message for the operator if a file can't be used.
    """
    mode = check_mode(parameters)
    if mode == "disable":
        return [False]
    context = tls_context(parameters, mode)
    weak: dict[str, list[ssl.SSLContext | bool]] = {
        "allow": [False, context],
        "prefer": [context, False],
    }
    return weak.get(mode, [context])


def tls_context(parameters: Mapping[str, str], mode: str) -> ssl.SSLContext:
    """Return the context that encrypts a connection and verifies the server's certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["postgresql"])
    context.minimum_version = _version(parameters, "ssl_min_protocol_version", "TLSv1.2")
    context.maximum_version = _version(parameters, "ssl_max_protocol_version", "TLSv1.3")
    if SSL_MODES.index(mode) >= SSL_MODES.index("require"):
        _trust(context, parameters, mode)
    if parameters.get("sslcertmode") != "disable":
        _identify(context, parameters)
    return context


def system_bundle() -> str | None:
    """Return the file of the certificate authorities that the system trusts."""
    places = (ssl.get_default_verify_paths().cafile, *BUNDLES)
    return next((place for place in places if place and Path(place).is_file()), None)


def _trust(context: ssl.SSLContext, parameters: Mapping[str, str], mode: str) -> None:
    """Verify the server's certificate; for `require` only if there is a root certificate."""
    root = parameters.get("sslrootcert") or home_file(".postgresql/root.crt")
    if root == "system":
        root = system_bundle()
        if root is None:
            context.load_default_certs()
    elif root is None:
        if mode != "require":
            raise ValueError(f"sslmode={mode} needs sslrootcert: a file of certificates, or system")
        return
    if root is not None:
        with _names("sslrootcert", root):
            context.load_verify_locations(cafile=root)
    context.verify_mode = ssl.CERT_REQUIRED
    context.check_hostname = mode == "verify-full"
    folder = parameters.get("sslcrldir")
    revoked = parameters.get("sslcrl") or (None if folder else home_file(".postgresql/root.crl"))
    if revoked:
        with _names("sslcrl", revoked):
            context.load_verify_locations(cafile=revoked)
    if folder:
        context.load_verify_locations(capath=folder)
    if revoked or folder:
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN


def _identify(context: ssl.SSLContext, parameters: Mapping[str, str]) -> None:
    """Load the client's certificate, if there is one."""
    certificate = parameters.get("sslcert") or home_file(".postgresql/postgresql.crt")
    key = parameters.get("sslkey") or home_file(".postgresql/postgresql.key")
    if not certificate:
        return
    password = parameters.get("sslpassword", "")
    with _names("sslkey", key), _names("sslcert", certificate):
        try:
            context.load_cert_chain(certificate, key, lambda: password)
        except ssl.SSLError as error:
            raise ValueError(
                f"sslcert={certificate} and sslkey={key or certificate} are not a certificate and "
                f"its key, or sslpassword is wrong ({error})"
            ) from error


def _version(parameters: Mapping[str, str], name: str, default: str) -> ssl.TLSVersion:
    given = parameters.get(name) or default
    if given not in VERSIONS:
        raise ValueError(f"{name} must be one of {', '.join(VERSIONS)}")
    return VERSIONS[given]


@contextmanager
def _names(parameter: str, path: str | Path | None) -> Iterator[None]:
    """Name the file in an error; OpenSSL's own does not."""
    try:
        if path is not None:
            Path(path).open("rb").close()
        yield
    except ssl.SSLError as error:
        raise ValueError(f"{parameter}={path} is not a valid file ({error})") from error
    except OSError as error:
        raise ValueError(f"{parameter}={path} can't be read: {error.strerror}") from error
