"""Every instruction and directive of a Dockerfile, each of their flags, and every flag of `build`.

Source: docs.docker.com "Dockerfile reference" and "docker buildx build". It must not know how a row is executed.
"""

from __future__ import annotations

from tests.data.dockerfile_row import Elsewhere, Refused, Row

B = "FROM lab/base\n"

DIRECTIVES = (
    Row("`# syntax=docker/dockerfile:1`", "# syntax=docker/dockerfile:1\n" + B + "RUN echo it is built in", said="it is built in"),
    Row("`# escape=` and a backtick", "# escape=`\n" + B + "RUN echo one `\n  two", said="one two"),
    Row("`# check=skip=RULE`", "# check=skip=JSONArgsRecommended\n" + B + "CMD echo", flags="--check", shown="no warnings found"),
    Row("`# check=error=true`", "# check=error=true\n" + B + "CMD echo", fails="JSONArgsRecommended"),
    Row("comments, also between continued lines", B + "# one\nRUN echo a \\\n# two\n  b", said="a b"),
    Row("here-documents of RUN", B + "RUN <<EOT\necho first\necho second\nEOT", said="first\nsecond"),
    Row("here-documents with an interpreter", B + "RUN <<EOT cat -n\nread by another\nEOT", said="1\tread by another"),
    Row(
        "here-documents of COPY", B + 'ARG A=x\nCOPY <<EOT <<"EOR" /there/\n$A\nEOT\n$A\nEOR\nRUN cat /there/EOT /there/EOR', said="x\n\\$A"
    ),
    Row("here-documents with `<<-`", B + "COPY <<-EOT /f\n\t\tless\n\tEOT\nRUN cat /f", said="^less"),
    Row(
        "variables in all forms",
        B + "ENV A=one/two E=\nLABEL l=\"${A##*/} ${A%/*} ${A/one/1} ${A//o/0} ${E:-empty} ${N-unset} ${A:+set} \\$A '$A'\"",
        tells=("Config.Labels.l", "two one 1/two 0ne/tw0 empty unset set $A 'one/two'"),
    ),
    Row("`${A:?words}`", B + 'LABEL l="${N:?it is needed}"', fails="it is needed"),
    Row("`.dockerignore`", B + "COPY . /all/\nRUN ls -a /all", said="left-out.md\n(?s:(?!.*left-out.txt))"),
)

