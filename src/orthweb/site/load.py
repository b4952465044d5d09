"""Reads `orthweb.yaml` into a Site, or says in one line per mistake what is wrong, where, and what is allowed."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from orthweb.errors import InputError
from orthweb.site.model import Site

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

SITE_FILE = "orthweb.yaml"
SCHEMA_FILE = "orthweb.schema.json"


def load_site(folder: Path) -> Site:
    """Read the site that `folder` describes.

    Raises
    ------
    InputError
        There is no `orthweb.yaml`, it is not YAML, or it doesn't fit the model.
    """
    path = folder / SITE_FILE
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(
            f"{path}: no such file", "make one with 'orthweb init', or name a site's folder with -C"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error})", "a text file in UTF-8 is needed") from None
    return parse_site(text)


def parse_site(text: str) -> Site:
    """Make a Site of the text of an `orthweb.yaml`; raises InputError as `load_site` does."""
    try:
        data = YAML(typ="safe", pure=True).load(text)
    except DuplicateKeyError as error:
        line = error.problem_mark.line + 1
        key = text.splitlines()[line - 1][error.problem_mark.column :].split(":")[0].strip()
        raise InputError(f"{SITE_FILE}: line {line}: {key} is given twice", "keep one of them") from None
    except MarkedYAMLError as error:
        where = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise InputError(f"{SITE_FILE}: {where}{error.problem or 'not YAML'}", "correct the YAML there") from None
    except YAMLError as error:
        raise InputError(
            f"{SITE_FILE}: not YAML ({str(error).splitlines()[0]})", "a text file in YAML is needed"
        ) from None
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        # What makes values of tags and dates, such as 2026-02-30, lets Python's own errors through.
        raise InputError(f"{SITE_FILE}: holds what is no value ({error})", "put it in quotes") from None
    if not isinstance(data, dict):
        raise InputError(f"{SITE_FILE}: holds {_shown(data)}", "a mapping such as 'name: my-site' is needed")
    _check_values(data, (), ())
    try:
        # As JSON the strict types of the model hold: no text for a number, no number for yes or no.
        return Site.model_validate_json(json.dumps(data), strict=True)
    except ValidationError as error:
        lines = {_line(detail): None for detail in _most_specific(error.errors())}
        raise InputError("\n".join(f"{SITE_FILE}: {line}" for line in lines)) from None


def _check_values(value: object, location: tuple[int | str, ...], inside: tuple[int, ...]) -> None:
    """Refuse what YAML can say and JSON, which Orthanc reads, cannot; raises InputError with its path."""
    field = _path(location) or "this file"
    if isinstance(value, dict | list):
        if id(value) in inside:
            raise InputError(f"{SITE_FILE}: {field}: holds itself", "write it out instead of the alias")
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            if isinstance(value, dict) and not isinstance(key, str):
                raise InputError(f"{SITE_FILE}: {field}: {_shown(key)}: a name must be text", "put it in quotes")
            _check_values(item, (*location, key), (*inside, id(value)))
        return
    plain = value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value))
    # Half of a surrogate pair can be escaped and stands for no character.
    if not plain and not (isinstance(value, str) and value.encode(errors="ignore").decode() == value):
        raise InputError(f"{SITE_FILE}: {field}: {_shown(value)}: is neither text nor a number", "put it in quotes")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _path(location: tuple[int | str, ...]) -> str:
    # Members of a union show up in the location as model or type names: they are no keys of the file.
    keys = [part for part in location if not _is_union_tag(part)]
    text = ""
    for key in keys:
        text += f"[{key}]" if isinstance(key, int) else (f".{key}" if text else key)
    return text


# The models that stand beside a plain word in a union of the Site model.
_UNION_MODELS = frozenset({"S3Storage", "OwnCertificate"})


def _is_union_tag(part: int | str) -> bool:
    return isinstance(part, str) and (
        part in _UNION_MODELS or part == "[key]" or part.startswith(("literal[", "function-after["))
    )


def _most_specific(details: list[ErrorDetails]) -> list[ErrorDetails]:
    """Drop what the other members of a union say where one of them was clearly meant."""
    deepest = {_path(detail["loc"]) for detail in details if isinstance(detail["input"], dict) is False}
    kept = []
    for detail in details:
        path = _path(detail["loc"])
        tagged = any(_is_union_tag(part) for part in detail["loc"])
        deeper = any(other != path and other.startswith(path + ".") for other in deepest)
        mapping_for_literal = detail["type"] == "literal_error" and isinstance(detail["input"], dict)
        scalar_for_model = detail["type"] == "model_type" and tagged
        if not (tagged and (deeper or mapping_for_literal or scalar_for_model)):
            kept.append(detail)
    return kept


def _line(detail: ErrorDetails) -> str:
    """One mistake as `path: value: what is allowed`."""
    path, value, kind = _path(detail["loc"]), detail["input"], detail["type"]
    context = detail.get("ctx", {})
    if kind == "missing":
        return f"{path}: is missing: it must be given"
    if kind == "extra_forbidden":
        return f"{path}: unknown key: {_known_keys(detail['loc'])}"
    if kind == "value_error":
        message = str(context.get("error", detail["msg"]))
        head, _, rest = message.partition(": ")
        # A check of a whole section names the field itself.
        if isinstance(value, dict | Site) or not isinstance(value, str | int | float | bool | None):
            return f"{path}.{head}: {rest}".lstrip(".")
        return f"{path}: {_shown(value)}: {message}"
    if kind == "string_pattern_mismatch":
        return f"{path}: {_shown(value)}: allowed is {_pattern_in_words(str(context['pattern']))}"
    message = _WORDS.get(kind) or detail["msg"].removeprefix("Input ").removeprefix("should be ")
    return f"{path}: {_shown(value)}: allowed is {message}"


def _known_keys(location: tuple[int | str, ...]) -> str:
    model: Any = Site
    for part in location[:-1]:
        model = _field_model(model, part)
        if model is None:
            return "remove it"
    from difflib import get_close_matches

    known = list(model.model_fields)
    close = get_close_matches(str(location[-1]), known, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    return f"{hint}allowed are {', '.join(known)}"


def _field_model(model: Any, part: int | str) -> Any:
    from typing import get_args

    from pydantic import BaseModel

    if isinstance(part, str) and _is_union_tag(part):
        return model
    field = model.model_fields.get(part)
    if field is None:
        # A key of a mapping, such as the name of a modality: the model stays.
        return model
    pending = [field.annotation]
    while pending:
        candidate = pending.pop()
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
        pending.extend(get_args(candidate))
    return None


_PATTERNS = {
    "^[a-z][a-z0-9-]{0,30}[a-z0-9]$": "2 to 32 lower-case letters, digits and hyphens, a letter first",
    "^[A-Za-z][A-Za-z0-9._-]{0,31}$": "1 to 32 letters, digits, dots, underscores and hyphens, a letter first",
    "^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$": "1 to 64 letters, digits, underscores and hyphens",
    "^https://[^/\\s]+/?$": "an https address such as https://s3.example.org:9000",
    "^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$": "3 to 63 lower-case letters, digits, dots and hyphens",
    "^[a-z0-9-]+$": "lower-case letters, digits and hyphens",
    "^[^\\x00-\\x1f]*$": "one line of text",
    "^[a-z]{2}(-[a-z]+)+-[0-9]$": "a region of AWS such as eu-central-1",
    "^[0-9]{12}$": "an account of AWS: 12 digits, in quotes",
    "^[a-z]+-[0-9a-f]{8,17}$": "an identifier of AWS such as vpc-0123456789abcdef0",
    "^ami-[0-9a-f]{8,17}$": "an image of EC2 such as ami-0123456789abcdef0",
    "^[a-z0-9-]+[a-z]$": "an availability zone such as eu-central-1a",
    "^[a-z0-9-]+\\.[a-z0-9-]+$": "a type of EC2 such as t3.medium",
    "^db\\.[a-z0-9-]+\\.[a-z0-9-]+$": "a class of RDS such as db.t4g.small",
    "^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$": "a mail address",
    "^[\\w .:/=+@-]*$": "letters, digits, spaces and _.:/=+@-",
}


_WORDS = {
    "list_type": "a list, such as [a, b]",
    "dict_type": "a section with fields of its own",
    "model_type": "a section with fields of its own",
    "int_type": "a whole number",
    "string_type": "text",
    "bool_type": "true or false",
    "too_short": "at least one",
}


def _pattern_in_words(pattern: str) -> str:
    return _PATTERNS.get(pattern, f"what matches {pattern}")
