"""Says at the end of a run, whatever the options, when the CLI half did not run."""

import pytest

from tests.parity.stages import NO_CLI, cli_missing


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if cli_missing():
        terminalreporter.write_line(NO_CLI)