INSTRUCTIONS = (
    Row("`FROM … AS name`, and `FROM name`", "FROM lab/base AS one\nRUN echo 1 > /1\nFROM one\nRUN cat /1", said="1"),
    Row("`FROM scratch`", "FROM scratch\nCOPY app.txt /", tells=("RootFS.Type", "layers")),
    Row("`FROM $ARG`", "ARG BASE=lab/base\nFROM $BASE\nRUN echo of it", said="of it"),
    Row("`FROM --platform`", "FROM --platform=$BUILDPLATFORM lab/base\nRUN echo here", said="here"),
    Row("`RUN` of the shell", B + "RUN echo $0 && exit 0", said="/bin/sh"),
    Row("`RUN` as a JSON list", B + 'RUN ["echo", "$HOME"]', said=r"^\$HOME"),
    Row("`RUN --mount=type=bind`", B + "RUN --mount=type=bind,source=app.txt,target=/a cat /a", said="of the app"),
    Row(
        "`RUN --mount=type=bind,from=`",
        "FROM lab/base AS one\nRUN echo kept > /k\nFROM lab/base\nRUN --mount=from=one,source=/k,target=/k,rw cat /k && echo lost > /k",
        said="kept",
    ),
    Row(
        "`RUN --mount=type=cache`",
        B + "RUN --mount=type=cache,target=/c echo 1 > /c/f\nRUN --mount=type=cache,target=/c cat /c/f",
        said="1",
    ),
    Row("`RUN --mount=type=tmpfs`", B + "RUN --mount=type=tmpfs,target=/t,size=1m grep ' /t ' /proc/self/mounts", said="tmpfs"),
    Row(
        "`RUN --mount=type=secret`",
        B + "RUN --mount=type=secret,id=token cat /run/secrets/token\nRUN --mount=type=secret,id=token,env=T echo $T",
        flags="--secret id=token,src=token",
        said="a secret",
    ),
    Elsewhere("`RUN --mount=type=ssh`", "test_build_by_ssh.py"),
    Row("`RUN --network=none`", B + "RUN --network=none cat /proc/net/dev", said="lo:(?s:(?!.*eth0))"),
    Elsewhere("`RUN --network=host`, `RUN --security=insecure`, where `--allow` lets them", "test_limits_of_builds.py"),
    Refused("`RUN --device`", B + "RUN --device=vendor.com/device=0 true"),
    Row("`CMD` as a list", B + 'CMD ["echo", "a b"]', tells=("Config.Cmd", ["echo", "a b"])),
    Row("`CMD` of the shell", B + "CMD echo $HOME", tells=("Config.Cmd", ["/bin/sh", "-c", "echo $HOME"])),
    Row("`ENTRYPOINT`", B + 'ENTRYPOINT ["echo"]', tells=("Config.Entrypoint", ["echo"])),
    Row("`ENTRYPOINT` and `CMD`", B + 'ENTRYPOINT ["echo", "a"]\nCMD ["b"]', prints="a b"),
    Row("`LABEL`", B + 'LABEL a=b "c d"="e\\\n f"', tells=("Config.Labels.c d", "e f")),
    Row("`MAINTAINER`", B + "MAINTAINER me", tells=("Author", "me")),
    Row(
        "`EXPOSE`",
        B + "EXPOSE 80 53/udp 8000-8001",
        tells=("Config.ExposedPorts", {"53/udp": {}, "80/tcp": {}, "8000/tcp": {}, "8001/tcp": {}}),
    ),
    Row("`ENV`", B + 'ENV A=1 B="2 3"\nENV C $A$B', runs="sh -c 'echo $C'", prints="12 3"),
    Row("`ADD` of files", B + "ADD app.txt run.sh /to/\nRUN cat /to/app.txt && /to/run.sh", said="of the app\nof the script"),
    Elsewhere("`ADD` of archives, packed or not", "test_build_in_namespaces.py"),
    Row("`ADD --chown`, `--chmod`", B + "ADD --chown=0:0 --chmod=600 app.txt /a\nRUN stat -c '%u:%g %a' /a", said="0:0 600"),
    Elsewhere("`ADD` of URLs, `--checksum`, `--unpack`", "test_build_from_elsewhere.py"),
    Elsewhere("`ADD` of git repositories, `--keep-git-dir`, `--checksum`", "test_build_from_git.py"),
    Row(
        "`COPY` of files, patterns and folders",
        B + "COPY data/o* data/*.log /f/\nCOPY data /d\nRUN cd / && ls -R /f /d",
        said="one\ntwo.log\n(?s:.*)three",
    ),
    Row("`COPY` as a JSON list", B + 'COPY ["app.txt", "/a b"]\nRUN cat "/a b"', said="of the app"),
    Row("`COPY --from=stage`", "FROM lab/base AS one\nRUN echo 1 > /1\nFROM lab/base\nCOPY --from=one /1 /2\nRUN cat /2", said="1"),
    Row("`COPY --from=image`", "FROM scratch\nCOPY --from=lab/base /etc/passwd /p", tells=("RootFS.Type", "layers")),
    Row("`COPY --chown`", B + "COPY --chown=1:1 app.txt /a\nRUN stat -c %u:%g /a", said="1:1", unless="single id"),
    Row("`COPY --chmod`", B + "COPY --chmod=751 app.txt /a\nCOPY --chmod=u=rwX,go=r app.txt /b\nRUN stat -c %a /a /b", said="751\n644"),
    Row("`COPY --link`", B + "COPY --link app.txt /l/a\nRUN cat /l/a", said="of the app"),
    Row("`COPY --parents`", B + "COPY --parents data/./deep/three /p/\nRUN cat /p/deep/three", said="3"),
    Row(
        "`COPY --parents` of nothing",
        B + "COPY --parents data/./z* /p/\nCOPY --from=lab/base --parents /etc/./z* /q/\nRUN ls -d /p /q",
        said="/p\n/q",
    ),
    Row("`COPY --exclude`", B + "COPY --exclude=*.log --exclude=deep data /e\nRUN ls /e", said="^one$"),
    Row("`VOLUME`", B + 'VOLUME ["/x"]\nVOLUME /v', tells=("Config.Volumes", {"/v": {}, "/x": {}})),
    Row("`USER`", B + "USER lab\nRUN id -un", said="lab", unless="single id"),
    Row("`USER` of root with a group", B + "USER :0\nRUN id -u", said="^0"),
    Row("`WORKDIR`", B + "WORKDIR /one\nWORKDIR two\nRUN pwd", said="/one/two"),
    Row("`ARG`", B + "ARG A=1\nARG B=${A}2 C\nRUN echo $A $B [$C]", flags="--build-arg C=3", said=r"1 12 \[3\]"),
    Elsewhere("`ARG SOURCE_DATE_EPOCH=context` before `FROM`", "test_build_from_git.py"),
    Elsewhere("`ARG SOURCE_DATE_EPOCH=stage`, of one `ADD` of a URL or a git repository", "test_build_from_elsewhere.py"),
    Row("platform arguments", B + "ARG TARGETOS TARGETARCH\nRUN echo $TARGETOS", said="linux"),
    Elsewhere("`ONBUILD`", "test_dockerfile_language.py"),
    Row("`STOPSIGNAL`", B + "STOPSIGNAL SIGUSR1", tells=("Config.StopSignal", "SIGUSR1")),
    Row(
        "`HEALTHCHECK`",
        B + "HEALTHCHECK --interval=5s --timeout=2s --start-period=1s --start-interval=1s --retries=2 CMD true",
        tells=("Config.Healthcheck.Retries", 2),
    ),
    Row("`HEALTHCHECK NONE`", B + "HEALTHCHECK NONE", tells=("Config.Healthcheck.Test", ["NONE"])),
    Row("`SHELL`", B + 'SHELL ["/bin/sh", "-ec"]\nRUN echo $-', said="e"),
)

