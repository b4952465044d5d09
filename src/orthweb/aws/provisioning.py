"""Makes a site on AWS equal to `orthweb.yaml`, and takes it away again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orthweb.aws.account import Account, Identity, check_network, check_region, quota_warnings
from orthweb.aws.handover import Handover
from orthweb.aws.host_bundle import ensure_bundle
from orthweb.aws.known import keep_outputs
from orthweb.aws.lasting import divided, holds_data
from orthweb.aws.program import find_program
from orthweb.aws.remains import Remains, remains
from orthweb.aws.state import check_move, finished_outputs
from orthweb.aws.state_bucket import ensure_state_bucket
from orthweb.aws.workspace import Heard, Plan, Workspace
from orthweb.errors import Failure, InputError
from orthweb.render.terraform import terraform_values, terraform_warnings
from orthweb.site.aws import aws_of
from orthweb.site.model import Environment, Site
from orthweb.site.paths import SitePaths
from orthweb.site.voice import Voice

_OF_THE_DATA = ("bucket", "log_bucket", "kms_key")


class Provisioning:
    """A site on AWS. `begin` comes first."""

    def __init__(self, site: Site, paths: SitePaths, voice: Voice) -> None:
        self.site = site
        self.paths = paths
        self._voice = voice
        self._account = Account(aws_of(site))
        self._workspace: Workspace | None = None
        self._outputs: dict[str, Any] = {}
        self._kept: list[str] = []

    @property
    def workspace(self) -> Workspace:
        """Terraform's folder, once it is ready."""
        if self._workspace is None:
            raise ValueError("begin comes first")
        return self._workspace

    @property
    def outputs(self) -> dict[str, Any]:
        """What the last apply put out, as of the beginning or of the apply since; empty when there was none."""
        return self._outputs

    def begin(self, create_state: bool = False, bundle: bool = False) -> Identity:
        """See that everything is there to work with, and prepare Terraform.

        Parameters
        ----------
        create_state:
            Make the bucket of the state where it is not there.
        bundle:
            Make what the hosts run, for a plan that is to hold it.

        Raises
        ------
        InputError
            What orthweb.yaml says does not fit the account or the region.
        Failure
            Terraform or credentials are missing, or the site was made by a newer Orthweb.
        """
        program = find_program()
        self._voice.step("asking AWS who we are")
        identity = self._account.identity()
        check_region(self._account)
        check_network(self._account)
        if ensure_state_bucket(self._account, create_state):
            self._voice.say(f"made the bucket for the state: {aws_of(self.site).state}")
        check_move(self._account, self.paths)
        workspace = Workspace(self.site, self.paths, program, self._voice.step)
        hosts_run = ensure_bundle(self.site, self.paths, self._voice) if bundle else None
        workspace.prepare(terraform_values(self.site, hosts_run))
        self._workspace = workspace
        self._read_outputs()
        return identity

    def plan(self, heard: Heard) -> Plan:
        """Find out what an apply would do; what a person should know first is said as warnings."""
        for line in terraform_warnings(self.site):
            self._voice.warn(line)
        if not self._outputs:
            for line in [*quota_warnings(self._account), *self._found_before()]:
                self._voice.warn(line)
        return self.workspace.plan(heard, finished=bool(self._outputs))

    def apply(self, plan: Plan, heard: Heard) -> None:
        """Carry out a plan, then fill the site's secrets; the same command goes on when it failed or was stopped.

        Raises
        ------
        OrthwebError
            Terraform or AWS refuses; or the site's authority is not on this machine, and nothing was done.
        """
        if self._outputs:
            self._handover().check_authority(self._outputs["site"]["secrets"])
        if plan.changes:
            self.workspace.apply(plan, heard)
        self._read_outputs()
        self._fill_secrets()

    def rotate_certificate(self) -> None:
        """Give the hosts a new server certificate, which they show when they next look. Raises Failure."""
        if not self._outputs:
            raise Failure(f"{self.site.name} has not been applied", "'orthweb apply' makes it, with a certificate")
        self._fill_secrets(new_certificate=True)

    def plan_destroy(self, heard: Heard) -> Plan:
        """Find out what a destroy would take away; what is to be kept is not among it.

        Raises
        ------
        InputError
            The site is protected.
        """
        if self._by_last_apply("protected", aws_of(self.site).protected):
            raise InputError(
                f"{self.site.name} is protected: AWS would refuse to delete its database",
                "say 'protected: false' in the aws section of orthweb.yaml, 'orthweb apply', then destroy",
            )
        made = self.workspace.resources()
        goes, self._kept = divided(made) if self.keeps_data else (made, [])
        if not goes:
            return Plan([], destroys=True)
        if not self.keeps_data:
            return self.workspace.plan(heard, destroy=True)
        plan = self.workspace.plan(heard, destroy=True, targets=goes)
        if lost := [change.address for change in plan.changes if holds_data(change.kind)]:
            raise Failure(f"{', '.join(lost)}: has to be kept, and Terraform would destroy it", "nothing was done")
        return plan

    @property
    def known(self) -> bool:
        """Whether the state knows something of the site that the destroy that was planned does not take away."""
        return bool(self._kept or self._outputs)

    @property
    def keeps_data(self) -> bool:
        """Whether images, key and a snapshot of the database outlive the site, by its last apply."""
        return self._by_last_apply("keep_data", aws_of(self.site).keep_data)

    def _by_last_apply(self, field: str, said: bool | None) -> bool:
        """A switch as the last apply has set it; before one was finished, as it would be set."""
        usual = said if said is not None else self.site.environment is Environment.PRODUCTION
        return bool(self._outputs.get("site", {}).get(field, usual))

    def destroy(self, plan: Plan, heard: Heard) -> Remains:
        """Carry out what `plan_destroy` has given; returns what is on AWS of the site afterwards."""
        if plan.changes:
            self.workspace.apply(plan, heard)
        # Only now: whoever is interrupted before has a site still, which knows its bucket and its key.
        if self._kept:
            self.workspace.forget(self._kept)
        if self.keeps_data or not plan.changes:
            self.workspace.forget_outputs()
        keep_outputs(self.paths, {})
        self._voice.step("looking for what is left")
        found = remains(self._account, self.site.name)
        return found if self.keeps_data else _with_ours(found, self._outputs.get("site", {}))

    def _found_before(self) -> list[str]:
        """What is on AWS of a site of this name although nothing was applied, in one line each."""
        name = self.site.name
        if self.workspace.resources():
            return []
        try:
            found = remains(self._account, name)
        except Failure as error:
            return [f"what is left of an earlier {name} cannot be seen: {error}"]
        if found.there:
            return [
                f"{name} is on AWS, {found.there[0]} and {len(found.there) - 1} more, and this state does not know it: "
                "whoever has made it has its state, which aws.state has to name"
            ]
        if not found.kept:
            return []
        kept = ", ".join(f"{what} ({arn})" for arn, what in found.kept.items())
        return [f"an earlier {name} has left {kept}: that stays as it is, and the new site begins empty"]

    def _fill_secrets(self, new_certificate: bool = False) -> None:
        self._voice.step("filling the secrets")
        self._handover().fill(self._outputs["site"]["secrets"], self._voice.say, new_certificate)

    def _handover(self) -> Handover:
        return Handover(self._account, self.site, self.paths, self._outputs["site_address"])

    def _read_outputs(self) -> None:
        self._outputs = finished_outputs(self.site.name, self.workspace.outputs())
        keep_outputs(self.paths, self._outputs)


def _with_ours(found: Remains, site: Mapping[str, Any]) -> Remains:
    """What was to go with the site and is there: no rest of an earlier one."""
    ours = tuple(str(site[field]) for field in _OF_THE_DATA if field in site)
    wrong = [arn for arn in found.kept if ours and arn.endswith(ours)]
    return Remains(
        [*found.there, *wrong], found.ending, {arn: what for arn, what in found.kept.items() if arn not in wrong}
    )
