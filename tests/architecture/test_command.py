"""What tests start as a user's command starts wherever the test that asks first happens to stand.

What does not belong here: what the commands do (`tests/cli`).
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.command import CLEAN
from tests.waiting import PATIENCE_S

ROOT = Path(__file__).parents[2]
ASKING = """
import sys
from pathlib import Path

sys.path.insert(0, sys.argv[1])
from tests.command import cryptolake

done = cryptolake(Path.cwd(), "--version")
print(done.stdout, done.stderr)
sys.exit(done.returncode)
"""


def test_the_first_command_may_be_asked_for_in_any_folder(tmp_path: Path) -> None:
    """With no PYTHONPATH that names the repository, as on a machine where only the package is installed."""
    variables = {name: value for name, value in CLEAN.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", ASKING, str(ROOT)],
        cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "cryptolake" in done.stdout
