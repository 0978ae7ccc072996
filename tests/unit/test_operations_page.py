"""The operator's page tells what is: its commands can be typed, its settings exist with these defaults."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import msgspec
import pytest

from orchestr8.cli.main import main
from orchestr8.config import MasterSettings, WorkerSettings

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "operations.md").read_text()
QUOTED = re.findall(r"`(orchestr8 [a-z][^`]*)`", PAGE)
IN_BLOCKS = re.findall(r"^ *(?:\w+# )?(orchestr8 [a-z][^#\n]*)", PAGE, flags=re.MULTILINE)
COMMANDS = sorted({line.replace("\n", " ").strip() for line in QUOTED + IN_BLOCKS})
ROW = re.compile(r"^\| `(\w+\.\w+)` \| ?(.*?) ?\|", flags=re.MULTILINE)


def test_there_are_commands_to_check() -> None:
    assert len(COMMANDS) > 15


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_of_the_page_can_be_typed(line: str) -> None:
    command: click.Command = main
    words = shlex.split(line.partition("&&")[0].replace("$(orchestr8 token create --quiet)", "TOKEN"))[1:]
    context = click.Context(main)
    while isinstance(command, click.Group) and words and command.get_command(context, words[0]) is not None:
        command = command.get_command(context, words.pop(0)) or command
    assert command is not main, f"there is no verb {words[0]!r}"
    known = {option for parameter in command.get_params(context) for option in parameter.opts}
    assert {word.partition("=")[0] for word in words if word.startswith("-")} <= known


@pytest.mark.parametrize(
    ("heading", "settings"), [("master.toml", MasterSettings()), ("worker.toml", WorkerSettings())]
)
def test_every_setting_is_on_the_page_with_its_default(heading: str, settings: MasterSettings | WorkerSettings) -> None:
    table = PAGE.partition(f"| {heading} | default | |")[2].partition("\n\n")[0]
    told = dict(ROW.findall(table))
    expected = {
        f"{section}.{key}": str(value) if value else ""
        for section, values in msgspec.to_builtins(settings).items()
        if section not in ("members", "log")
        for key, value in values.items()
    }
    assert {key: value for key, value in told.items() if not key.startswith("log.")} == expected
    assert "log.level" in table
