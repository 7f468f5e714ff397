"""What ties a dashboard to Jupyter beside what every widget has; it must not know containers."""

from __future__ import annotations

from labcontainers.widgets import bundle
from labcontainers.widgets.plumbing import LiveWidget


class DashboardWidget(LiveWidget):
    """A LiveWidget with code of its own, since most pages have no dashboard."""

    code_name = bundle.DASHBOARD
