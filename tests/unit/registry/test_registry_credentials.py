"""Credentials where Docker, Podman and `login` keep them."""

from __future__ import annotations

import base64
import json
import os
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from labcontainers.errors import Denied, InvalidArgument, LabError, Unavailable
from labcontainers.registry.auth import Credential
from labcontainers.registry.credential_files import keys_for, places, run_helper
from labcontainers.registry.credentials import Credentials


def coded(pair: str) -> dict[str, str]:
    return {"auth": base64.b64encode(pair.encode()).decode()}


def no_helper(name: str, host: str) -> str:
    raise AssertionError(f"docker-credential-{name} was asked for {host}")


@pytest.fixture
def credentials(tmp_path: Path) -> Credentials:
    return Credentials(tmp_path / "own", others=lambda: [tmp_path / "a.json", tmp_path / "b.json"], run_helper=no_helper)


def write(path: Path, value: Any) -> None:
    path.write_text(value if isinstance(value, str) else json.dumps(value))


# entries of a file, registry, repository, the user that is found
ENTRIES: tuple[tuple[dict[str, str], str, str, str], ...] = (
    ({"r.example": "u:p"}, "r.example", "", "u"),
    ({"r.example": "u:p"}, "r.example", "a/b", "u"),
    ({"r.example": "u:p"}, "other.example", "a/b", ""),
    ({"r.example": "u:p", "r.example/a": "ns:p", "r.example/a/b": "repo:p"}, "r.example", "a/b", "repo"),
    ({"r.example": "u:p", "r.example/a": "ns:p", "r.example/a/b": "repo:p"}, "r.example", "a/c", "ns"),
    ({"r.example": "u:p", "r.example/a": "ns:p"}, "r.example", "ab/c", "u"),
    ({"https://r.example": "u:p"}, "r.example", "", "u"),
    ({"https://r.example/v2/": "u:p"}, "r.example", "", "u"),
    ({"r.example:5000": "u:p"}, "r.example", "", ""),
    ({"r.example:5000": "u:p"}, "r.example:5000", "x", "u"),
    ({"https://index.docker.io/v1/": "u:p"}, "docker.io", "library/busybox", "u"),
    ({"docker.io": "u:p"}, "docker.io", "", "u"),
    ({"docker.io/me": "me:p", "https://index.docker.io/v1/": "u:p"}, "docker.io", "me/app", "me"),
)


@pytest.mark.parametrize(("entries", "domain", "path", "user"), ENTRIES)
def test_the_most_specific_entry_is_found(
    credentials: Credentials, tmp_path: Path, entries: dict[str, str], domain: str, path: str, user: str
) -> None:
    write(tmp_path / "a.json", {"auths": {key: coded(pair) for key, pair in entries.items()}})
    found = credentials.find(domain, path)
    assert (found.username if found else "") == user


def test_keys_go_from_the_repository_to_the_registry() -> None:
    assert keys_for("r.example", "a/b") == ["r.example/a/b", "r.example/a", "r.example"]


def test_our_own_file_wins_and_the_next_files_follow(credentials: Credentials, tmp_path: Path) -> None:
    write(tmp_path / "b.json", {"auths": {"r": coded("second:p")}})
    assert credentials.find("r") == Credential("second", "p")
    write(tmp_path / "a.json", {"auths": {"r": coded("first:p:with:colons")}})
    assert credentials.find("r") == Credential("first", "p:with:colons")
    credentials.save("r", Credential("own", "p"))
    assert credentials.find("r") == Credential("own", "p")
    assert credentials.erase("r")
    assert credentials.find("r") == Credential("first", "p:with:colons")


