"""Where apt in an image finds more packages: the distribution's own archive, whatever mirror the image was made from.

It is a function of the distribution alone, so that the same packages make the same image everywhere.
Source: sources.list(5), deb822-style format; wiki.debian.org/SourcesList; the default sources of Ubuntu's images.
"""

from __future__ import annotations

from labcontainers.images.debs.sources import Distribution

_ROLLING = ("sid", "unstable", "experimental")
# security updates had another name before Debian 11
_OLD = ("jessie", "stretch", "buster")


def apt_sources(wanted: Distribution, architecture: str, keyring: str) -> str:
    """The text of /etc/apt/sources.list.d/NAME.sources, signed by the file `keyring`, if any; "" for a distribution that is not known."""
    suite = wanted.suite
    if wanted.name == "debian":
        archive, security = "http://deb.debian.org/debian", "http://deb.debian.org/debian-security"
        components = "main"
        suites = [suite] if suite in _ROLLING else [suite, f"{suite}-updates"]
        secure = [] if suite in _ROLLING else [f"{suite}/updates" if suite in _OLD else f"{suite}-security"]
    elif wanted.name == "ubuntu":
        is_main = architecture == "amd64"
        archive = "http://archive.ubuntu.com/ubuntu/" if is_main else "http://ports.ubuntu.com/ubuntu-ports/"
        security = "http://security.ubuntu.com/ubuntu/" if is_main else archive
        components = "main universe restricted multiverse"
        suites, secure = [suite, f"{suite}-updates"], [f"{suite}-security"]
    else:
        return ""
    paragraphs = [(archive, suites), (security, secure)]
    signed = f"Signed-By: {keyring}\n" if keyring else ""
    return "\n".join(
        f"Types: deb\nURIs: {address}\nSuites: {' '.join(names)}\nComponents: {components}\n{signed}"
        for address, names in paragraphs
        if names
    )
