"""JSON: events in, results out.

The json module imports re, enum and functools, which take as long as the start
of the interpreter. Its working parts are in C and need none of them. They are
CPython's own affair, so json itself serves where they are missing or differ.
"""

import sys

_SPACE = " \t\n\r"


class _Scanner:
    """What the scanner in C asks of a JSONDecoder."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = {"-Infinity": float("-inf"), "Infinity": float("inf"), "NaN": float("nan")}.__getitem__


def _default(value):
    """Gives decimals a JSON form, as AWS Lambda does; nothing else has one."""
    decimal = sys.modules.get("decimal")
    if decimal is not None and isinstance(value, decimal.Decimal):
        whole = value.is_finite() and value == value.to_integral_value()
        return int(value) if whole else float(value)
    raise TypeError("Object of type {} is not JSON serializable".format(type(value).__name__))


def _plain():
    """Returns (loads, dumps) of the json module."""
    import json

    return json.loads, json.JSONEncoder(ensure_ascii=False, default=_default).encode


def _fast():
    """Returns (loads, dumps) of the parts in C; raises if they differ.

    What these can't do is left to the json module, for its error messages too.
    """
    from _json import encode_basestring, make_encoder, make_scanner

    scan = make_scanner(_Scanner)

    def loads(data):
        text = data if isinstance(data, str) else str(data, "utf-8")
        try:
            value, end = scan(text, len(text) - len(text.lstrip(_SPACE)))
        except Exception:
            return _plain()[0](data)
        if end != len(text) and text[end:].strip(_SPACE):
            return _plain()[0](data)
        return value

    def dumps(value):
        try:
            encode = make_encoder({}, _default, encode_basestring, None, ": ", ", ", False, False, True)
            return "".join(encode(value, 0))
        except Exception:
            return _plain()[1](value)

    sample = {"a": [1, 2.5, "\u00e9", None, True, {}]}
    text = dumps(sample)
    if text != '{"a": [1, 2.5, "\u00e9", null, true, {}]}' or scan(text, 0) != (sample, len(text)):
        raise ValueError("the parts in C do not do what they did")
    return loads, dumps


try:
    loads, dumps = _fast()
except Exception:
    loads, dumps = _plain()
