"""Takes docs/dagster.png: Dagster's page on the bundled sandbox after everything was materialised by clicking.

Run `python scripts/picture_dagster.py` after changing what the page shows. Needs Chromium and the dagster extra.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.browser.chromium import page  # noqa: E402
from tests.orchestration.conftest import sandbox_variables  # noqa: E402
from tests.orchestration.stack import stack  # noqa: E402
from tests.orchestration.test_up import materialise_from_the_page  # noqa: E402
from tests.server_folder import server_folder  # noqa: E402

from cryptolake.demo.replay import Replay  # noqa: E402

if __name__ == "__main__":
    with (
        server_folder("picture") as folder,
        Replay() as replay,
        stack(sandbox_variables(replay, folder)) as running,
        page(2400, 1400) as tab,
    ):
        materialise_from_the_page(tab, running.page)
        tab.picture(ROOT / "docs" / "dagster.png")
