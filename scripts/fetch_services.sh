#!/usr/bin/env bash
# Install what the tests marked `services` drive, from Debian's packages, and say which versions they are. A distribution
# keeps one version of each at a time, so they are named in the log instead of in a lock.
set -euo pipefail
wanted=()
command -v chromium >/dev/null || wanted+=(chromium)
Rscript -e 'library(haven); library(plm)' >/dev/null 2>&1 || wanted+=(r-base-core r-cran-haven r-cran-plm)
if ((${#wanted[@]})); then
  install="apt-get install --yes --quiet --no-install-recommends ${wanted[*]}"
  if [[ $(id -u) -ne 0 ]] || ! command -v apt-get >/dev/null; then
    echo "these tests need ${wanted[*]}; run as root: $install" >&2
    exit 1
  fi
  export DEBIAN_FRONTEND=noninteractive
  apt-get update --quiet --quiet
  $install >/dev/null
fi
# The validators of Data Package and Croissant bring many packages, so they have an environment of their own.
if [[ ! -x build/validators/bin/mlcroissant ]]; then
  .venv/bin/uv venv --quiet build/validators
  .venv/bin/uv pip install --quiet --python build/validators/bin/python "frictionless>=5.18" "mlcroissant[parquet]>=1.1"
fi
build/validators/bin/python -c 'from importlib.metadata import version as v; print(*(f"{n} {v(n)}" for n in ("frictionless", "mlcroissant")))'
dpkg-query --show --showformat='${Package} ${Version}\n' chromium r-base-core r-cran-haven r-cran-plm
