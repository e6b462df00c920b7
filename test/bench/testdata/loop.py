"""A Lambda Runtime API loop over the standard library's HTTP client."""

import http.client
import json
import os
import sys

sys.path.insert(0, os.environ["LAMBDA_TASK_ROOT"])
from app import handler

connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
base = "/2018-06-01/runtime/invocation/"
while True:
    connection.request("GET", base + "next")
    response = connection.getresponse()
    request_id = response.headers["Lambda-Runtime-Aws-Request-Id"]
    answer = json.dumps(handler(json.loads(response.read()), None))
    connection.request("POST", base + request_id + "/response", answer)
    connection.getresponse().read()
