"""A local page that shows and starts runs: loopback only, nothing outside of their folder."""

from snnquant.view.server import bind, opened_browser
from snnquant.view.started_run import StartedRun

__all__ = ["StartedRun", "bind", "opened_browser"]
