"""docs/ builds into a site whose links and anchors lead somewhere, without a network."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def _build(config: Path, site: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "properdocs", "build", "-f", str(config), "-d", str(site)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110)


def test_site_builds_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    done = _build(ROOT / "properdocs.yml", tmp_path)
    assert done.returncode == 0, done.stderr
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) >= len(list((ROOT / "docs").rglob("*.md")))
    for page in pages:
        loaded = re.findall(
            r"<(?:script|img|link)[^>]+(?:src|href)=\"(https?:[^\"]+)", page.read_text()
        )
        assert loaded == []


def test_broken_links_end_the_build_and_each_is_named(tmp_path: Path) -> None:
    links = ("no-page.md", "api.md#no-section", "../no-file.py")
    docs, config = tmp_path / "docs", tmp_path / "properdocs.yml"
    shutil.copytree(ROOT / "docs", docs)
    with (docs / "index.md").open("a") as index:
        index.writelines(f"\n[a link]({link})\n" for link in links)
    text = (ROOT / "properdocs.yml").read_text("utf-8")
    text = text.replace("docs_dir: docs", f"docs_dir: {docs}")
    config.write_text(text.replace("tests/docs/", f"{ROOT}/tests/docs/"))
    done = _build(config, tmp_path / "site")
    assert done.returncode != 0
    for link in links:
        assert re.search(rf"WARNING.*{re.escape(link)}", done.stderr), done.stderr
