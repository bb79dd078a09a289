"""What pydynpd says of the synthetic panel, as JSON; run where it is installed (0.2.2 needs numpy below 2).

    F=tests/research/fixtures; python benchmarks/peers/pydynpd_numbers.py $F/synthetic_panel.csv > $F/pydynpd.json

Growth is the change of ln(1 + TVL), used the borrowed share; one equation at a time, each with the other's lag.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from importlib.metadata import version

import numpy as np
import pandas as pd

INSTRUMENTS = "gmm(growth used, 2:3) | collapse nolevel"


def main() -> None:
    """Print coefficients and errors of both equations, by deviations and by differences, in one step and in two."""
    from pydynpd import regression

    panel = pd.read_csv(sys.argv[1], parse_dates=["date"]).sort_values(["csu", "date"])
    panel["level"] = np.log1p(panel["total_tvl_usd"])
    panel["growth"] = panel.groupby("csu")["level"].diff()
    panel["used"] = panel["total_borrowed_usd"] / panel["total_tvl_usd"]
    panel["unit"] = panel["csu"].astype("category").cat.codes + 1
    panel["day"] = (panel["date"] - panel["date"].min()).dt.days + 1
    data = panel[["unit", "day", "growth", "used"]].dropna().reset_index(drop=True)
    numbers = {}
    for outcome, other in (("growth", "used"), ("used", "growth")):
        for way in ("fod", ""):
            for steps in (1, 2):
                command = f"{outcome} L1.{outcome} L1.{other} | {INSTRUMENTS} {way} {'onestep' if steps == 1 else ''}"
                with contextlib.redirect_stdout(io.StringIO()):
                    model = regression.abond(command, data, ["unit", "day"]).models[0]
                for _, row in model.regression_table.iterrows():
                    name = f"{way or 'differences'}/{steps}/{outcome}/{row['variable'].removeprefix('L1.')}"
                    numbers[f"{name}/coefficient"], numbers[f"{name}/error"] = row["coefficient"], row["std_err"]
    print(json.dumps({"versions": {"pydynpd": version("pydynpd")}, "numbers": numbers}, indent=1))


if __name__ == "__main__":
    main()
