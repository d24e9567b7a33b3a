"""A local page that shows runs: loopback only, nothing outside of the folder of runs."""

from snnquant.view.server import bind, opened_browser

__all__ = ["bind", "opened_browser"]
