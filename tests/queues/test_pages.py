"""The pages about the queues: their links lead somewhere, and their code is Python."""

import ast
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "python" / "docs"
PAGES = sorted(DOCS.glob("coming-from-*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_and_code(page):
    text = page.read_text()
    for target in re.findall(r"\]\(([^)#]+)", text):
        assert (page.parent / target).exists(), target
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert blocks
    for block in blocks:
        ast.parse(block)


def test_there_are_three():
    assert len(PAGES) == 3
