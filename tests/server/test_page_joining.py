"""The page's modules joined into one script; tests/page runs the result."""

from __future__ import annotations

import re

import pytest

from limner.server.routes.page import assets
from limner.server.routes.page.joining import joined


def test_modules_come_after_those_that_they_import() -> None:
    modules = {
        "main.js": 'import { b } from "./b.js";\nimport a from "./sub/a.js";\nconsole.log(a, b);',
        "b.js": 'import {\n  x as y,\n} from "./sub/a.js";\nexport const b = y;\n',
        "sub/a.js": "var n=1;export{n as x};export default n;",
        "unused.js": "what is not imported is not looked at: import",
    }
    text = joined(modules, "main.js")
    assert text.startswith('"use strict";')
    assert "unused" not in text.replace("unused.js", "")
    a, b, main = (text.index(part) for part in ("var n=1", "const b = y", "console.log"))
    assert a < b < main
    assert "return { x: n, default: $default };" in text
    assert "const { x: y" in text.replace("\n  ", " ").replace("const {  ", "const { ")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ('import * as all from "./a.js";', "cannot be joined"),
        ("export let n = 1;", "cannot be joined"),
        ('export * from "./a.js";', "cannot be joined"),
        ('import { a } from "./b.js";', "no module b.js"),
        ('import { a } from "./main.js";', "cycle"),
    ],
)
def test_other_forms_are_refused(source: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        joined({"main.js": source, "a.js": ""}, "main.js")


def test_every_module_of_the_page_is_in_it() -> None:
    script = assets.files().plain[assets.SCRIPT].decode()
    for path, text in assets.sources().items():
        if path.endswith(".js") and path != "before_paint.js":  # which is in the document itself
            own = [line for line in text.splitlines() if not re.match("import|export", line)]
            assert "vendor/" in path or max(own, key=len) in script, path
