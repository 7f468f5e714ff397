"""An authority and its certificates, made by openssl for one test."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path


def _openssl(*words: str | Path) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True)


class Authority:
    """A certificate authority in a folder."""

    def __init__(self, folder: Path, name: str = "a test's authority") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.certificate = folder / "ca.crt"
        self._key = folder / "ca.key"
        _openssl(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
            "-subj", f"/CN={name}", "-keyout", self._key, "-out", self.certificate,
        )  # fmt: skip

    def issue(self, name: str, alternative: str = "IP:127.0.0.1") -> tuple[Path, Path]:
        """A certificate and its key, for a server at this address or for a client."""
        certificate, key, request, extra = (self.folder / f"{name}.{end}" for end in ("cert", "key", "csr", "ext"))
        extra.write_text(f"subjectAltName={alternative}\n")
        _openssl(
            "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", f"/CN={name}",
            "-keyout", key, "-out", request,
        )  # fmt: skip
        _openssl(
            "x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self._key, "-CAcreateserial", "-days", "2",
            "-extfile", extra, "-out", certificate,
        )  # fmt: skip
        return certificate, key

    def server_context(self, *, alternative: str = "IP:127.0.0.1", wants_client: bool = False) -> ssl.SSLContext:
        """For a server, at 127.0.0.1 or by another name; with `wants_client` it refuses who has no certificate of this authority."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.issue("server", alternative))
        if wants_client:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.certificate)
        return context
