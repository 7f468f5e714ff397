"""Whether a Release file is signed by a key that somebody trusts, told by gpgv or sqv of this host.

It must not know where files come from. What is used is what was verified: the signed text is taken out of an InRelease file here, and the
very same bytes are given to the verifier. Source: RFC 9580 7, "Cleartext Signature Framework"; gpgv(1), doc/DETAILS of GnuPG; sqv(1).
"""

from __future__ import annotations

import base64
import binascii
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from labcontainers.errors import Denied, InvalidArgument, NotFound, Unsupported

_BEGIN = "-----BEGIN PGP SIGNED MESSAGE-----"
_SIGNATURE = "-----BEGIN PGP SIGNATURE-----"
_END = "-----END PGP SIGNATURE-----"
_ARMOR = re.compile(r"-----BEGIN PGP PUBLIC KEY BLOCK-----\n(?:[^\n]+\n)*?\n(.*?)-----END PGP PUBLIC KEY BLOCK-----", re.DOTALL)
_TIMEOUT_S = 60
_REFUSED = ("BADSIG", "ERRSIG", "EXPSIG", "EXPKEYSIG", "REVKEYSIG")
_HINT = "name the archive's keyring: --keyring FILE; --no-verify goes without a signature"


def find_verifier() -> str | None:
    """The program on the PATH that verifies, if there is one."""
    return shutil.which("gpgv") or shutil.which("sqv")


def split_signed(text: str) -> tuple[str, str]:
    """The signed text of an InRelease file and its signature; raises InvalidArgument when anything stands outside of them."""
    lines = [line.rstrip(" \t\r") for line in text.split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    try:
        blank, middle = lines.index(""), lines.index(_SIGNATURE)
    except ValueError:
        blank = middle = 0
    armor_headers = lines[1:blank]
    if (
        not 0 < blank < middle
        or lines[0] != _BEGIN
        or lines[-1] != _END
        or lines.count(_BEGIN) != 1
        or lines.count(_SIGNATURE) != 1
        or not all(header.startswith("Hash: ") for header in armor_headers)
    ):
        raise InvalidArgument("an InRelease file is no signed text, or has something besides it", "use another mirror")
    signed = [line.removeprefix("- ") for line in lines[blank + 1 : middle]]
    return "\n".join(signed), "\n".join(lines[middle:]) + "\n"


def verify(data: bytes, signature: bytes, keys: Sequence[str], what: str) -> None:
    """Raise unless `signature` is one of `data` by one of the keys (keyring files, or whole armored keys).

    Raises Denied when it is not, NotFound without any key, Unsupported when this host has neither gpgv nor sqv.
    """
    program = find_verifier()
    if program is None:
        raise Unsupported("bootstrap: neither gpgv nor sqv is there to verify the mirror", "apt install gpgv, or say --no-verify")
    with tempfile.TemporaryDirectory(prefix="lab-verify-") as folder:
        rings = [_binary_keyring(key, Path(folder) / f"{number}.gpg") for number, key in enumerate(keys)]
        if not rings:
            raise NotFound(f"bootstrap: there is no keyring to verify {what} with", _HINT)
        (Path(folder) / "signature").write_bytes(signature)
        (Path(folder) / "data").write_bytes(data)
        options = [word for ring in rings for word in ("--keyring", ring)]
        is_gpgv = Path(program).name == "gpgv"
        status = ["--status-fd", "1", "--homedir", folder] if is_gpgv else []
        command = [program, *status, *options, f"{folder}/signature", f"{folder}/data"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=_TIMEOUT_S, stdin=subprocess.DEVNULL)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Unsupported(f"bootstrap: {program} cannot be run: {error}", "apt install gpgv, or say --no-verify") from None
    complaint = _complaint_of_gpgv(done.stdout) if is_gpgv else ("" if done.returncode == 0 else _last_line(done.stderr))
    if complaint:
        raise Denied(f"bootstrap: {what} is not signed by a trusted key: {complaint}", _HINT)


def _complaint_of_gpgv(status: str) -> str:
    """What is wrong, "" for nothing: a good signature is enough, unless another one is bad. Keys that are not known do not matter."""
    words = [line.split()[1:] for line in status.splitlines() if line.startswith("[GNUPG:] ")]
    said = {word[0] for word in words if word}
    if "BADSIG" in said:
        return "a signature is bad"
    if "VALIDSIG" in said and "GOODSIG" in said:
        return ""
    missing = [word[1] for word in words if word[:1] == ["NO_PUBKEY"]]
    refused = [word[0] for word in words if word and word[0] in _REFUSED]
    return f"key {missing[0]} is not in the keyring" if missing else " ".join(refused).lower() or "it has no signature"


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no good signature"])[-1].strip().lower()[:200]


def _binary_keyring(key: str, place: Path) -> str:
    """A file that gpgv can read: a keyring that is binary as it is, an armored one inflated."""
    if "BEGIN PGP" in key:
        data = key.encode()
    else:
        try:
            data = Path(key).read_bytes()
        except OSError as error:
            raise NotFound(f"the keyring {key} cannot be read: {(error.strerror or '').lower()}", _HINT) from None
    if b"-----BEGIN PGP" in data:
        data = _dearmor(data.decode("latin-1"), key)
    place.write_bytes(data)
    return str(place)


def _dearmor(text: str, key: str) -> bytes:
    found = b""
    for block in _ARMOR.findall(text.replace("\r", "").replace("\n ", "\n")):
        body = "".join(line.strip() for line in block.split("\n") if line and not line.startswith("="))
        try:
            found += base64.b64decode(body, validate=True)
        except binascii.Error:
            break
    if not found:
        raise InvalidArgument(f"not a keyring: {key.splitlines()[0][:80]}", _HINT)
    return found