def test_the_variable_wins_over_all_files_and_what_it_lacks_is_in_them(
    credentials: Credentials, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials.save("r", Credential("own", "p"))
    credentials.save("s", Credential("own", "p"))
    said = {"auths": {"r": coded("job:p"), "https://index.docker.io/v1/": coded("hub:p")}, "credHelpers": {"s": "none"}}
    monkeypatch.setenv("DOCKER_AUTH_CONFIG", json.dumps(said))
    assert credentials.find("r", "a/b") == Credential("job", "p")
    assert credentials.find("docker.io", "library/busybox") == Credential("hub", "p")
    assert credentials.find("s") == Credential("own", "p")
    monkeypatch.setenv("DOCKER_AUTH_CONFIG", " ")
    assert credentials.find("r") == Credential("own", "p")


@pytest.mark.parametrize("said", ["{", "[]", "[" * 100_000, '{"auths": {"r": {"auth": "%"}}}'])
def test_a_variable_that_cannot_be_read_is_told_without_what_is_in_it(
    credentials: Credentials, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    monkeypatch.setenv("DOCKER_AUTH_CONFIG", said)
    with pytest.raises(InvalidArgument) as caught:
        credentials.find("r")
    assert "DOCKER_AUTH_CONFIG" in caught.value.message
    assert len(caught.value.message) < 100


def test_an_identity_token_is_found(credentials: Credentials, tmp_path: Path) -> None:
    write(tmp_path / "a.json", {"auths": {"r": {"auth": base64.b64encode(b"00000000:").decode(), "identitytoken": "long"}}})
    assert credentials.find("r") == Credential("00000000", "", "long")


def test_what_is_saved_is_its_owners_alone_and_comes_back(credentials: Credentials) -> None:
    credentials.save("r.example", Credential("ü", "pä:ss", "token"))
    assert credentials.find("r.example") == Credential("ü", "pä:ss", "token")
    assert stat.S_IMODE(credentials.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(credentials.path.parent.stat().st_mode) == 0o700
    assert credentials.known() == ["r.example"]


def test_logins_at_the_same_time_lose_nothing(credentials: Credentials) -> None:
    threads = [threading.Thread(target=credentials.save, args=(f"r{number}", Credential("u", "p"))) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(credentials.known()) == 8
    assert {path.name for path in credentials.path.parent.iterdir()} == {"auth.json", "auth.json.lock"}


class TestHelpers:
    def asking(self, tmp_path: Path, value: Any, said: str) -> tuple[Credentials, list[tuple[str, str]]]:
        asked: list[tuple[str, str]] = []

        def helper(name: str, host: str) -> str:
            asked.append((name, host))
            return said

        write(tmp_path / "a.json", value)
        return Credentials(tmp_path / "own", others=lambda: [tmp_path / "a.json"], run_helper=helper), asked

    def test_one_for_a_host_is_asked(self, tmp_path: Path) -> None:
        found, asked = self.asking(
            tmp_path, {"credHelpers": {"r": "pass"}, "credsStore": "other"}, '{"ServerURL":"r","Username":"u","Secret":"s"}'
        )
        assert found.find("r", "a/b") == Credential("u", "s")
        assert asked == [("pass", "r")]

    def test_the_store_of_all_is_asked_after_the_entries(self, tmp_path: Path) -> None:
        found, asked = self.asking(
            tmp_path, {"auths": {"r": {}, "q": coded("u:p")}, "credsStore": "desktop"}, '{"Username":"<token>","Secret":"s"}'
        )
        assert found.find("q") == Credential("u", "p")
        assert found.find("r") == Credential("", "", "s")
        assert asked == [("desktop", "r")]

    def test_docker_hub_has_its_old_name_there(self, tmp_path: Path) -> None:
        found, asked = self.asking(tmp_path, {"credsStore": "desktop"}, '{"Username":"u","Secret":"s"}')
        assert found.find("docker.io", "library/x") == Credential("u", "s")
        assert asked == [("desktop", "https://index.docker.io/v1/")]

    @pytest.mark.parametrize("name", ["../../bin/sh", "a/b", "-x", "a b"])
    def test_a_name_that_leads_elsewhere_is_refused(self, tmp_path: Path, name: str) -> None:
        found, asked = self.asking(tmp_path, {"credsStore": name}, "")
        with pytest.raises(InvalidArgument, match="not the name"):
            found.find("r")
        assert not asked

    def test_an_answer_that_is_none_is_told(self, tmp_path: Path) -> None:
        found, _ = self.asking(tmp_path, {"credsStore": "x"}, "[]")
        with pytest.raises(Unavailable, match="docker-credential-x"):
            found.find("r")

    # what the program does, what comes of it
    PROGRAMS = (
        ('read host; echo "{\\"Username\\":\\"$host\\",\\"Secret\\":\\"$1\\"}"', '{"Username":"r","Secret":"get"}'),
        ("echo credentials not found in native keychain; exit 1", ""),
    )

    @pytest.mark.parametrize(("script", "said"), PROGRAMS)
    def test_the_real_program_is_run(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, said: str) -> None:
        self.install(tmp_path, monkeypatch, script)
        assert run_helper("test", "r").strip() == said

    def test_one_that_fails_is_told_without_its_output(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.install(tmp_path, monkeypatch, "echo hunter2; exit 3")
        with pytest.raises(Denied, match="exit code 3") as caught:
            run_helper("test", "r")
        assert "hunter2" not in str(caught.value)

    def test_one_that_is_not_on_this_machine_knows_nothing(self) -> None:
        assert run_helper("surely-not-there", "r") == ""

    @pytest.mark.needs("ordinary user")
    def test_a_folder_of_the_path_that_cannot_be_entered_hides_none(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        closed = tmp_path / "closed"
        closed.mkdir(mode=0)
        monkeypatch.setenv("PATH", f"{closed}:{os.environ['PATH']}")
        assert run_helper("surely-not-there", "r") == ""

    def test_one_that_may_not_be_run_is_told(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.install(tmp_path, monkeypatch, "#!/bin/sh\n")
        (tmp_path / "docker-credential-test").chmod(0o600)
        with pytest.raises(Unavailable, match="docker-credential-test cannot be run"):
            run_helper("test", "r")

    def install(self, folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
        program = folder / "docker-credential-test"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


# what is in a file
BROKEN = ("{", "[]", '{"auths":{"r":{"auth":"%%%"}}}', "[" * 100_000)


@pytest.mark.parametrize("text", BROKEN)
def test_a_broken_file_is_named_or_its_entry_told(credentials: Credentials, tmp_path: Path, text: str) -> None:
    write(tmp_path / "a.json", text)
    with pytest.raises(LabError) as caught:
        credentials.find("r")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{}", '{"auths":null}', '{"auths":{"r":null}}', '{"auths":[]}'])
def test_a_file_that_says_nothing_is_no_error(credentials: Credentials, tmp_path: Path, text: str) -> None:
    write(tmp_path / "a.json", text)
    assert credentials.find("r") is None


def test_the_files_are_those_of_docker_and_podman(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("REGISTRY_AUTH_FILE", "DOCKER_CONFIG", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/u")
    assert places() == [Path("/home/u/.docker/config.json"), Path("/home/u/.config/containers/auth.json")]
    monkeypatch.setenv("REGISTRY_AUTH_FILE", "/r.json")
    monkeypatch.setenv("DOCKER_CONFIG", "/d")
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/7")
    assert [str(path) for path in places()][:3] == ["/r.json", "/d/config.json", "/run/user/7/containers/auth.json"]