FLAGS = (
    Row("`-t`, `--tag`", B + "LABEL a=b", flags="-t one -t other:2", tells=("RepoTags", ["one:latest", "other:2"])),
    Row("`-f`, `--file`", "", flags="-f other.Dockerfile", said="from the other file"),
    Row("`--build-arg`", B + "ARG A\nRUN echo $A", flags="--build-arg A=given", said="given"),
    Row("`--label`", B + "LABEL a=b", flags="--label c=d", tells=("Config.Labels.c", "d")),
    Row(
        "`--build-context`",
        "FROM base\nCOPY --from=more one /\nRUN cat /one",
        flags="--build-context more=data --build-context base=docker-image://lab/base",
        said="1",
    ),
    Row("`--target`", "FROM lab/base AS one\nRUN echo first\nFROM lab/base\nRUN echo second", flags="--target one", said="first"),
    Row("`--no-cache`", B + "RUN cat /proc/sys/kernel/random/uuid", flags="--no-cache", said="-"),
    Row("`--no-cache-filter`", "FROM lab/base AS one\nRUN echo again", flags="--no-cache-filter one", said="again"),
    Row("`--cache-to`", B + "RUN echo kept > /k", flags="--cache-to type=local,dest=cache", file=("cache/index.json", "manifests")),
    Elsewhere("`--cache-from`", "test_cache_elsewhere.py"),
    Row("`--pull`", B + "LABEL a=b", flags="--pull", tells=("Config.Labels.a", "b")),
    Row("`--platform`", B + "LABEL a=b", flags="--platform linux", tells=("Config.Labels.a", "b")),
    Row("`--check`", B + "CMD echo", flags="--check", shown="JSONArgsRecommended"),
    Row("`--call`", "FROM lab/base AS one\nARG A=1", flags="--call outline", shown="A"),
    Row("`-q`, `--quiet`", B + "LABEL a=b", flags="-q", shown="^sha256:[0-9a-f]{64}$"),
    Row("`--iidfile`", B + "LABEL a=b", flags="--iidfile id", file=("id", "^sha256:[0-9a-f]{64}$")),
    Row("`--secret`", B + "RUN --mount=type=secret,id=t cat /run/secrets/t", flags="--secret id=t,src=token", said="a secret"),
    Elsewhere("`--ssh`", "test_build_by_ssh.py"),
    Row("`--add-host`", B + "RUN grep db /etc/hosts", flags="--add-host db:10.1.2.3", said="10.1.2.3"),
    Row("`--shm-size`", B + "RUN df -k /dev/shm", flags="--shm-size 8m", said="8192"),
    Row("`--ulimit`", B + "RUN ulimit -n", flags="--ulimit nofile=77:77", said="77"),
    Elsewhere(
        "`-m`, `--memory`, `--memory-swap`, `-c`, `--cpu-shares`, `--cpu-period`, `--cpu-quota`, `--cpuset-cpus`, `--cpuset-mems`",
        "test_limits_of_builds.py",
    ),
    Row("`--metadata-file`", B + "LABEL a=b", flags="--metadata-file told.json", file=("told.json", "containerimage.digest")),
    Row("`--annotation`", B + "LABEL a=b", flags="--annotation one=two", tells=("Config.Labels.a", "b")),
    Elsewhere("`--attest`, `--provenance`, `--sbom`", "test_build_attestations.py"),
    Elsewhere("`--verify`", "test_verified_builds.py"),
    Row("`-o`, `--output`", B + "RUN echo made > /made", flags="--output out", file=("out/made", "made")),
    Row("`--load`", B + "LABEL a=b", flags="--load -t loaded", tells=("RepoTags", ["loaded:latest"])),
    Elsewhere("`--push`", "test_build_outputs.py"),
    Elsewhere("`--squash`", "test_squashed_builds.py"),
    Row("`--builder`", B + "LABEL a=b", flags="--builder default", tells=("Config.Labels.a", "b")),
    Row("`--progress`", B + "RUN echo seen", flags="--progress plain", said="seen"),
    Row("`--network`", B + "RUN cat /proc/net/dev", flags="--network none", said="lo:(?s:(?!.*eth0))"),
    Row("`--allow`", "FROM host\nLABEL a=b", flags="--allow host", tells=("Config.Labels.a", "b"), needs=("root",)),
)
