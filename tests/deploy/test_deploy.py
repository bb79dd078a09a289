"""The container files fit their schemas and run the same commands as outside; no Docker engine is needed for this."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer
import yaml

from cryptolake.cli import app
from cryptolake.cli.up import PARTS

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
HELM = yaml.safe_load((DEPLOY / "helm" / "values.yaml").read_text())
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()


def test_compose_fits_the_published_schema() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    result = subprocess.run([*command, str(DEPLOY / "compose.yaml")], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_a_misspelt_key_would_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "compose.yaml"
    path.write_text((DEPLOY / "compose.yaml").read_text().replace("healthcheck:", "healthchek:", 1))
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    assert subprocess.run([*command, str(path)], capture_output=True, check=False).returncode != 0


@pytest.mark.parametrize("name", ["worker", "web", "daemon", "scheduler"])
def test_a_service_runs_a_command_that_exists_outside(name: str) -> None:
    command, *flags = COMPOSE["services"][name]["command"]
    known = {flag for parameter in typer.main.get_group(app).commands[command].params for flag in parameter.opts}
    assert {flag for flag in flags if flag.startswith("--")} <= known
    if "--only" in flags:
        assert flags[flags.index("--only") + 1] in PARTS


def test_every_service_has_a_health_check_and_its_log_is_bounded() -> None:
    for name, service in COMPOSE["services"].items():
        assert service["healthcheck"]["test"][0] == "CMD", name
        assert "max-size" in service["logging"]["options"], name
    for name in ("worker", "web", "daemon", "scheduler"):
        service = COMPOSE["services"][name]
        assert service["cap_drop"] == ["ALL"]
        assert service["volumes"] == ["data:/data"]
    assert COMPOSE["services"]["web"]["ports"][0].startswith("127.0.0.1:")


def test_no_secret_is_in_the_files() -> None:
    for path in (DEPLOY / "compose.yaml", DEPLOY / "helm" / "values.yaml", DEPLOY / "Dockerfile"):
        for found in re.findall(r"(?i)(?:password|api_key|_key_1|token)\"?\s*[:=]\s*(\S+)", path.read_text()):
            assert found.startswith(("${", "...", "?set")) or found == "false", f"{path.name}: {found}"


def test_the_image_is_not_root_and_has_a_health_check() -> None:
    last = DOCKERFILE.split("\nFROM ")[-1]
    assert re.search(r"^USER 10001$", last, flags=re.MULTILINE)
    assert last.index("USER") < last.index("ENTRYPOINT")
    assert "HEALTHCHECK" in last
    for source in re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, flags=re.MULTILINE):
        for name in source.split():
            assert (DEPLOY.parent / name).exists(), name


def test_the_helm_values_run_our_definitions_one_job_per_run() -> None:
    (deployment,) = HELM["dagster-user-deployments"]["deployments"]
    assert deployment["dagsterApiGrpcArgs"] == ["-m", "cryptolake.definitions"]
    assert deployment["podSecurityContext"]["runAsNonRoot"] is True
    assert HELM["runLauncher"]["type"] == "K8sRunLauncher"
    assert HELM["postgresql"]["postgresqlScheme"] == "postgresql+psycopg2"
    variables = {one["name"] for one in deployment["env"]}
    assert not variables & {"DATABASE_URL"}, "addresses with passwords come from the secret"
    assert "--extra kubernetes" in DOCKERFILE
