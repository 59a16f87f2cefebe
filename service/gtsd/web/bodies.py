"""From bytes to checked values: JSON bodies and query strings, all that is wrong named at once."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from functools import cache
from typing import (
    Any,
    Final,
    Protocol,
    TypeVar,
    cast,
    get_args,
    get_origin,
    get_type_hints,
    runtime_checkable,
)
from urllib.parse import parse_qsl

import msgspec

from gtsd.errors import BadRequest
from gtsd.web.fields import FIRST_DAY, LAST_DAY

T = TypeVar("T")
_PATH: Final = re.compile(r"^(?P<what>.*?)(?: - at `\$(?P<path>[^`]*)`)?$", re.DOTALL)
# Brackets inside strings do not count.
_STRINGS: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_BRACKETS: Final = re.compile(rb"[\[\]{}]")
_MAX_FIELDS: Final = 20
_MAX_PARAMETERS: Final = 20
# No clock on earth is further from UTC; PostgreSQL takes offsets of less than 16 hours.
_MOST_OFFSET: Final = timedelta(hours=14)
_FAR: Final = f"must be from {FIRST_DAY} to {LAST_DAY}, at most 14 hours from UTC"
_MAX_FORM_FIELDS: Final = 100


@runtime_checkable
class Checked(Protocol):
    """A type with rules that its annotations cannot say."""

    def problems(self) -> Mapping[str, str]:
        """Field path → what is wrong; empty when all is well."""
        ...


def decode_body(raw: bytes, shape: type[T], depth: int) -> T:
    """Check a JSON body against a msgspec type; raises BadRequest with every bad field."""
    _refuse_depth(raw, depth)
    if b"\\u0000" in raw and _has_nul(_parse(raw)):
        raise BadRequest("The text holds a NUL character.", code="invalid_json")
    try:
        value = msgspec.json.decode(raw, type=shape)
    except msgspec.ValidationError as error:
        raise _invalid(_problems(raw, shape, error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _not_json(error) from None
    return _checked(value)


def decode_query(raw: str, shape: type[T]) -> T:
    """Check a query string against a msgspec type; raises BadRequest with every bad parameter."""
    # Types of queries are frozen, so that one value without parameters can be for all: 9 µs.
    return _without_parameters(shape) if not raw else _decoded_query(raw, shape)  # type: ignore[arg-type]  # classes are hashable


@cache
def _without_parameters(shape: type[T]) -> T:
    return _decoded_query("", shape)


def _decoded_query(raw: str, shape: type[T]) -> T:
    try:
        pairs = parse_qsl(
            raw, keep_blank_values=True, max_num_fields=_MAX_PARAMETERS, errors="strict"
        )
    except ValueError:
        raise BadRequest("The query string cannot be read.", code="invalid_query") from None
    values = dict(pairs)
    if len(values) != len(pairs):
        raise BadRequest("A query parameter is given twice.", code="invalid_query")
    if "\0" in raw or any("\0" in name or "\0" in value for name, value in pairs):
        raise BadRequest("The query string holds a NUL character.", code="invalid_query")
    try:
        value = msgspec.convert(values, shape, strict=False)
    except msgspec.ValidationError:
        raise _invalid(_collect(values, shape, strict=False)) from None
    return _checked(value)


def form_fields(raw: bytes) -> dict[str, str]:
    """The fields of a form (application/x-www-form-urlencoded); raises BadRequest."""
    try:
        pairs = parse_qsl(
            raw.decode(),
            keep_blank_values=True,
            strict_parsing=bool(raw),
            max_num_fields=_MAX_FORM_FIELDS,
            errors="strict",
        )
    except ValueError:
        raise BadRequest("The form cannot be read.", code="invalid_form") from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise BadRequest("A field of the form is given twice.", code="invalid_form")
    if any("\0" in name or "\0" in value for name, value in pairs):
        raise BadRequest("The form holds a NUL character.", code="invalid_form")
    return fields


def decode_form(raw: bytes, shape: type[T]) -> T:
    """Check a form against a msgspec type; raises BadRequest with every bad field."""
    fields = form_fields(raw)
    try:
        value = msgspec.convert(fields, shape, strict=False)
    except msgspec.ValidationError:
        raise _invalid(_collect(fields, shape, strict=False)) from None
    return _checked(value)


def _checked(value: T) -> T:
    problems = dict(_far_moments(value))
    if _has_rules(type(value)):  # type: ignore[arg-type]  # as above
        problems |= cast(Checked, value).problems()
    if problems:
        raise _invalid(problems)
    return value


@cache  # isinstance() with a protocol looks through all of it each time: 6 µs
def _has_rules(shape: type) -> bool:
    return issubclass(shape, Checked)


def _far_moments(value: Any, at: str = "") -> Iterator[tuple[str, str]]:
    """Moments that RFC 3339 allows and PostgreSQL does not, or that nobody lives in, by field."""
    if not isinstance(value, msgspec.Struct):
        return
    for name, shown in zip(value.__struct_fields__, value.__struct_encode_fields__, strict=True):
        item = getattr(value, name)
        if isinstance(item, msgspec.Struct):
            yield from _far_moments(item, _join(at, shown))
        elif isinstance(item, datetime):
            offset = item.utcoffset()
            if not FIRST_DAY <= item.date() <= LAST_DAY or (offset and abs(offset) > _MOST_OFFSET):
                yield _join(at, shown), _FAR


def _parse(raw: bytes) -> Any:
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _not_json(error) from None


def _not_json(error: Exception) -> BadRequest:
    where = f" ({error})" if isinstance(error, msgspec.DecodeError) else ""
    return BadRequest(f"The body is not valid JSON{where}.", code="invalid_json")


def _invalid(fields: Mapping[str, str]) -> BadRequest:
    names = ", ".join(sorted(fields)[:5])
    return BadRequest(f"Please correct: {names}.", code="invalid_fields", fields=fields)


def _refuse_depth(raw: bytes, limit: int) -> None:
    """Refuse deep nesting before a parser recurses into it."""
    if raw.count(b"{") + raw.count(b"[") <= limit:
        return
    depth = 0
    for bracket in _BRACKETS.findall(_STRINGS.sub(b"", raw)):
        depth += 1 if bracket in b"{[" else -1
        if depth > limit:
            raise BadRequest(f"The JSON is nested deeper than {limit}.", code="invalid_json")


def _has_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(_has_nul(key) or _has_nul(item) for key, item in value.items())
    return isinstance(value, list) and any(_has_nul(item) for item in value)


def _problems(raw: bytes, shape: Any, first: msgspec.ValidationError) -> Mapping[str, str]:
    """Every problem of a body; ``first`` is the one that msgspec stopped at."""
    try:
        value = msgspec.json.decode(raw)
    except msgspec.ValidationError:
        # A number that is too large for every type.
        return _named(first, "", shape)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _not_json(error) from None
    # Nothing is left where a name is given twice and only the first value is wrong.
    return _collect(value, shape, strict=True) or _named(first, "", shape)


def _collect(raw: Any, shape: Any, *, strict: bool, at: str = "") -> dict[str, str]:
    """Every problem of a value that does not fit: msgspec itself stops at the first one."""
    struct = _struct_of(shape)
    if struct is None or not isinstance(raw, dict):
        return _one(raw, shape, strict, at, shape)
    fields = {f.encode_name: f for f in msgspec.structs.fields(struct)}
    hints = get_type_hints(struct, include_extras=True)
    problems = {_join(at, name): "is not known here" for name in raw if name not in fields}
    for name, info in fields.items():
        where = _join(at, name)
        hint = hints[info.name]
        if name in raw:
            problems |= _collect(raw[name], hint, strict=strict, at=where)
        elif info.required:
            problems[where] = "is required" + _example(hint)
    return dict(list(problems.items())[:_MAX_FIELDS]) or _one(raw, shape, strict, at, shape)


def _one(raw: Any, shape: Any, strict: bool, at: str, hint: Any) -> dict[str, str]:
    try:
        msgspec.convert(raw, shape, strict=strict)
    except msgspec.ValidationError as error:
        return _named(error, at, hint)
    return {}


def _named(error: msgspec.ValidationError, at: str, hint: Any) -> dict[str, str]:
    found = _PATH.match(str(error))
    inner = found["path"] if found and found["path"] else ""
    what = found["what"] if found else str(error)
    return {(at + inner).lstrip(".") or "body": _sentence(what, hint)}


def _struct_of(shape: Any) -> type[msgspec.Struct] | None:
    """The struct inside Annotated, Optional and unions with UNSET; None where there is not one."""
    if isinstance(shape, type) and issubclass(shape, msgspec.Struct):
        return shape
    found = [_struct_of(argument) for argument in get_args(shape)]
    structs = [struct for struct in found if struct is not None]
    return structs[0] if len(structs) == 1 and get_origin(shape) not in (list, dict) else None


def _join(at: str, name: str) -> str:
    # An empty name is shown as what it is, for else there would be nothing to be read.
    shown = name[:64] or '""'
    return f"{at}.{shown}" if at else shown


def _metas(hint: Any) -> list[msgspec.Meta]:
    own = [m for m in getattr(hint, "__metadata__", ()) if isinstance(m, msgspec.Meta)]
    inner = getattr(hint, "__origin__", None) if own else None
    return own + [m for part in (*get_args(hint), inner) if part is not None for m in _metas(part)]


def _example(hint: Any) -> str:
    for meta in _metas(hint):
        if meta.examples:
            return f", for example {msgspec.json.encode(meta.examples[0]).decode()}"
    return ""


def _sentence(what: str, hint: Any) -> str:
    """msgspec's words, or where it would show a pattern, what the pattern means."""
    described = next((m.description for m in _metas(hint) if m.description), None)
    if described and "regex" in what:
        what = f"must be {described}"
    elif what.startswith("Expected "):
        what = "must be " + _plain(what.removeprefix("Expected "))
    else:
        what = what[:1].lower() + _plain(what[1:])
    return what + _example(hint)


_WORDS: Final = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
}


def _plain(what: str) -> str:
    return re.sub(r"`(\w+)`", lambda found: _WORDS.get(found[1], found[1]), what).replace("`", "")
