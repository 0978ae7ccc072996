"""The documents name only files that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAMED = re.compile(r"`((?:orchestr8|tests|docs|systemd|\.ci)/[\w./-]*)`")
LINKED = re.compile(r"\]\((?!http)([^)#]+)[^)]*\)")
DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_path_a_document_names_exists(document: Path) -> None:
    text = document.read_text()
    named = [ROOT / path for path in NAMED.findall(text)]
    linked = [document.parent / path for path in LINKED.findall(text)]
    assert [str(path) for path in named + linked if not path.exists()] == []
