"""What is inside a release, in CycloneDX: for whoever asks which versions production runs."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Final

from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL

SCHEMA: Final = SchemaVersion.V1_6
_SERVICE: Final = "gtsd"


def sbom(version: str, wheels: Mapping[str, str], direct: Collection[str], when: int) -> str:
    """The bill of materials of a release, as JSON; the same arguments give the same text.

    ``wheels`` has the SHA-256 of each wheel by the name of its file, the service's own among them;
    ``direct`` names the packages that the service itself asks for; ``when`` is the time of the
    commit, in seconds since 1970.
    """
    own, others = [], []
    for file, digest in sorted(wheels.items()):
        name, number = parts(file)
        hashes = [HashType(alg=HashAlgorithm.SHA_256, content=digest)]
        if name == _SERVICE:
            own.append(_service(version, hashes))
        else:
            # One version has a wheel for each Python; the file tells them apart.
            purl = PackageURL("pypi", None, name, number, {"file_name": file})
            others.append(
                Component(name=name, version=number, purl=purl, bom_ref=file, hashes=hashes)
            )
    if len(own) != 1:
        raise ValueError(f"{len(own)} wheels of {_SERVICE} are in the release; one must be.")
    # A number of chance, as the format has it otherwise, would make each build another one.
    seed = "\n".join(f"{file} {digest}" for file, digest in sorted(wheels.items()))
    bom = Bom(
        components=others,
        serial_number=uuid.uuid5(uuid.NAMESPACE_OID, f"{_SERVICE} {version}\n{seed}"),
        metadata=BomMetaData(component=own[0], timestamp=datetime.fromtimestamp(when, UTC)),
    )
    bom.register_dependency(own[0], [one for one in others if one.name in direct])
    return make_outputter(bom, OutputFormat.JSON, SCHEMA).output_as_string(indent=2) + "\n"


def parts(wheel: str) -> tuple[str, str]:
    """Name and version of a package, from the name of its wheel; the name as pip compares it."""
    name, version = wheel.split("-")[:2]
    return name.replace("_", "-").lower(), version


def _service(version: str, hashes: list[HashType]) -> Component:
    return Component(
        name=_SERVICE,
        version=version,
        type=ComponentType.APPLICATION,
        purl=PackageURL("generic", None, _SERVICE, version),
        bom_ref=_SERVICE,
        hashes=hashes,
    )
