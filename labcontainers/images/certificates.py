"""Which authorities an image trusts: the host's bundle of CA certificates, and where programs look for it.

It must not fetch anything; a host without a bundle gives none.
"""

from __future__ import annotations

import importlib.util
import os

BUNDLE = "etc/ssl/certs/ca-certificates.crt"
# Debian, Alpine, Arch · Fedora · OpenSUSE · OpenBSD's and macOS's place
_PLACES = (f"/{BUNDLE}", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem")


def find_bundle() -> str | None:
    """The host's bundle, the one that its OpenSSL is told or knows, or that of the installed package certifi; None when there is none."""
    candidates = [os.environ.get("SSL_CERT_FILE", ""), *_PLACES, openssl_file()]
    certifi = importlib.util.find_spec("certifi")
    if certifi is not None and certifi.origin is not None:
        candidates.append(os.path.join(os.path.dirname(certifi.origin), "cacert.pem"))
    return next((path for path in candidates if path and os.path.isfile(path) and os.access(path, os.R_OK)), None)


def openssl_file() -> str:
    """The file that this interpreter's OpenSSL was built to read its authorities from; "" when it has none."""
    try:
        import ssl
    except ImportError:
        return ""
    return str(ssl.get_default_verify_paths().openssl_cafile)
