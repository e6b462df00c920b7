"""Context: the second argument of a handler."""

import os
import sys
import time

from . import codec


class _Fields:
    """An object whose attributes come from a dictionary; missing ones are None."""

    _names = ()

    def __init__(self, values):
        for attribute, name in self._names:
            setattr(self, attribute, values.get(name))

    def __repr__(self):
        fields = ",".join("{}={!r}".format(attribute, getattr(self, attribute)) for attribute, _ in self._names)
        return "{}([{}])".format(type(self).__name__, fields)


class CognitoIdentity(_Fields):
    """Who called through Amazon Cognito."""

    _names = (
        ("cognito_identity_id", "cognitoIdentityId"),
        ("cognito_identity_pool_id", "cognitoIdentityPoolId"),
    )


class Client(_Fields):
    """The mobile application that called."""

    _names = (
        ("installation_id", "installation_id"),
        ("app_title", "app_title"),
        ("app_version_name", "app_version_name"),
        ("app_version_code", "app_version_code"),
        ("app_package_name", "app_package_name"),
    )


class ClientContext(_Fields):
    """What the caller passed beside the event."""

    _names = (("custom", "custom"), ("env", "env"), ("client", "client"))

    def __init__(self, values):
        super().__init__(values)
        if isinstance(self.client, dict):
            self.client = Client(self.client)


class LambdaContext:
    """What a handler may know of its invocation."""

    def __init__(self, meta):
        env = os.environ.get
        self.aws_request_id = meta["requestId"]
        self.invoked_function_arn = meta["arn"]
        self.function_name = env("AWS_LAMBDA_FUNCTION_NAME")
        self.function_version = env("AWS_LAMBDA_FUNCTION_VERSION")
        self.memory_limit_in_mb = env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
        self.log_group_name = env("AWS_LAMBDA_LOG_GROUP_NAME")
        self.log_stream_name = env("AWS_LAMBDA_LOG_STREAM_NAME")
        self.tenant_id = None
        self.identity = CognitoIdentity(_object(meta.get("cognitoIdentity")) or {})
        client = _object(meta.get("clientContext"))
        self.client_context = None if client is None else ClientContext(client)
        self._deadline = meta["deadline"]

    def get_remaining_time_in_millis(self):
        return max(0, self._deadline - int(time.time() * 1000))

    def log(self, msg):
        sys.stdout.write(str(msg) + "\n")

    def __repr__(self):
        return "LambdaContext([aws_request_id={},function_name={},function_version={},memory_limit_in_mb={}])".format(
            self.aws_request_id, self.function_name, self.function_version, self.memory_limit_in_mb
        )


def _object(text):
    """Returns the JSON object in text; None if there is none."""
    if not text:
        return None
    try:
        value = codec.loads(text)
    except ValueError:  # the platform passes on what the caller wrote
        return None
    return value if isinstance(value, dict) else None
