"""The names in a folder or archive that is an OCI layout; it must not know what is in one. Source: OCI image spec, image-layout.md."""

from __future__ import annotations

from labcontainers.oci.manifest import canonical_json

LAYOUT, INDEX = "oci-layout", "index.json"
TAG = "org.opencontainers.image.ref.name"
"""The annotation of an index that has a tag."""
MARK = canonical_json({"imageLayoutVersion": "1.0.0"})
"""What the file LAYOUT holds."""
