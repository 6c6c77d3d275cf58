"""Words for people: nothing from outside drives their terminal."""

import pytest

from fleet.cli.console import err, say


def test_control_characters_from_outside_are_shown_as_such(capsys: pytest.CaptureFixture[str]) -> None:
    err.cache_clear()
    say("Azure says: \x1b[2Jgone\x07\n  and more\x9b", "warning")
    shown = capsys.readouterr().err
    assert (
        shown
        == "Azure says: \N{REPLACEMENT CHARACTER}[2Jgone\N{REPLACEMENT CHARACTER}\n  and more\N{REPLACEMENT CHARACTER}\n"
    )
    err.cache_clear()
