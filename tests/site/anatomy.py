"""What a site on this machine consists of right now: its processes and its files."""

from __future__ import annotations

from pathlib import Path

from harness import TestSite


def pids(site: TestSite) -> dict[str, int]:
    """Process ids of the supervisor and of each service, of a site that is healthy."""
    state = site.status()
    assert state["healthy"], state
    services = {entry["name"]: int(entry["pid"]) for entry in state["services"]}
    return {"supervisor": int(state["supervisor"]["pid"]), **services}


def changed(before: dict[str, int], after: dict[str, int]) -> set[str]:
    """The services that are other processes than before, or came, or went."""
    return {name for name in {*before, *after} if before.get(name) != after.get(name)}


def family(supervisor: int) -> list[int]:
    """The supervisor and every process below it, PostgreSQL's own children included, parents first."""
    parents = {int(entry.name): _parent(entry) for entry in Path("/proc").iterdir() if entry.name.isdigit()}
    found = [supervisor]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found


def alive(pid: int) -> bool:
    """Whether a process runs; one that is dead and only not buried yet does not."""
    return _stat(Path(f"/proc/{pid}"))[:1] not in ([], ["Z"])


def made_files(site: TestSite) -> dict[str, bytes]:
    """The site's description, and what Orthweb made of it: certificates, passwords, configuration."""
    folders = (site.state / "pki", site.state / "config", site.state / "secrets")
    files = [path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path): path.read_bytes() for path in [site.folder / "orthweb.yaml", *files]}


def _parent(process: Path) -> int:
    return int([*_stat(process)[1:2], "0"][0])


def _stat(process: Path) -> list[str]:
    """State, parent and more (proc(5)); empty when the process is gone."""
    try:
        return (process / "stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return []
