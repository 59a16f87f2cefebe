"""Keys of the tests, and archives that they sign."""

from __future__ import annotations

import io
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

from requirements import release
from requirements.release_names import archive_of
from requirements.release_signature import sign

FILES = {
    "bin/gtsd": "#!/bin/sh\n",
    "etc/systemd/system/gtsd-api@.service": "[Service]\n",
    "release.env": "APP_VERSION=1.4.0\n",
}


def make_key(file: Path) -> Path:
    """A private key without a passphrase; its public half is beside it."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", file], check=True)
    return file


def public(key: Path) -> str:
    """The public half, as a line."""
    return key.with_suffix(".pub").read_text().strip()


@dataclass
class Workshop:
    """Where releases are made: each is a folder, then an archive, then signed."""

    folder: Path
    key: Path

    def release(self, version: str = "1.4.0") -> Path:
        """The folder of a small release, described."""
        made = self.folder / f"gtsd-{version}"
        for name, text in FILES.items():
            (made / name).parent.mkdir(parents=True, exist_ok=True)
            (made / name).write_text(text)
        self.describe(made, version)
        return made

    def describe(self, made: Path, version: str) -> None:
        """Write release.json anew, of what is there now."""
        (made / "release.json").unlink(missing_ok=True)
        release.add_description(made, version, "4f2a9c1")

    def archive(self, made: Path, *, signed: bool = True) -> Path:
        """The folder as an archive, as `make release` packs it."""
        packed = archive_of(made.name.removeprefix("gtsd-"), self.folder)
        release.pack(made, packed, 1_700_000_000)
        return self.sign(packed) if signed else packed

    def with_entry(self, entry: tarfile.TarInfo, content: str = "") -> Path:
        """The small release with one more entry, which no packing of ours would make; signed."""
        packed = self.archive(self.release(), signed=False)
        with tarfile.open(packed) as tar:
            entries = [(each, tar.extractfile(each)) for each in tar]
            with tarfile.open(packed.with_suffix(".new"), "w:gz") as other:
                for each, data in entries:
                    other.addfile(each, data)
                entry.size = len(content)
                other.addfile(entry, io.BytesIO(content.encode()))
        return self.sign(packed.with_suffix(".new").replace(packed))

    def sign(self, archive: Path) -> Path:
        """With the key that hosts know."""
        sign(archive, self.key)
        return archive
