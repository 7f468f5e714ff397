"""Documents and listings have the keys of Docker's: those of Docker 28.5.2 are in tests/data/docker_documents.json.

A user's own keys are a * there.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from labcontainers import Container, Engine, session
from labcontainers.__main__ import main
from tests.waiting import until

pytestmark = pytest.mark.alike("ordinary users")

TOLD = json.loads((Path(__file__).parents[1] / "data/docker_documents.json").read_text(encoding="utf-8"))
DOCUMENTS: dict[str, list[str]] = TOLD["documents"]
LISTINGS: dict[str, dict[str, list[str]]] = TOLD["listings"]
# maps whose keys are the user's
MAPS = frozenset("Labels Volumes ExposedPorts Options Sysctls Tmpfs Annotations Ports PortBindings Networks Containers".split())

# What Docker's documents have and these have not, with the reason.
LEFT_OUT = {
    "container": {},
    "container with everything": {},
    "image": {
        "GraphDriver.Data.MergedDir": "an image is not mounted anywhere",
        "GraphDriver.Data.WorkDir": "an image is not mounted anywhere",
    },
    "network bridge": {"Created": "networks are not written down with a time"},
    "volume": {},
}
# What these documents have and Docker's have not.
MORE = {
    "container": {},
    "container with everything": {},
    "image": {
        "Descriptor": "as Docker has it with containerd's store: the manifest",
        "Descriptor.digest": "as Docker has it with containerd's store: the manifest",
        "Descriptor.mediaType": "as Docker has it with containerd's store: the manifest",
        "Descriptor.size": "as Docker has it with containerd's store: the manifest",
    },
    "network bridge": {},
    "volume": {},
}
LEFT_OUT_OF_LISTINGS = {"network ls": {"CreatedAt": "networks are not written down with a time"}}
EVERYTHING = (
    "--health-cmd true --health-interval 1s --health-timeout 20s --health-retries 2 --health-start-period 1s --health-start-interval 1s "
    "--tmpfs /tt:size=1m --mount type=tmpfs,target=/t2,tmpfs-size=1m,tmpfs-mode=1777 "
    "--mount type=volume,source=v2,target=/vv,readonly,volume-label=a=b -v v3:/v3 -l a=1 --stop-signal INT --stop-timeout 0 "
    "--annotation x=y --sysctl net.ipv4.ip_forward=0 --ulimit nofile=1000:1000 --device /dev/null --add-host a:1.2.3.4 "
    "--cap-add NET_ADMIN -e A=1 --device-read-bps DISK:1mb -u 0 -w / --entrypoint sleep -m 64m -p 80"
)


def keys(value: Any, path: str = "", name: str = "") -> set[str]:
    """The paths of all keys, as the stored ones were found."""
    if isinstance(value, dict):
        found: set[str] = set()
        for key, item in value.items():
            own = name in MAPS or path.endswith("LogConfig.Config")
            inner = (f"{path}." if path else "") + ("*" if own else key)
            if not own or isinstance(item, dict | list):
                found.add(inner)
            found |= keys(item, inner, key)
        return found
    return {key for item in value for key in keys(item, f"{path}.*")} if isinstance(value, list) else set()


def compare(kind: str, document: Any) -> None:
    docker, ours = set(DOCUMENTS[kind]), keys(document)
    assert docker - ours == set(LEFT_OUT[kind]), "Docker has them"
    assert ours - docker == set(MORE[kind]), "Docker has them not"


def said(engine: Engine, capfd: pytest.CaptureFixture[str], *words: str) -> str:
    """The output of a command line on this engine."""
    capfd.readouterr()
    session.use_engine(Engine(engine.paths.root, engine.paths.run))
    code = main(words)
    out, err = capfd.readouterr()
    assert (code, err) == (0, ""), words
    return out


@pytest.fixture
def plain(engine: Engine) -> Container:
    network = "bridge" if os.geteuid() == 0 else "none"
    return engine.containers.run("lab/base", ["sleep", "300"], name="plain", network=network, detach=True, stop_timeout=0)


def disk() -> str:
    """A block device of this machine, which rates are for."""
    return next(f"/dev/{name}" for name in sorted(os.listdir("/sys/block")) if os.path.exists(f"/dev/{name}"))


class TestContainers:
    def test_inspect_has_dockers_keys(self, engine: Engine) -> None:
        # without a --stop-timeout, which is one more key
        container = engine.containers.create("lab/base", ["sleep", "300"], network="none")
        compare("container", container.inspect())

    @pytest.mark.needs("network", "cgroups")
    def test_inspect_of_one_with_everything_has_dockers_keys(self, engine: Engine, capfd: pytest.CaptureFixture[str]) -> None:
        said(engine, capfd, "run", "-d", "--name", "rich", *EVERYTHING.replace("DISK", disk()).split(), "lab/base", "300")
        rich = engine.containers.get("rich")
        rich.wait_healthy(60)
        until(lambda: rich.inspect()["State"]["Health"]["Log"], "a check was told")
        (document,) = json.loads(said(engine, capfd, "inspect", "-s", "rich"))
        compare("container with everything", document)

    def test_paths_and_identifiers_are_those_of_things_that_are_there(self, engine: Engine, plain: Container) -> None:
        document = plain.inspect()
        for key, name in (("HostsPath", "hosts"), ("HostnamePath", "hostname"), ("ResolvConfPath", "resolv.conf")):
            assert Path(document[key]).read_text() == plain.exec(["cat", f"/etc/{name}"]).stdout
        assert os.stat(document["NetworkSettings"]["SandboxKey"]).st_ino == os.stat(f"/proc/{document['State']['Pid']}/ns/net").st_ino
        data = document["GraphDriver"]["Data"]
        assert all(os.path.isdir(path) for path in data["LowerDir"].split(":"))
        assert os.path.isdir(data["WorkDir"])
        plain.exec(["touch", "/made"])
        assert os.path.exists(f"{data['UpperDir']}/made")
        assert os.path.exists(f"{data['MergedDir']}/made")
        assert re.fullmatch("[0-9a-f]{64}", document["NetworkSettings"]["SandboxID"])

    def test_one_that_was_never_started_has_no_place_yet(self, engine: Engine) -> None:
        document = engine.containers.create("lab/base", ["true"], network="none").inspect()
        assert (document["HostsPath"], document["NetworkSettings"]["SandboxKey"], document["NetworkSettings"]["SandboxID"]) == ("", "", "")
        assert document["NetworkSettings"]["Networks"]["none"]["NetworkID"] == ""
        assert all(os.path.isdir(path) for path in document["GraphDriver"]["Data"]["LowerDir"].split(":"))

    def test_who_shares_a_network_has_the_files_of_its_owner(self, engine: Engine, plain: Container) -> None:
        sharing = engine.containers.run("lab/base", ["sleep", "300"], network="container:plain", detach=True, stop_timeout=0)
        document = sharing.inspect()
        assert document["HostsPath"] == plain.inspect()["HostsPath"]
        assert (document["NetworkSettings"]["SandboxKey"], document["NetworkSettings"]["Networks"]) == ("", {})

    def test_what_is_null_is_for_a_template_what_it_is_for_docker(self, plain: Container, engine: Engine, capfd: Any) -> None:
        template = "{{.HostConfig.CapAdd}} {{.Config.Volumes}} {{.Config.Healthcheck}} {{.Config.Labels.nope}} {{len .ExecIDs}}"
        assert said(engine, capfd, "inspect", "-f", template, "plain") == "[] map[] <nil> <no value> 0\n"


class TestOthers:
    def test_an_images_document_has_dockers_keys(self, engine: Engine) -> None:
        image = engine.images.build(dockerfile_text="FROM lab/base\nVOLUME /data\nEXPOSE 80\nLABEL a=b\nCMD sleep 1\n", tags="made")
        document = image.inspect() if hasattr(image, "inspect") else image.image.inspect()
        compare("image", document)
        assert os.path.isdir(document["GraphDriver"]["Data"]["UpperDir"])
        assert document["Metadata"]["LastTagTime"] > "2020"

    @pytest.mark.needs("network")
    def test_a_networks_document_has_dockers_keys_and_who_is_in_it(
        self, engine: Engine, plain: Container, capfd: pytest.CaptureFixture[str]
    ) -> None:
        (document,) = json.loads(said(engine, capfd, "network", "inspect", "bridge"))
        compare("network bridge", document)
        own = plain.inspect()["NetworkSettings"]["Networks"]["bridge"]
        assert document["Containers"] == {
            plain.id: {
                "Name": "plain",
                "EndpointID": own["EndpointID"],
                "MacAddress": own["MacAddress"],
                "IPv4Address": f"{own['IPAddress']}/{own['IPPrefixLen']}",
                "IPv6Address": "",
            }
        }
        assert own["NetworkID"] == document["Id"]
        assert said(engine, capfd, "network", "inspect", "-f", "{{.Name}}", document["Id"][:8]) == "bridge\n"
        assert said(engine, capfd, "inspect", "--type", "network", "-f", "{{.Driver}}", "none") == "null\n"

    def test_a_volumes_document_has_dockers_keys(self, engine: Engine, capfd: pytest.CaptureFixture[str]) -> None:
        engine.volumes.create("v1")
        (document,) = json.loads(said(engine, capfd, "volume", "inspect", "v1"))
        compare("volume", document)

    def test_a_group_of_commands_inspects_its_own_kind_alone(
        self, engine: Engine, plain: Container, capfd: pytest.CaptureFixture[str]
    ) -> None:
        assert said(engine, capfd, "container", "inspect", "-f", "{{.Name}}", "plain") == "/plain\n"
        session.use_engine(Engine(engine.paths.root, engine.paths.run))
        assert main(["image", "inspect", "plain"]) == 1
        out, err = capfd.readouterr()
        assert (out, "no such image: plain" in err) == ("[]\n", True)


class TestListings:
    @pytest.mark.parametrize("name", ["ps", "images", "history lab/base", "system df", "volume ls", "network ls", "stats"])
    def test_columns_and_json_are_dockers(self, name: str, engine: Engine, plain: Container, capfd: pytest.CaptureFixture[str]) -> None:
        engine.volumes.create("v1")
        words = [*name.split(), *(["--no-stream"] if name == "stats" else [])]
        head = said(engine, capfd, *words).splitlines()[0]
        assert re.split(r"\s{2,}", head.strip()) == LISTINGS[name]["columns"]
        fields = json.loads(said(engine, capfd, *words, "--format", "json").splitlines()[0])
        left_out = LEFT_OUT_OF_LISTINGS.get(name, {})
        assert [field for field in LISTINGS[name]["json"] if field not in left_out] == list(fields)

    def test_sizes_are_measured_for_who_asks_for_them(self, engine: Engine, plain: Container, capfd: pytest.CaptureFixture[str]) -> None:
        assert json.loads(said(engine, capfd, "ps", "--format", "json"))["Size"] == "0B"
        for words in (("-s", "--format", "json"), ("--format", "{{json .}}")):
            assert " (virtual " in json.loads(said(engine, capfd, "ps", *words))["Size"]
        assert " (virtual " in said(engine, capfd, "ps", "--format", "{{.Size}}")
        assert re.split(r"\s{2,}", said(engine, capfd, "ps", "-s").splitlines()[0]) == LISTINGS["ps -s"]["columns"]

    def test_quiet_wins_over_a_format_of_containers_alone(
        self, engine: Engine, plain: Container, capfd: pytest.CaptureFixture[str]
    ) -> None:
        session.use_engine(Engine(engine.paths.root, engine.paths.run))
        assert main(["ps", "-q", "--format", "{{.Names}}"]) == 0
        out, err = capfd.readouterr()
        assert (out, err.startswith("warning: --format")) == (f"{plain.short_id}\n", True)
        assert said(engine, capfd, "network", "ls", "-q", "--format", "{{.Name}}", "-f", "driver=null") == "none\n"
        assert said(engine, capfd, "network", "ls", "-q", "--filter", "name=non") == "none\n"

    def test_top_and_diff_look_as_dockers(self, engine: Engine, plain: Container, capfd: pytest.CaptureFixture[str]) -> None:
        assert said(engine, capfd, "top", "plain").splitlines()[0].split() == LISTINGS["top"]["columns"]
        plain.exec(["touch", "/made"])
        assert said(engine, capfd, "diff", "plain") == "A /made\n"

    def test_stats_names_a_container_as_it_was_asked_for(self, engine: Engine, plain: Container, capfd: pytest.CaptureFixture[str]) -> None:
        template = "{{.Container}} {{.Name}} {{.MemUsage}} {{.MemPerc}}"
        machine = next(int(line.split()[1]) for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal"))
        by_name = said(engine, capfd, "stats", "--no-stream", "--format", template, "plain").split()
        assert by_name[:2] == ["plain", "plain"]
        assert by_name[4] == f"{machine / 2**20:.4g}GiB"
        assert by_name[5].endswith("%")
        assert said(engine, capfd, "stats", "--no-stream", "--format", "{{.Container}}") == f"{plain.id}\n"
        plain.stop(0)
        nothing = said(
            engine, capfd, "stats", "--no-stream", "-a", "--format", "{{.MemUsage}} {{.MemPerc}} {{.NetIO}} {{.BlockIO}} {{.PIDs}}"
        )
        assert nothing == "0B / 0B 0.00% 0B / 0B 0B / 0B 0\n"
