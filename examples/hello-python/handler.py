"""A web function in Python.

mayfly deploy examples/hello-python
mayfly invoke hello-python --data '{"name": "you"}'
curl "$(mayfly url hello-python)?name=you"
"""

import json
import platform

# Code up here runs once per execution environment; handler runs per call.
calls = 0


def handler(event, context):
    global calls
    calls += 1
    print("call", calls, "in", context.function_name)

    query = event.get("queryStringParameters") or {}
    name = query.get("name") or event.get("name") or "world"
    message = f"Hello, {name}, from Python {platform.python_version()}!"
    return {
        "statusCode": 200,
        "headers": {"content-type": "application/json"},
        "body": json.dumps({"message": message, "calls": calls}),
    }
