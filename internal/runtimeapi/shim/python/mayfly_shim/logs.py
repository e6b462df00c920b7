"""Logs: the logging module's root handler, as AWS Lambda sets it up.

The logging module costs a third of a cold start, and not every function uses it.
So the handler is put in place by a finder at the moment when user code imports
logging, before that import returns.
"""

import os
import sys
import time

from . import output


class Finder:
    """Finds logging as usual and has the handler installed after it has run."""

    def find_spec(self, name, path=None, target=None):
        if name != "logging":
            return None
        sys.meta_path.remove(self)
        for finder in sys.meta_path:
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                _install_after(spec.loader)
                return spec
        return None


def _install_after(loader):
    execute = loader.exec_module

    def exec_module(module):
        execute(module)
        setup(module)

    loader.exec_module = exec_module


def expect():
    """Has logging set up as soon as it is imported."""
    if "logging" in sys.modules:
        setup(sys.modules["logging"])
    else:
        sys.meta_path.insert(0, Finder())


def setup(logging):
    """Puts the platform's handler on the root logger."""
    json_format = os.environ.get("AWS_LAMBDA_LOG_FORMAT") == "JSON"

    class LambdaLoggerHandler(logging.Handler):
        def emit(self, record):
            try:
                output.event(False, self.format(record))
            except Exception:
                self.handleError(record)

    class RequestFilter(logging.Filter):
        def filter(self, record):
            record.aws_request_id = output.owner()[1]
            return True

    handler = LambdaLoggerHandler()
    handler.addFilter(RequestFilter())
    handler.setFormatter(_json_formatter(logging) if json_format else _text_formatter(logging))
    logging.root.addHandler(handler)
    if json_format:
        level = logging.getLevelName(os.environ.get("AWS_LAMBDA_LOG_LEVEL", "INFO"))
        logging.root.setLevel(level if isinstance(level, int) else logging.INFO)


def _text_formatter(logging):
    formatter = logging.Formatter(
        "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s", "%Y-%m-%dT%H:%M:%S"
    )
    formatter.converter = time.gmtime
    return formatter


# The attributes that every record has; the others came in "extra".
_STANDARD = frozenset(
    "name msg args levelname levelno pathname filename module exc_info exc_text stack_info lineno funcName created "
    "msecs relativeCreated thread threadName processName process taskName message asctime aws_request_id".split()
)


def _json_formatter(logging):
    import json

    class JSONFormatter(logging.Formatter):
        converter = time.gmtime

        def format(self, record):
            line = {
                "timestamp": self.formatTime(record, "%Y-%m-%dT%H:%M:%SZ"),
                "level": record.levelname,
                "message": record.getMessage(),
                "logger": record.name,
            }
            if record.exc_info:
                kind, value, _ = record.exc_info
                line["errorType"] = kind.__name__ if kind else None
                line["errorMessage"] = str(value)
                line["stackTrace"] = self.formatException(record.exc_info).split("\n")
            line["requestId"] = record.aws_request_id
            for name, value in vars(record).items():
                if name not in _STANDARD:
                    line.setdefault(name, value)
            return json.dumps(line, ensure_ascii=False, default=str)

    return JSONFormatter()
