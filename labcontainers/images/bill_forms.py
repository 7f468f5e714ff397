"""A bill of materials in the forms of exchange: SPDX 2.3 and CycloneDX 1.5; it must not know where packages were found.

Equal images give equal documents: times are the image's own, ids are counted or made of digests. Sources: spdx.github.io/spdx-spec/v2.3;
cyclonedx.org/docs/1.5/json.
"""

from __future__ import annotations

import re
import uuid
from typing import Any

from labcontainers.images.bill import Bill, Evidence, Package
from labcontainers.version import __version__

PREDICATE = "https://spdx.dev/Document"
_NONE = "NOASSERTION"
_PURPOSE = {"deb": "LIBRARY", "apk": "LIBRARY", "pypi": "LIBRARY"}
# What SPDX's expressions are made of; any other text is no license of its list.
_EXPRESSION = re.compile(r"[A-Za-z0-9.+-]+(?: (?:AND|OR|WITH) [A-Za-z0-9.+-]+)*")


def spdx(bill: Bill) -> dict[str, Any]:
    """An SPDX document as JSON has it."""
    digits = bill.image_id.partition(":")[2]
    files = {package.evidence.path: package.evidence for package in bill}
    numbers = {path: number for number, path in enumerate(sorted(files), 1)}
    root = "SPDXRef-Image"
    packages = [
        {
            "SPDXID": root,
            "name": bill.name,
            "versionInfo": bill.image_id,
            "downloadLocation": _NONE,
            "filesAnalyzed": False,
            "licenseConcluded": _NONE,
            "licenseDeclared": _NONE,
            "copyrightText": _NONE,
            "primaryPackagePurpose": "CONTAINER",
            "checksums": [{"algorithm": "SHA256", "checksumValue": digits}],
        }
    ]
    relationships = [{"spdxElementId": "SPDXRef-DOCUMENT", "relatedSpdxElement": root, "relationshipType": "DESCRIBES"}]
    for number, package in enumerate(bill, 1):
        identifier = f"SPDXRef-Package-{number}"
        packages.append(_spdx_package(package, identifier))
        relationships.append({"spdxElementId": root, "relatedSpdxElement": identifier, "relationshipType": "CONTAINS"})
        relationships.append(
            {
                "spdxElementId": identifier,
                "relatedSpdxElement": f"SPDXRef-File-{numbers[package.evidence.path]}",
                "relationshipType": "OTHER",
                "comment": "evident-by: this file tells of the package",
            }
        )
    document: dict[str, Any] = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": bill.name,
        "documentNamespace": f"https://spdx.org/spdxdocs/labcontainers-{__version__}-{digits}",
        "creationInfo": {"created": _moment(bill.created), "creators": [f"Tool: labcontainers-{__version__}"]},
        "packages": packages,
        "files": [_spdx_file(files[path], f"SPDXRef-File-{numbers[path]}") for path in sorted(files)],
        "relationships": relationships,
    }
    if bill.unread:
        document["comment"] = "; ".join(f"the package database in /{path} was not read" for path in bill.unread)
    return document


def _spdx_file(file: Evidence, identifier: str) -> dict[str, Any]:
    return {
        "SPDXID": identifier,
        "fileName": f"/{file.path}",
        "checksums": [{"algorithm": "SHA1", "checksumValue": file.sha1}, {"algorithm": "SHA256", "checksumValue": file.sha256}],
        "licenseConcluded": _NONE,
        "licenseInfoInFiles": [_NONE],
        "copyrightText": _NONE,
        "comment": f"layerID: {file.layer}",
    }


def _spdx_package(package: Package, identifier: str) -> dict[str, Any]:
    declared = package.license if _EXPRESSION.fullmatch(package.license) else ""
    value: dict[str, Any] = {
        "SPDXID": identifier,
        "name": package.name,
        "versionInfo": package.version,
        "downloadLocation": _NONE,
        "filesAnalyzed": False,
        "licenseConcluded": _NONE,
        "licenseDeclared": declared or _NONE,
        "copyrightText": _NONE,
        "primaryPackagePurpose": _PURPOSE[package.kind],
        "sourceInfo": f"told by /{package.evidence.path}",
        "comment": f"layerID: {package.layer}",
        "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": package.purl}],
    }
    if package.supplier:
        value["supplier"] = f"{'Organization' if package.kind != 'pypi' else 'Person'}: {' '.join(package.supplier.split())}"
    if package.homepage.startswith(("http://", "https://")):
        value["homepage"] = package.homepage
    return value


def _moment(created: str) -> str:
    """RFC 3339 to the second, as SPDX wants it; 1970 where the image says nothing."""
    match = re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", created)
    return f"{match[0]}Z" if match else "1970-01-01T00:00:00Z"


def cyclonedx(bill: Bill) -> dict[str, Any]:
    """A CycloneDX document as JSON has it."""
    components = []
    for package in bill:
        properties = [
            {"name": "labcontainers:layer", "value": package.layer},
            {"name": "labcontainers:path", "value": f"/{package.evidence.path}"},
        ]
        component: dict[str, Any] = {
            "bom-ref": f"{package.purl}#{package.evidence.path}",
            "type": "library",
            "name": package.name,
            "version": package.version,
            "purl": package.purl,
            "properties": properties,
        }
        if package.license:
            is_expression = _EXPRESSION.fullmatch(package.license) is not None
            component["licenses"] = [{"expression": package.license}] if is_expression else [{"license": {"name": package.license}}]
        components.append(component)
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, bill.image_id)}",
        "version": 1,
        "metadata": {
            "timestamp": _moment(bill.created),
            "tools": {"components": [{"type": "application", "name": "labcontainers", "version": __version__}]},
            "component": {"bom-ref": bill.image_id, "type": "container", "name": bill.name, "version": bill.image_id},
        },
        "components": components,
    }
