"""Writes the reference of `orthweb.yaml` from the Site model: `python scripts/reference.py`, and a hook of MkDocs.

The page is made while the guide is built, so it cannot differ from the model and no copy of it is kept.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from orthweb.site.model import Site

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

PAGE = "reference/site.md"

_HEAD = """\
# `orthweb.yaml`

One file describes a site, wherever it runs. A key that is not in this list is refused, and so is a value that does
not fit: the message names the path, the value and what is allowed. `orthweb init` writes a short file to start from,
and `orthweb schema` prints the JSON Schema, for editors.

`<name>` stands for a name of your choice.
"""
_ROW = "| Field | Type | Default | Meaning |\n| --- | --- | --- | --- |\n"
_PLAIN = {"integer": "integer", "number": "number", "string": "text", "boolean": "true or false", "null": "nothing"}

Schema = dict[str, Any]


def reference(schema: Schema) -> str:
    """Make the page of a model's JSON Schema: a table a section, a row a field, in the order of the model.

    Parameters
    ----------
    schema:
        What pydantic's `model_json_schema()` gives: objects, with the models that they refer to in `$defs`.
    """
    definitions = schema.get("$defs", {})
    plain, sections = [], []
    for name, field in schema.get("properties", {}).items():
        choices = _choices(field, definitions)
        rows = list(_fields({**schema, "properties": {name: field}}, definitions, ""))
        if not any("properties" in choice for choice in choices):
            plain += rows
            continue
        intro = ""
        if len(choices) == 1:
            # Nothing but a section: its own row would say no more than its heading.
            intro, rows = f"{_meaning(field, definitions)}\n\n", rows[1:]
        sections.append(f"\n## `{name}`\n\n{intro}{_ROW}{''.join(rows)}")
    return f"{_HEAD}\n## The site\n\n{_ROW}{''.join(plain)}{''.join(sections)}"


def _fields(schema: Schema, definitions: Schema, prefix: str) -> Iterator[str]:
    required = schema.get("required", [])
    for name, field in schema.get("properties", {}).items():
        path = f"{prefix}{name}"
        default = "required" if name in required else _default(field.get("default"))
        meaning = _meaning(field, definitions)
        yield f"| `{path}` | {_type(field, definitions)} | {default} | {meaning} |\n"
        for inner, place in _sections(field, definitions):
            yield from _fields(inner, definitions, f"{path}{place}.")


def _sections(field: Schema, definitions: Schema) -> Iterator[tuple[Schema, str]]:
    """Find the models inside a field, each with what stands between the field's path and their own fields."""
    for choice in _choices(field, definitions):
        if "properties" in choice:
            yield choice, ""
        values = _values(choice)
        if values is not None:
            for inner, place in _sections(values, definitions):
                yield inner, f".<name>{place}"
        for inner, place in _sections(choice["items"], definitions) if "items" in choice else ():
            yield inner, f"[]{place}"


def _choices(field: Schema, definitions: Schema) -> list[Schema]:
    """What a field may be: the members of a union, with references followed."""
    if "$ref" in field:
        return [definitions[field["$ref"].removeprefix("#/$defs/")]]
    if "anyOf" in field:
        return [choice for member in field["anyOf"] for choice in _choices(member, definitions)]
    if len(field.get("allOf", ())) == 1:
        return _choices(field["allOf"][0], definitions)
    return [field]


def _values(choice: Schema) -> Schema | None:
    """What a mapping's values may be, or None when it isn't said."""
    values = next(iter(choice.get("patternProperties", {}).values()), choice.get("additionalProperties"))
    return values if isinstance(values, dict) else None


def _type(field: Schema, definitions: Schema) -> str:
    return " or ".join(dict.fromkeys(_one_type(choice, definitions) for choice in _choices(field, definitions)))


def _one_type(choice: Schema, definitions: Schema) -> str:
    if "const" in choice:
        return _code(choice["const"])
    if "enum" in choice:
        return ", ".join(_code(value) for value in choice["enum"])
    if "properties" in choice:
        return "section"
    kind = choice.get("type")
    if kind == "array":
        return f"list of: {_type(choice.get('items', {}), definitions)}{_limits(choice, 'Items', ' entries')}"
    if kind == "object":
        values = _values(choice)
        inner = "anything" if values is None else _type(values, definitions)
        return f"mapping of names to: {inner}"
    text = _PLAIN.get(str(kind), "anything")
    if kind in ("integer", "number"):
        return text + _range(choice.get("minimum"), choice.get("maximum"), "")
    if "pattern" in choice:
        text += f" like {_code(choice['pattern'])}"
    return text + _limits(choice, "Length", " characters")


def _limits(choice: Schema, what: str, unit: str) -> str:
    low, high = choice.get(f"min{what}"), choice.get(f"max{what}")
    return _range(low, high, unit) if (low, high) != (1, None) else ", not empty"


def _range(low: object, high: object, unit: str) -> str:
    if low is None and high is None:
        return ""
    if high is None:
        return f", at least {low}{unit}"
    return f", at most {high}{unit}" if low is None else f", {low} to {high}{unit}"


def _default(value: object) -> str:
    if isinstance(value, dict) and value:
        return "as below"
    return "none" if value in (None, "", {}, []) else _code(value)


def _code(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    # A vertical bar would end the table's cell, in code too.
    return "`" + text.replace("|", "\\|") + "`"


def _meaning(field: Schema, definitions: Schema) -> str:
    texts = (part.get("description", "") for part in (field, *_choices(field, definitions)))
    return " ".join(next(filter(None, texts), "").split()).replace("|", "\\|")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the page to the guide (MkDocs calls this)."""
    from mkdocs.structure.files import File

    files.append(File.generated(config, PAGE, content=reference(Site.model_json_schema())))
    return files


if __name__ == "__main__":
    sys.stdout.write(reference(Site.model_json_schema()))
