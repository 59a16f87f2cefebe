"""Loads what templates need before there are workers, of which each would load it anew.

A worker is a fork of the controller, one a task and host, and inherits what is loaded by then. By
itself Ansible loads filters and tests where they are first met, which is in the workers: 13 % of
the controller's time in a run of site.yml. Nothing else is done here, and nothing depends on it.
"""

from ansible.plugins.callback import CallbackBase
from ansible.plugins.loader import filter_loader, test_loader

DOCUMENTATION = """
name: preload
type: aggregate
short_description: Load filters and tests once, and not in each worker
description: [Asks for one of each kind, with which Ansible loads all that are of the same place.]
"""

# Of those that come with Ansible or lie in a role, and of each collection whose filters are used.
_FILTERS = ("string", "community.crypto.x509_certificate_info")
_TESTS = ("string",)


class CallbackModule(CallbackBase):
    """Is told when a playbook begins."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "preload"

    def v2_playbook_on_start(self, playbook: object) -> None:
        """Load."""
        del playbook  # whichever it is
        for name in _FILTERS:
            filter_loader.get(name)
        for name in _TESTS:
            test_loader.get(name)
