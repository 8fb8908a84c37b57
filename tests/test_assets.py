"""Scripts come with what they import, so that a browser asks for all of it at once."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from web.assets import STATIC_DIR, Assets

MODULES = sorted(path.name for path in (STATIC_DIR / "js").glob("*.js"))
LIBRARY = "vendor/charts-1.0/charts.js"

PAGE = f"""
import {{ age }} from "./format.js";
import {{
  one,
  two,
}} from "./part.js";
import {{ x }} from "../{LIBRARY}";
"""


@pytest.fixture
def assets(tmp_path: Path) -> Assets:
    """A page of three own modules, two of which import each other, and a library."""
    texts = {
        "js/base.js": 'import { age } from "./format.js";\n',
        "js/format.js": "export const age = 1;\n",
        "js/page.js": PAGE,
        "js/part.js": 'import { onKey } from "./base.js";\nimport "./page.js";\nconst text = \'import "./nothing.js"\';\n',
        LIBRARY: 'import "./never-read.js";\n',
    }
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return Assets(tmp_path)


def test_imports_are_followed_to_their_end_each_once(assets: Assets) -> None:
    assert assets.imports_of("js/page.js") == ["js/format.js", "js/part.js", LIBRARY, "js/base.js"]
    assert assets.imports_of("js/format.js") == []


def test_a_module_comes_with_all_that_the_base_does_not_bring(assets: Assets) -> None:
    assert assets.preloads("js/page.js") == [assets.url("js/part.js"), assets.url(LIBRARY)]
    assert assets.preloads("js/base.js") == [assets.url("js/format.js")]


def test_a_page_asks_for_its_modules_at_once(client: FlaskClient) -> None:
    page = client.get("/login").text
    asked = re.findall(r'<link rel="modulepreload" href="([^"]+)"><script type="module" src="([^"]+)"></script>', page)
    assert asked == [(Assets().url("js/format.js"), Assets().url("js/base.js"))]


@pytest.mark.parametrize("name", MODULES)
def test_every_import_of_our_own_is_seen(name: str) -> None:
    assets = Assets()
    text = (STATIC_DIR / "js" / name).read_text(encoding="utf-8")
    named = {path.rpartition("/")[2] for path in re.findall(r'from "([^"]+)"', text)}
    assert named <= {path.rpartition("/")[2] for path in assets.imports_of(f"js/{name}")}
