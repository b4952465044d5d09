"""The systemd unit of a site, as text that systemd itself accepts."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from orthweb.errors import InputError
from orthweb.local.boot import require_systemd, unit_text
from orthweb.site.load import parse_site
from orthweb.site.paths import SitePaths


@pytest.mark.parametrize("folder", ["site", "my site 100%", "it's $HOME"])
def test_systemd_accepts_the_unit_of_a_site_in_any_folder(tmp_path: Path, folder: str) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.fail("systemd-analyze is not installed: apt-get install systemd")
    unit = tmp_path / "orthweb-demo.service"
    unit.write_text(unit_text(parse_site("name: demo"), SitePaths(tmp_path / folder), user=False))
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
    complaints = [line for line in done.stderr.splitlines() if "orthweb-demo" in line]
    assert not complaints
    assert f"up --site {tmp_path}" in unit.read_text().replace('"', "")


def test_where_systemd_does_not_run_the_machine_at_boot_is_refused_with_what_runs_it() -> None:
    if Path("/run/systemd/system").is_dir():
        require_systemd()
        return
    with pytest.raises(InputError, match=r"--at-boot: process 1 of this machine is .*, not systemd"):
        require_systemd()
