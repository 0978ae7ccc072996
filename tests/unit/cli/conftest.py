from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from orchestr8.cli.main import main
from orchestr8.pki import certificates, kubeconfig
from tests.unit.cli import standin


@dataclass
class Cli:
    """``orchestr8`` as a user types it, against ``api``."""

    api: standin.ApiServer
    kubeconfig: Path
    home: Path

    def __call__(self, line: str, stdin: str | None = None) -> Result:
        environment = {"KUBECONFIG": str(self.kubeconfig), "HOME": str(self.home)}
        return CliRunner().invoke(main, line.split(), input=stdin, env=environment)

    def ok(self, line: str, stdin: str | None = None) -> str:
        result = self(line, stdin)
        assert result.exit_code == 0, result.output
        return result.stdout


def write_kubeconfig(path: Path, servers: list[str]) -> Path:
    path.write_text(kubeconfig.render(standin.AUTHORITY, certificates.admin(), servers, standin.NOW))
    return path


@pytest.fixture
def api():
    return standin.ApiServer()


@pytest.fixture
def cli(api, tmp_path):
    with standin.serving(api) as address:
        yield Cli(api, write_kubeconfig(tmp_path / "config", [address]), tmp_path)
