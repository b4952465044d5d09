"""Makes a site on AWS equal to `orthweb.yaml`, and takes it away again."""

from __future__ import annotations

from typing import Any

import orthweb
from orthweb.aws.account import Account, Identity, check_network, check_region, quota_warnings
from orthweb.aws.handover import Handover
from orthweb.aws.known import keep_outputs
from orthweb.aws.program import find_program
from orthweb.aws.remains import Remains, remains
from orthweb.aws.state_bucket import ensure_state_bucket
from orthweb.aws.workspace import Heard, Plan, Workspace
from orthweb.errors import Failure, InputError
from orthweb.render.terraform import MODULE, terraform_values, terraform_warnings
from orthweb.site.aws import Aws
from orthweb.site.model import Environment, Site
from orthweb.site.paths import SitePaths
from orthweb.site.voice import Voice

# What outlives the site where its data are to be kept: the bucket of the images is no use without the key.
_KEPT_MODULES = ("key", "storage")


class Provisioning:
    """A site on AWS. `begin` comes first."""

    def __init__(self, site: Site, paths: SitePaths, voice: Voice) -> None:
        self.site = site
        self.paths = paths
        self._voice = voice
        self._account = Account(aws_of(site))
        self._workspace: Workspace | None = None
        self._outputs: dict[str, Any] = {}
        self._made_by = orthweb.__version__

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

    def begin(self, create_state: bool = False) -> Identity:
        """See that everything is there to work with, and prepare Terraform.

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
        workspace = Workspace(self.site, self.paths, program, self._voice.step)
        workspace.prepare(terraform_values(self.site))
        self._workspace = workspace
        self._read_outputs()
        self._check_version()
        return identity

    def plan(self, heard: Heard) -> Plan:
        """Find out what an apply would do; what a person should know first is said as warnings."""
        for line in terraform_warnings(self.site):
            self._voice.warn(line)
        if not self._outputs:
            for line in quota_warnings(self._account):
                self._voice.warn(line)
        return self.workspace.plan(heard, finished=bool(self._outputs))

    def apply(self, plan: Plan, heard: Heard) -> None:
        """Carry out a plan, then fill the site's secrets; the same command goes on when it failed or was stopped."""
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
        plan = self.workspace.plan(heard, destroy=True)
        if not self.keeps_data:
            return plan
        lasting = [change for change in plan.changes if change.concern not in _KEPT_MODULES]
        return Plan(lasting, plan.deleted, plan.warnings, destroys=True)

    @property
    def keeps_data(self) -> bool:
        """Whether images, key and a snapshot of the database outlive the site, by its last apply."""
        return self._by_last_apply("keep_data", aws_of(self.site).keep_data)

    def _by_last_apply(self, field: str, said: bool | None) -> bool:
        """A switch as the last apply has set it; before one was finished, as it would be set."""
        usual = said if said is not None else self.site.environment is Environment.PRODUCTION
        return bool(self._outputs.get("site", {}).get(field, usual))

    def destroy(self, heard: Heard) -> Remains:
        """Take the site away; returns what is on AWS of it afterwards."""
        if self.keeps_data:
            # Terraform would otherwise delete them, or stop half-way where they refuse.
            kept = [
                address
                for address in self.workspace.resources()
                if address.startswith(tuple(f"module.{MODULE}.module.{name}." for name in _KEPT_MODULES))
            ]
            if kept:
                self.workspace.forget(kept)
        self.workspace.apply(self.workspace.plan(lambda event: None, destroy=True), heard)
        keep_outputs(self.paths, {})
        self._voice.step("looking for what is left")
        return remains(self._account, self.site.name)

    def _fill_secrets(self, new_certificate: bool = False) -> None:
        self._voice.step("filling the secrets")
        arns = self._outputs["site"]["secrets"]
        handover = Handover(self._account, self.site, self.paths, self._outputs["site_address"])
        handover.fill(arns, self._voice.say, new_certificate)

    def _read_outputs(self) -> None:
        found = self.workspace.outputs()
        # An apply that was not finished leaves those that it knew.
        self._outputs = found if "site" in found else {}
        self._made_by = str(found.get("orthweb_version", orthweb.__version__))
        keep_outputs(self.paths, self._outputs)

    def _check_version(self) -> None:
        made_by = self._made_by
        if _numbers(made_by) > _numbers(orthweb.__version__):
            raise Failure(
                f"{self.site.name} was last applied by Orthweb {made_by}, and this is {orthweb.__version__}",
                "use that version or a newer one",
            )


def aws_of(site: Site) -> Aws:
    """The site's section for AWS; raises InputError when it has none."""
    if site.aws is None:
        raise InputError(
            "orthweb.yaml: aws: is missing: this site is on this machine", "'orthweb init --aws' shows one"
        )
    return site.aws


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
