"""What is made after what: nothing waits without need, and the critical path is that of the database."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

import pytest
import tools

# Seconds that an apply spent on each, the slowest where there are several: Terraform 1.11.4, provider 5.100, against
# the emulator. It is waiting inside the provider; AWS itself takes ten minutes and more for the database. What is not
# named here took less than two seconds.
_SECONDS = {
    "module.database.aws_db_instance.this": 80.2,
    "module.storage.aws_s3_bucket_lifecycle_configuration.this": 55.3,
    "module.storage.aws_s3_bucket_lifecycle_configuration.logs": 55.3,
    "module.key.aws_kms_key.this": 12.6,
    "module.hosts.aws_instance.this": 10.5,
    "module.network.aws_vpc.this": 10.4,
    "module.hosts.aws_launch_template.this": 5.5,
    "module.identity.aws_iam_instance_profile.this": 5.5,
    "module.network.aws_vpc_endpoint.interface": 5.1,
    "module.network.aws_vpc_endpoint.s3": 5.1,
}
_OTHERS = 0.5
_HOST, _DATABASE = "module.hosts.aws_instance.this", "module.database.aws_db_instance.this"


@dataclass(frozen=True)
class Graph:
    """Resources and data sources, each with those that it has to wait for."""

    needs: dict[str, set[str]]

    def all_needs(self, start: str) -> set[str]:
        seen: set[str] = set()
        waiting = [start]
        while waiting:
            for one in self.needs[waiting.pop()] - seen:
                seen.add(one)
                waiting.append(one)
        return seen

    def critical_path(self, *ends: str) -> tuple[float, list[str]]:
        """The seconds until the last of these is made, or of all, and what is waited for one after the other."""

        @functools.cache
        def longest(one: str) -> tuple[float, tuple[str, ...]]:
            seconds, before = max((longest(other) for other in self.needs[one]), default=(0.0, ()))
            own = 0.0 if ".data." in f".{one}" else _SECONDS.get(one, _OTHERS)
            return seconds + own, (*before, one)

        seconds, path = max(longest(one) for one in ends or list(self.needs))
        return seconds, [one for one in path if _SECONDS.get(one, 0) > 0]


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    variables = tools.environment(tmp_path_factory.mktemp("home"), tools.mirror())
    modules = tools.working_copy(tmp_path_factory.mktemp("terraform") / "modules", variables)
    drawn = tools.run(modules, variables, ["graph"])
    needs: dict[str, set[str]] = {one: set() for one in re.findall(r'^\s+"([^"]+)" \[label=', drawn, re.MULTILINE)}
    for one, other in re.findall(r'"([^"]+)" -> "([^"]+)"', drawn):
        needs[one].add(other)
    assert _SECONDS.keys() <= needs.keys(), "a resource that was measured has another name now"
    return Graph(needs)


def test_hosts_are_made_beside_the_database_and_not_after_it(graph: Graph) -> None:
    assert not any(one.startswith("module.database.") for one in graph.all_needs(_HOST))
    assert _HOST not in graph.all_needs(_DATABASE)
    before_boot = graph.all_needs("module.identity.aws_iam_role_policy.data")
    assert _DATABASE not in before_boot, "the bundle is read at the first boot"
    assert _DATABASE in graph.all_needs("aws_s3_object.values")


@pytest.mark.parametrize("made", [_HOST, _DATABASE])
def test_neither_hosts_nor_database_wait_for_endpoints_logs_or_slow_rules(graph: Graph, made: str) -> None:
    slow = ("aws_vpc_endpoint", "aws_flow_log", "aws_s3_bucket_lifecycle_configuration", "aws_cloudwatch_metric_alarm")
    assert not [one for one in graph.all_needs(made) if any(f".{kind}." in one for kind in slow)]


def test_endpoints_wait_for_neither_hosts_nor_database(graph: Graph) -> None:
    for endpoint in ("interface", "s3"):
        assert not {_HOST, _DATABASE} & graph.all_needs(f"module.network.aws_vpc_endpoint.{endpoint}")


def test_the_critical_path_holds_the_database_alone(graph: Graph) -> None:
    seconds, path = graph.critical_path()
    assert path == ["module.key.aws_kms_key.this", _DATABASE], "the key encrypts the database, so it is first"
    assert seconds - _SECONDS[_DATABASE] - _SECONDS[path[0]] < 3, "what else is on the way takes next to no time"
    others = [one for one in graph.needs if one != _DATABASE and _DATABASE not in graph.all_needs(one)]
    assert graph.critical_path(*others)[0] < seconds - 15, "all that needs no database is made while it is waited for"


def test_the_hosts_are_there_in_a_third_of_that_time(graph: Graph) -> None:
    seconds, path = graph.critical_path(_HOST)
    assert path == ["module.key.aws_kms_key.this", "module.hosts.aws_launch_template.this", _HOST]
    assert seconds < graph.critical_path()[0] / 3
