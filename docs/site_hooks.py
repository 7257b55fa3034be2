"""What the site does that mkdocs itself does not.

- Pages of the repository's root (changes, contributing, security) are pages of the site.
- A page that mkdocs.yml lists and that does not exist is left out of the navigation; one that exists and is listed
  nowhere is put under "More". So a page can come and go without the build failing for it.
- Links that lead out of docs/ are links to those pages, or to the repository where SIKED_REPOSITORY_URL names one
  (e.g. "https://host/owner/siked/blob/main"), or else the file's name without a link.
"""

from __future__ import annotations

import os
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
OF_THE_ROOT = ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
_LINK = re.compile(r"(?<!!)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(((?!\w+:|#)[^)\s#]+)(#[^)\s]*)?\)")
_FENCE = re.compile(r"^(```|~~~)", re.MULTILINE)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Fit the list of pages to those that exist."""
    docs = Path(config.docs_dir)
    found = {path.relative_to(docs).as_posix() for path in docs.rglob("*.md")}
    found |= {name for name in OF_THE_ROOT if (ROOT / name).exists()}
    named: set[str] = set()
    nav = _fitted(config.nav or [], found, named)
    more = sorted(found - named)
    config.nav = [*nav, {"More": more}] if more else nav
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Take in the pages of the repository's root."""
    for name in OF_THE_ROOT:
        if (ROOT / name).exists():
            text = (ROOT / name).read_text(encoding="utf-8")
            # Their links are relative to the root; docs/ is the root of the site.
            files.append(File.generated(config, name, content=re.sub(r"\]\(docs/", "](", text)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Mend the links that lead out of docs/."""
    source = page.file.src_uri
    folder = "docs" if source not in OF_THE_ROOT else ""

    def mended(match: re.Match[str]) -> str:
        text, target, anchor = match[1], match[2], match[3] or ""
        if files.get_file_from_path(posixpath.normpath(posixpath.join(posixpath.dirname(source), target))):
            return match[0]
        path = posixpath.normpath(posixpath.join(folder, posixpath.dirname(source), target))
        if path in OF_THE_ROOT:
            return f"[{text}]({posixpath.relpath(path, posixpath.dirname(source) or '.')}{anchor})"
        if path.startswith("docs/") and not (ROOT / path).is_dir():
            return match[0]  # a page that is missing: mkdocs says so
        repository = os.environ.get("SIKED_REPOSITORY_URL", "").rstrip("/")
        return f"[{text}]({repository}/{path}{anchor})" if repository else text

    parts = re.split(r"(^```.*?^```[^\n]*$)", markdown, flags=re.DOTALL | re.MULTILINE)
    return "".join(part if part.startswith("```") else _LINK.sub(mended, part) for part in parts)


def _fitted(nav: list[Any], found: set[str], named: set[str]) -> list[Any]:
    """The list without pages that do not exist; a folder stands for its pages, its README first."""
    fitted: list[Any] = []
    for entry in nav:
        (title, content), *_ = entry.items() if isinstance(entry, dict) else [(None, entry)]
        if isinstance(content, list):
            inner = _fitted(content, found, named)
            if inner:
                fitted.append({title: inner})
        elif content.endswith("/"):
            pages = sorted(
                (page for page in found if page.startswith(content)), key=lambda p: (Path(p).stem != "README", p)
            )
            named |= set(pages)
            if pages:
                fitted.append({title: list(pages)})
        elif content in found:
            named.add(content)
            fitted.append(entry)
    return fitted
