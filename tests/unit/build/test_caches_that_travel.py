"""Caches outside of a store: what the flags take, the document's form, and a folder that is read without believing it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, ClassVar

import pytest

from labcontainers.build.caching.document import INLINE, MEDIA_TYPE, MOST_BYTES, CachedLayer, CacheDocument, inline, read_cache
from labcontainers.build.caching.places import Folder, read_document
from labcontainers.build.caching.specs import FROM, TO, parse_specs
from labcontainers.errors import DigestMismatch, InvalidArgument, LabError, NotFound, Unsupported
from labcontainers.oci.descriptor import Descriptor
from labcontainers.oci.digest import chain_id, sha256
from labcontainers.oci.manifest import MEDIA_TYPE_CONFIG, MEDIA_TYPE_LAYER_GZIP, Manifest

ONE, TWO = "sha256:" + "1" * 64, "sha256:" + "2" * 64
KEYS = ["step:" + letter * 64 for letter in "abc"]
STORED = Descriptor(MEDIA_TYPE_LAYER_GZIP, "sha256:" + "9" * 64, 5)
LAYER = CachedLayer(TWO, chain_id([ONE, TWO]), STORED)


class TestFlags:
    def test_folders_are_found_from_where_the_user_is(self, tmp_path: Path) -> None:
        (one,) = parse_specs(TO, ["type=local,dest=c,mode=max,tag=x,ignore-error=true"], tmp_path)
        assert (one.folder, one.tag, one.whole, one.may_fail) == (tmp_path / "c", "x", True, True)
        (two,) = parse_specs(FROM, [f"type=local,src={tmp_path},digest={ONE}"], Path("/"))
        assert (two.folder, two.digest, two.whole) == (tmp_path, ONE, False)

    def test_a_name_alone_is_that_of_a_registry(self) -> None:
        found = parse_specs(FROM, ["registry.example/team/tool:1", "type=registry,ref=lab/x"], Path())
        assert [str(one.reference) for one in found] == ["registry.example/team/tool:1", "lab/x:latest"]
        assert [one.type for one in parse_specs(TO, ["type=inline", "inline"], Path())] == ["inline", "inline"]

    def test_what_is_always_so_may_be_said(self) -> None:
        parse_specs(TO, ["type=registry,ref=a/b,oci-mediatypes=true,image-manifest=true,compression=gzip"], Path())

    @pytest.mark.parametrize("kind", ["gha", "s3", "azblob"])
    def test_services_are_refused(self, kind: str) -> None:
        for flag in (TO, FROM):
            with pytest.raises(Unsupported, match=f"{flag}: type={kind}"):
                parse_specs(flag, [f"type={kind},x=1"], Path())

    @pytest.mark.parametrize(
        ("flag", "text"),
        [(FROM, "type=inline"), (FROM, "type=local,dest=x"), (TO, "type=local,src=x"), (TO, "type=local,dest=x,mod=max"), (TO, "dest=x"),
         (TO, "type=local,dest=x,ignore-error=maybe"), (FROM, "type=local,src=x,digest=sha256:../x"), (TO, 'type="local'),
         (TO, "type=local,x")],
    )  # fmt: skip
    def test_what_is_wrong_is_told(self, flag: str, text: str) -> None:
        with pytest.raises(InvalidArgument, match=flag) as caught:
            parse_specs(flag, [text], Path())
        assert caught.value.hint


def written(steps: dict[str, CachedLayer | None]) -> tuple[Manifest, dict[str, Any]]:
    manifest, config = CacheDocument(steps).to_manifest()
    return Manifest.from_bytes(manifest), json.loads(config)


class TestDocument:
    STEPS: ClassVar[dict[str, CachedLayer | None]] = {KEYS[0]: LAYER, KEYS[1]: None, KEYS[2]: LAYER}

    def test_it_comes_back_and_equal_caches_are_equal_bytes(self) -> None:
        manifest, config = CacheDocument(self.STEPS).to_manifest()
        assert read_cache(Manifest.from_bytes(manifest), config).steps == self.STEPS
        assert CacheDocument(dict(reversed(self.STEPS.items()))).to_manifest() == (manifest, config)
        assert Manifest.from_bytes(manifest).config.media_type == MEDIA_TYPE

    def test_an_image_tells_its_own_steps(self) -> None:
        document = inline({KEYS[0]: LAYER.chain_id, KEYS[1]: "", KEYS[2]: "sha256:of another image"}, [ONE, TWO])
        config = json.dumps({INLINE: document, "rootfs": {"type": "layers", "diff_ids": [ONE, TWO]}}).encode()
        manifest = Manifest(Descriptor(MEDIA_TYPE_CONFIG, sha256(config), len(config)), (STORED, STORED))
        assert read_cache(manifest, config).steps == {KEYS[0]: LAYER, KEYS[1]: None}

    @pytest.mark.parametrize("place", [-2, 1, True, "0", None, 1.0, 10**30])
    def test_a_layer_that_is_not_there_is_refused(self, place: object) -> None:
        manifest, value = written({KEYS[0]: LAYER})
        value["records"][0]["layer"] = place
        with pytest.raises(InvalidArgument, match="layer"):
            read_cache(manifest, json.dumps(value).encode())

    @pytest.mark.parametrize(
        "key", ["step:../../x", "step:" + "A" * 64, "mount:" + "a" * 64, "step:" + "a" * 63, None, 5, "step:" + "a" * 64 + "\n"]
    )
    def test_a_key_that_is_none_is_refused(self, key: object) -> None:
        manifest, value = written({KEYS[0]: LAYER})
        value["records"][0]["key"] = key
        with pytest.raises(InvalidArgument, match="key"):
            read_cache(manifest, json.dumps(value).encode())

    CHANGES: tuple[dict[str, Any], ...] = (
        {"version": 2}, {"version": None}, {"records": {}}, {"records": [5]}, {"records": None}, {"layers": []}, {"layers": [5]},
        {"layers": None},
        {"layers": [{"diff_id": "../x", "chain_id": ONE}]}, {"layers": [{"diff_id": "sha512:" + "1" * 128, "chain_id": ONE}]},
        {"layers": [{"diff_id": ONE}]}, {"records": [{"key": KEYS[0], "layer": 0}] * 2},
    )  # fmt: skip

    @pytest.mark.parametrize("change", CHANGES)
    def test_another_form_is_refused(self, change: dict[str, Any]) -> None:
        manifest, value = written({KEYS[0]: LAYER})
        with pytest.raises(InvalidArgument):
            read_cache(manifest, json.dumps({**value, **change}).encode())

    @pytest.mark.parametrize("data", [b"", b"[]", b"5", b"[" * 100_000, b"\xff", b'"x"', b"{}"])
    def test_what_is_no_document_is_refused(self, data: bytes) -> None:
        with pytest.raises(InvalidArgument):
            read_cache(written({})[0], data)

    def test_a_cache_of_buildkit_is_told_as_such(self) -> None:
        config = b'{"moby.buildkit.cache.v0": "e30="}'
        image = Manifest(Descriptor(MEDIA_TYPE_CONFIG, sha256(config), len(config)), ())
        with pytest.raises(InvalidArgument, match="BuildKit"):
            read_cache(image, config)
        own = Manifest(Descriptor("application/vnd.buildkit.cacheconfig.v0", sha256(b"{}"), 2), ())
        with pytest.raises(InvalidArgument, match="BuildKit"):
            read_cache(own, b"{}")


class TestFolder:
    def put(self, folder: Path, tag: str = "latest") -> tuple[Folder, Manifest]:
        place = Folder(folder, tag)
        manifest, config = CacheDocument({}).to_manifest()
        place.put(Descriptor(MEDIA_TYPE, sha256(config), len(config)), lambda: iter([config]))
        place.publish(manifest)
        return place, Manifest.from_bytes(manifest)

    def test_what_is_published_is_found_by_tag_and_by_digest(self, tmp_path: Path) -> None:
        place, manifest = self.put(tmp_path / "new" / "c", "one")
        self.put(tmp_path / "new" / "c", "two")
        assert place.manifest() == manifest
        assert Folder(tmp_path / "new" / "c", digest=sha256(manifest.to_bytes())).manifest() == manifest
        assert read_cache(manifest, read_document(place, manifest.config)).steps == {}
        assert [one.annotations for one in Folder(tmp_path / "new" / "c")._index()] == [
            {"org.opencontainers.image.ref.name": name} for name in ("one", "two")
        ]
        with pytest.raises(NotFound, match="three"):
            Folder(tmp_path / "new" / "c", "three").manifest()

    def test_bytes_that_are_others_are_refused(self, tmp_path: Path) -> None:
        place, manifest = self.put(tmp_path)
        path = tmp_path / "blobs" / "sha256" / manifest.config.digest[7:]
        path.write_bytes(b"x" * manifest.config.size)
        with pytest.raises(DigestMismatch):
            read_document(place, manifest.config)
        (tmp_path / "blobs" / "sha256" / sha256(manifest.to_bytes())[7:]).write_bytes(b"{}")
        with pytest.raises(DigestMismatch):
            place.manifest()

    def test_links_and_pipes_are_not_followed(self, tmp_path: Path) -> None:
        place, manifest = self.put(tmp_path / "c")
        path = tmp_path / "c" / "blobs" / "sha256" / manifest.config.digest[7:]
        os.rename(path, tmp_path / "secret")
        path.symlink_to(tmp_path / "secret")
        with pytest.raises(InvalidArgument, match="cannot read"):
            read_document(place, manifest.config)
        (tmp_path / "c" / "index.json").unlink()
        os.mkfifo(tmp_path / "c" / "index.json")
        with pytest.raises(InvalidArgument, match="is no file"):
            place.manifest()

    def test_too_much_is_not_read(self, tmp_path: Path) -> None:
        place, manifest = self.put(tmp_path)
        with pytest.raises(InvalidArgument, match="bytes"):
            read_document(place, Descriptor(MEDIA_TYPE, manifest.config.digest, MOST_BYTES + 1))
        with open(tmp_path / "index.json", "ab") as file:
            file.truncate(5 << 20)
        with pytest.raises(InvalidArgument, match="longer"):
            place.manifest()

    @pytest.mark.parametrize("digest", ["sha256:../../../etc/passwd", "sha256:" + "a" * 63, "../x", "sha512:" + "a" * 128])
    def test_a_name_never_leads_out(self, tmp_path: Path, digest: str) -> None:
        self.put(tmp_path)
        index = json.loads((tmp_path / "index.json").read_text())
        index["manifests"][0]["digest"] = digest
        (tmp_path / "index.json").write_text(json.dumps(index))
        with pytest.raises(LabError):
            Folder(tmp_path).manifest()
