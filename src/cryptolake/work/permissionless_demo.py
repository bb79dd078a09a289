"""The demo's second lake, of an invented permissionless market, made by the same steps as any other, but for the asking.

What does not belong here: what is invented (demo.permissionless) and how it is shown (cli).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from cryptolake.app import App
from cryptolake.demo import permissionless
from cryptolake.files.atomic import write_bytes
from cryptolake.work import lending
from cryptolake.work.prices import keep_file, read_file
from cryptolake.work.repair import adopt


def fill(app: App, days: Sequence[date]) -> None:
    """Land the invented answers and prices in the app's folder, and make silver and gold of them."""
    csu = app.registry.csu(permissionless.CSU)
    source = app.onchain([csu])
    for raw in permissionless.answers(csu, days):
        app.bronze.land(raw)
        adopt(raw.partition, app.ledger, app.bronze, source)
    file = app.folder.root / "invented_prices.csv"
    write_bytes(file, permissionless.prices(days).encode())
    keep_file(app, *read_file(app, file))
    lending.refine(app)
    lending.build(app)
