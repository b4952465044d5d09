"""Reads a page as its tags were written, and refuses one whose elements are not well nested."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

_VOID = ("meta", "link", "img", "wbr", "br")


@dataclass
class Tag:
    """An element."""

    name: str
    attributes: dict[str, str] = field(default_factory=dict)
    content: list[Tag | str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(each if isinstance(each, str) else each.text for each in self.content)

    @property
    def classes(self) -> list[str]:
        return self.attributes.get("class", "").split()

    @property
    def children(self) -> list[Tag]:
        return [each for each in self.content if isinstance(each, Tag)]

    def all(self) -> Iterator[Tag]:
        """The element and all within it, in the order of the page."""
        yield self
        for child in self.children:
            yield from child.all()


def read_page(page: str) -> Tag:
    """Return the `html` element of a page."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    assert len(reader.open) == 1, f"not closed: {[tag.name for tag in reader.open[1:]]}"
    (root,) = reader.open[0].children
    return root


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open = [Tag("")]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        made = Tag(tag, {name: value or "" for name, value in attrs})
        assert len(made.attributes) == len(attrs), f"an attribute twice: {attrs}"
        self.open[-1].content.append(made)
        if tag not in _VOID:
            self.open.append(made)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().name == tag

    def handle_data(self, data: str) -> None:
        self.open[-1].content.append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")

    def unknown_decl(self, data: str) -> None:
        raise AssertionError(f"a declaration: {data}")
