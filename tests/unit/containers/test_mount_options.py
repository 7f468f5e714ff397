"""-v, --mount, --tmpfs and --volumes-from read in all of Docker's forms, and what is wrong refused by name."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labcontainers.containers.inspect.mounts import asked_mounts, volume_paths
from labcontainers.containers.options.container import ContainerOptions
from labcontainers.containers.options.mount import Mount
from labcontainers.containers.options.mount_flag import parse_mount
from labcontainers.containers.options.tmpfs import parse_tmpfs
from labcontainers.containers.planning.mount_point import MountPoint
from labcontainers.errors import InvalidArgument, LabError, Unsupported
from labcontainers.kernel.mounts import MS_NOATIME, MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_RDONLY, MS_RELATIME, MS_STRICTATIME

make = ContainerOptions.from_keywords
HARD = MS_NOSUID | MS_NODEV | MS_NOEXEC

VOLUMES: list[tuple[Any, Mount]] = [
    ("/data", Mount("", "/data", type="volume")),
    ("db:/data", Mount("db", "/data", type="volume")),
    ("db:/data/:ro", Mount("db", "/data", True, "volume", mode="ro")),
    ("db:/data:nocopy,rw", Mount("db", "/data", False, "volume", mode="nocopy,rw", no_copy=True)),
    ("/usr:/data", Mount("/usr", "/data")),
    ("/usr/:/data:ro,rslave", Mount("/usr", "/data", True, mode="ro,rslave", propagation="rslave")),
    ("/usr:/data:Z", Mount("/usr", "/data", mode="Z")),
    ("/usr:/data:z,cached,rw", Mount("/usr", "/data", mode="z,cached,rw")),
]
VOLUMES_REFUSED: list[tuple[str, type[LabError], str]] = [
    ("", InvalidArgument, "invalid volume specification"),
    (":/x", InvalidArgument, "':/x'"),
    ("/usr:", InvalidArgument, "'/usr:'"),
    ("/x:ro", InvalidArgument, "'/x:ro'"),
    ("a:b:c:d", InvalidArgument, "'a:b:c:d'"),
    ("/usr:/x:rx", InvalidArgument, "mode 'rx' for '/x'"),
    ("/usr:/x:ro,rw", InvalidArgument, "mode 'ro,rw'"),
    ("/usr:/x:private,rslave", InvalidArgument, "'private,rslave'"),
    ("/usr:/x:nocopy", InvalidArgument, "nocopy is for volumes"),
    ("db:/x:rslave", InvalidArgument, "propagation is for folders"),
    ("db:/", InvalidArgument, "'/'"),
    ("db:x", InvalidArgument, "'x'"),
    ("db:/x/..", InvalidArgument, "'/x/..'"),
    ("a:/x", InvalidArgument, "too short"),
    ("a/b:/x", InvalidArgument, "invalid characters"),
    ("-a:/x", InvalidArgument, "invalid characters"),
    ("/no/such:/x", InvalidArgument, "does not exist"),
]
MOUNTS: list[tuple[str, Mount]] = [
    ("target=/x", Mount("", "/x", type="volume")),
    ("type=bind,src=/usr,dst=/x", Mount("/usr", "/x")),
    ("type=BIND,Source=/usr,destination=/x,ro", Mount("/usr", "/x", True)),
    ("type=bind,source=/usr,target=/x,readonly=false,consistency=cached", Mount("/usr", "/x")),
    ("type=bind,source=/usr,target=/x,bind-propagation=rshared", Mount("/usr", "/x", propagation="rshared")),
    ("type=bind,source=/usr,target=/x,bind-recursive=disabled", Mount("/usr", "/x", recursive="disabled")),
    ("type=bind,source=/usr,target=/x,bind-nonrecursive", Mount("/usr", "/x", recursive="disabled")),
    ("type=bind,source=/usr,target=/x,ro,bind-recursive=writable", Mount("/usr", "/x", True, recursive="writable")),
    (
        "type=bind,source=/usr,target=/x,ro,bind-recursive=readonly,bind-propagation=rprivate",
        Mount("/usr", "/x", True, propagation="rprivate", recursive="readonly"),
    ),
    (
        "type=volume,source=db,target=/x,volume-nocopy,volume-subpath=a/b,volume-label=k=v,volume-label=flag,volume-driver=local",
        Mount("db", "/x", type="volume", no_copy=True, subpath="a/b", labels=(("k", "v"), ("flag", ""))),
    ),
    (
        '"type=volume","source=db","target=/x","volume-opt=type=tmpfs","volume-opt=device=tmpfs","volume-opt=o=size=1m,mode=700"',
        Mount("db", "/x", type="volume", driver_opts=(("type", "tmpfs"), ("device", "tmpfs"), ("o", "size=1m,mode=700"))),
    ),
    ("type=tmpfs,target=/x", Mount("", "/x", type="tmpfs")),
    ("type=tmpfs,target=/x,ro,tmpfs-size=1m,tmpfs-mode=1770", Mount("", "/x", True, "tmpfs", tmpfs="size=1048576,mode=1770,ro")),
    ("type=image,source=lab/base,target=/x,image-subpath=etc", Mount("lab/base", "/x", True, "image", subpath="etc")),
]
MOUNTS_REFUSED: list[tuple[str, type[LabError], str]] = [
    ("", InvalidArgument, "empty"),
    ("type=bind,source=/usr", InvalidArgument, "target is required"),
    ("type=bind,target=/x", InvalidArgument, "needs a source"),
    ("type=bind,source=usr,target=/x", InvalidArgument, "must be absolute"),
    ("type=bind,source=/no/such,target=/x", InvalidArgument, "bind source path does not exist: /no/such"),
    ("type=cluster,source=a,target=/x", InvalidArgument, "mount type unknown: 'cluster'"),
    ("type=bind,source=/usr,target=/x,bind-propagation=up", InvalidArgument, "invalid propagation mode: 'up'"),
    ("type=bind,source=/usr,target=/x,bind-recursive=no", InvalidArgument, "bind-recursive: 'no'"),
    ("type=bind,source=/usr,target=/x,bind-recursive=writable", InvalidArgument, "requires readonly"),
    ("type=bind,source=/usr,target=/x,ro,bind-recursive=readonly", InvalidArgument, "requires bind-propagation=rprivate"),
    ("type=bind,source=/usr,target=/x,volume-nocopy", InvalidArgument, "cannot mix 'volume-*' options with mount type 'bind'"),
    ("type=tmpfs,target=/x,source=/usr", InvalidArgument, "no source: '/usr'"),
    ("type=tmpfs,target=/x,tmpfs-mode=9", InvalidArgument, "tmpfs-mode: '9'"),
    ("type=tmpfs,target=/x,tmpfs-size=lots", InvalidArgument, "'lots'"),
    ("type=volume,target=/x,ro", InvalidArgument, "must not set readonly when using anonymous volumes"),
    ("type=volume,target=/x,volume-subpath=a", InvalidArgument, "must not set volume-subpath"),
    ("type=volume,source=db,target=/x,volume-subpath=../a", InvalidArgument, "'../a'"),
    ("type=volume,source=db,target=/x,volume-subpath=/a", InvalidArgument, "'/a'"),
    ("type=volume,source=db,target=/x,volume-driver=nfs", Unsupported, "'nfs'"),
    ("type=volume,source=db,target=/x,volume-opt=type=nfs,volume-opt=device=:/x", Unsupported, "'nfs'"),
    ("type=volume,source=db,target=/x,volume-opt=type=ext4", InvalidArgument, '"device"'),
    ("type=volume,source=db,target=/x,volume-opt=colour=red", InvalidArgument, "'colour'"),
    ("type=image,target=/x", InvalidArgument, "needs a source"),
    ("type=bind,source=/usr,target=/x,colour=red", InvalidArgument, "unexpected key 'colour'"),
    ("type=bind,source=/usr,target", InvalidArgument, "'target' must be a key=value pair"),
    ("type=bind, source=/usr,target=/x", InvalidArgument, "whitespace"),
    ("type=bind,source= /usr,target=/x", InvalidArgument, "whitespace"),
    ("type=bind,source=,target=/x", InvalidArgument, "value is empty"),
    ("type=bind,source=/usr,target=/x,ro=maybe", InvalidArgument, "'maybe'"),
    ('type=bind,"source=/usr', InvalidArgument, "comma-separated"),
    ("type=bind,source=/usr,target=/", InvalidArgument, "'/'"),
]
TMPFS: list[tuple[str, tuple[int, str]]] = [
    ("", (HARD, "")),
    ("size=64m,mode=1770,uid=5", (HARD, "size=64m,mode=1770,uid=5")),
    ("exec,dev,suid", (0, "")),
    ("exec,noexec", (HARD, "")),
    ("ro,rw,ro", (HARD | MS_RDONLY, "")),
    ("size=1m,size=2m", (HARD, "size=2m")),
    ("noatime", (HARD | MS_NOATIME, "")),
    ("noatime,relatime", (HARD | MS_RELATIME, "")),
    ("strictatime,nr_inodes=10k,nr_blocks=4k,mpol=interleave:0", (HARD | MS_STRICTATIME, "nr_inodes=10k,nr_blocks=4k,mpol=interleave:0")),
]
OBJECTS: list[tuple[dict[str, Any], Mount]] = [
    ({"Target": "/x", "Source": "db", "Type": "volume", "ReadOnly": True}, Mount("db", "/x", True, "volume")),
    (
        {"Target": "/x", "Source": "/usr", "Type": "bind", "ReadOnly": True, "BindOptions": {"Propagation": "rslave"}},
        Mount("/usr", "/x", True, propagation="rslave"),
    ),
    ({"Target": "/x", "Source": "/usr", "Type": "bind", "BindOptions": {"NonRecursive": True}}, Mount("/usr", "/x", recursive="disabled")),
    (
        {
            "Target": "/x",
            "Source": "db",
            "Type": "volume",
            "ReadOnly": False,
            "VolumeOptions": {"NoCopy": True, "Labels": {"a": "b"}, "DriverConfig": {"Name": "local", "Options": {}}},
        },
        Mount("db", "/x", type="volume", no_copy=True, labels=(("a", "b"),)),
    ),
    (
        {"Target": "/x", "Source": None, "Type": "tmpfs", "TmpfsOptions": {"SizeBytes": 5, "Mode": 0o700, "Options": [["exec"]]}},
        Mount("", "/x", type="tmpfs", tmpfs="exec,size=5,mode=700"),
    ),
    ({"Target": "/x", "Source": "lab/base", "Type": "image"}, Mount("lab/base", "/x", True, "image")),
]


@pytest.mark.parametrize(("text", "wanted"), VOLUMES, ids=str)
def test_a_volume_text_becomes_a_mount(text: str, wanted: Mount) -> None:
    assert make(volumes=[text]).volumes == (wanted,)


@pytest.mark.parametrize(("text", "kind", "message"), VOLUMES_REFUSED)
def test_a_wrong_volume_text_is_refused(text: str, kind: type[LabError], message: str) -> None:
    with pytest.raises(kind) as caught:
        make(volumes=[text])
    assert message in str(caught.value)


@pytest.mark.parametrize(("text", "wanted"), MOUNTS, ids=str)
def test_a_mount_text_becomes_a_mount(text: str, wanted: Mount) -> None:
    assert make(mounts=[text]).mounts == (wanted,)


@pytest.mark.parametrize(("text", "kind", "message"), MOUNTS_REFUSED)
def test_a_wrong_mount_text_is_refused(text: str, kind: type[LabError], message: str) -> None:
    with pytest.raises(kind) as caught:
        parse_mount(text)
    assert message in str(caught.value)


@pytest.mark.parametrize(("item", "wanted"), OBJECTS, ids=str)
def test_an_object_of_docker_py_becomes_a_mount(item: dict[str, Any], wanted: Mount) -> None:
    assert make(mounts=[item]).mounts == (wanted,)


@pytest.mark.parametrize(("text", "wanted"), TMPFS)
def test_words_of_a_tmpfs_become_flags_and_data(text: str, wanted: tuple[int, str]) -> None:
    assert parse_tmpfs(text, "/x") == wanted


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        *(("size=", InvalidArgument), ("size=much", InvalidArgument), ("mode=9", InvalidArgument), ("colour", InvalidArgument)),
        *(("exec=1", InvalidArgument), ("rshared", Unsupported), ("bind", Unsupported), ("remount", Unsupported)),
    ],
)
def test_a_wrong_word_of_a_tmpfs_is_refused(text: str, kind: type[LabError]) -> None:
    with pytest.raises(kind, match="/x"):
        make(tmpfs={"/x": text})


@pytest.mark.parametrize(
    "keywords",
    [
        {"volumes": ["/usr:/x", "db:/x/"]},
        {"volumes": ["/usr:/x"], "mounts": ["target=/x"]},
        {"mounts": ["target=/x"], "tmpfs": ["/x/"]},
    ],
)
def test_two_things_at_one_place_are_refused(keywords: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument, match="duplicate mount point: /x"):
        make(**keywords)


def test_volumes_from_names_containers_with_a_mode() -> None:
    assert make(volumes_from=["web", "db:ro"]).volumes_from == (("web", "rw"), ("db", "ro"))
    for wrong in ("", ":ro", "web:rx", "web:ro:z"):
        with pytest.raises(InvalidArgument, match="volumes-from"):
            make(volumes_from=[wrong])


def test_only_the_driver_local_is_there() -> None:
    assert make(volume_driver="local") == make()
    with pytest.raises(Unsupported, match="'nfs'"):
        make(volume_driver="nfs")


def test_mounts_come_back_from_the_record_as_they_were() -> None:
    options = make(volumes=[text for text, _ in VOLUMES[:1]], mounts=[text.replace("=/x", f"=/{n}") for n, (text, _) in enumerate(MOUNTS)])
    assert ContainerOptions.from_json(json.loads(json.dumps(options.to_json()))) == options


def test_a_mount_point_comes_back_from_the_record_as_it_was() -> None:
    points = [
        MountPoint("bind", "/usr", "/x", recursive="disabled", propagation="rslave"),
        MountPoint("volume", "/s/db/_data", "/x", "db", "z", anonymous=True, data=""),
        MountPoint("image", "lab/base", "/x", "lab/base", read_only=True, image_id="sha256:1", diff_ids=("sha256:2",)),
    ]
    assert [MountPoint.from_json(json.loads(json.dumps(point.to_json()))) for point in points] == points


def test_inspect_tells_what_was_asked_for_in_dockers_fields() -> None:
    options = make(
        volumes=["/usr:/a:ro", "db:/b", "/anonymous"],
        mounts=[
            "type=bind,source=/usr,target=/c,ro,bind-recursive=writable,bind-propagation=rslave",
            "source=db,target=/d,volume-subpath=x",
            "type=tmpfs,target=/e,tmpfs-size=1k,tmpfs-mode=700",
        ],
        tmpfs={"/f": "exec"},
        volumes_from=["web:ro"],
    )
    assert asked_mounts(options) == {
        "Binds": ["/usr:/a:ro", "db:/b"],
        "Mounts": [
            {
                "Type": "bind",
                "Source": "/usr",
                "Target": "/c",
                "ReadOnly": True,
                "BindOptions": {"Propagation": "rslave", "ReadOnlyNonRecursive": True},
            },
            {"Type": "volume", "Source": "db", "Target": "/d", "VolumeOptions": {"DriverConfig": {}, "Subpath": "x"}},
            {"Type": "tmpfs", "Target": "/e", "TmpfsOptions": {"SizeBytes": 1024, "Mode": 0o700}},
        ],
        "Tmpfs": {"/f": "exec"},
        "VolumesFrom": ["web:ro"],
        "VolumeDriver": "",
    }
    assert volume_paths(options, ("/image",)) == {"/image": {}, "/anonymous": {}}


WORDS = st.sampled_from(
    ["type=", "bind", "volume", "source=", "target=/", "ro", ",", "=", "/usr", "..", '"', "\n", "\0", "volume-opt=", "x"]
)


def attempt(**keywords: object) -> ContainerOptions | LabError:
    try:
        return make(**keywords)
    except LabError as error:
        return error


@given(st.one_of(st.text(max_size=30), st.lists(WORDS, max_size=8).map("".join)))
def test_whatever_is_written_is_read_or_refused(text: str) -> None:
    for keywords in ({"volumes": [text]}, {"mounts": [text]}, {"tmpfs": [text]}, {"volumes_from": [text]}):
        found = attempt(**keywords)
        if isinstance(found, LabError):
            assert "\n" not in found.message
        else:
            assert ContainerOptions.from_json(json.loads(json.dumps(found.to_json()))) == found
