"""A function: `mayfly deploy .` finds handler(event, context) in this file.

Packages listed in a requirements.txt beside it are installed when it is deployed.
"""

import json


def handler(event, context):
    # The event is whatever the caller sends: the JSON of `mayfly invoke`, or a
    # description of the HTTP request when the function is called by its URL.
    print("called as", context.function_name)

    query = event.get("queryStringParameters") or {}
    name = query.get("name") or event.get("name") or "world"
    return {
        "statusCode": 200,
        "headers": {"content-type": "application/json"},
        "body": json.dumps({"message": f"Hello, {name}!"}),
    }
