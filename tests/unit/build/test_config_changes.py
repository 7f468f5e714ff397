"""`commit --change`: Dockerfile instructions that are applied to a config."""

from __future__ import annotations

from typing import Any

import pytest

from labcontainers.build.config_changes import apply_changes
from labcontainers.errors import InvalidArgument
from labcontainers.oci.image_config import ProcessConfig

GIVEN = ProcessConfig(
    env=("PATH=/bin", "A=1"), cmd=("old",), entrypoint=("entry",), labels={"a": "1"}, exposed_ports=("80/tcp",), working_dir="/w"
)

# changes and the fields that differ afterwards
APPLIED = [
    ([], {}),
    (['CMD ["new"]'], {"cmd": ("new",)}),
    (["CMD echo hi"], {"cmd": ("/bin/sh", "-c", "echo hi")}),
    (['ENTRYPOINT ["other"]'], {"entrypoint": ("other",), "cmd": None}),
    (['CMD ["new"]', 'ENTRYPOINT ["other"]'], {"entrypoint": ("other",), "cmd": ("new",)}),
    (["ENV A=2 B=$A"], {"env": ("PATH=/bin", "A=2", "B=1")}),
    (["env C=3"], {"env": ("PATH=/bin", "A=1", "C=3")}),
    (["LABEL a=2 b='x y'"], {"labels": {"a": "2", "b": "x y"}}),
    (["EXPOSE 53/udp"], {"exposed_ports": ("53/udp", "80/tcp")}),
    (["USER 1:2"], {"user": "1:2"}),
    (["VOLUME /v", "VOLUME /v /w"], {"volumes": ("/v", "/w")}),
    (["WORKDIR sub"], {"working_dir": "/w/sub"}),
    (["STOPSIGNAL 9"], {"stop_signal": "9"}),
    (["ONBUILD RUN true", "ONBUILD COPY a b"], {"extra": {"OnBuild": ["RUN true", "COPY a b"]}}),
    (["ONBUILD RUN true", "USER x"], {"extra": {"OnBuild": ["RUN true"]}, "user": "x"}),
]


@pytest.mark.parametrize(("changes", "fields"), APPLIED)
def test_a_change_changes_its_field_and_no_other(changes: list[str], fields: dict[str, Any]) -> None:
    changed = apply_changes(GIVEN, changes)
    for name in ("user", "exposed_ports", "env", "entrypoint", "cmd", "volumes", "working_dir", "labels", "stop_signal", "shell", "extra"):
        assert getattr(changed, name) == fields.get(name, getattr(GIVEN, name)), name


@pytest.mark.parametrize(
    "change",
    ["FROM x", "RUN x", "COPY a b", "ADD a b", "ARG a", 'SHELL ["x"]', "MAINTAINER x", "USER a\nUSER b", " ", "# comment", "HEALTHCHECK"],
)
def test_what_docker_does_not_allow_is_refused_with_the_change(change: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        apply_changes(GIVEN, ["ENV ok=1", change])
    assert repr(change) in caught.value.message
    assert "\n" not in caught.value.message
