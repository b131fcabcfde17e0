"""docs/glossary.md is what its script makes of the code."""

import runpy
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[3] / "docs"


@pytest.fixture(scope="module")
def script():
    return runpy.run_path(str(DOCS / "glossary.py"))


def test_page_is_up_to_date(script):
    made = "run: python docs/glossary.py > docs/glossary.md"
    assert (DOCS / "glossary.md").read_text() == script["page"](), made


def test_each_word_has_one_definition_of_a_line(script):
    made = {word: script["definition"](word, of) for word, of in script["WORDS"].items()}
    assert len({*made.values()}) == len(made)
    assert {word: said for word, said in made.items() if len(said) > 200 or "|" in said} == {}


def test_a_word_that_its_code_does_not_define_is_told(script):
    def undefined():
        """without a sentence"""

    with pytest.raises(SystemExit, match="has no sentence that defines 'hold'"):
        script["definition"]("hold", undefined)
