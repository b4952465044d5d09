"""Where the parts of a site lie on disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class SitePaths:
    """The folders of one site; `root` is the folder that holds `orthweb.yaml`."""

    root: Path

    @property
    def state(self) -> Path:
        """All that Orthweb made."""
        return self.root / ".orthweb"

    @property
    def pki(self) -> Path:
        return self.state / "pki"

    @property
    def aws_certificate(self) -> Path:
        """What a site on AWS shows; its key is in Secrets Manager alone."""
        return self.pki / "aws-server.crt"

    @property
    def secrets(self) -> Path:
        return self.state / "secrets"

    @property
    def config(self) -> Path:
        return self.state / "config"

    @property
    def data(self) -> Path:
        return self.state / "data"

    @property
    def database(self) -> Path:
        return self.data / "postgresql"

    @property
    def objects(self) -> Path:
        return self.data / "dicom"

    @property
    def bucket(self) -> Path:
        """Objects of the embedded S3-compatible server."""
        return self.data / "s3"

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    @property
    def run(self) -> Path:
        return self.state / "run"

    @property
    def terraform(self) -> Path:
        """Where Terraform works for a site on AWS; holds its state unless that is in a bucket."""
        return self.state / "terraform"

    @property
    def mark(self) -> Path:
        """Says that Orthweb made `state`: written first, deleted last."""
        return self.state / "site.json"

    @property
    def lock(self) -> Path:
        return self.state / "lock"

    @property
    def history(self) -> Path:
        return self.state / "history.jsonl"
