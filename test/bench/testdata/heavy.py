# The handler of the function whose imports take long. A query string holds the
# call, so that another one needs an environment of its own.
import time

import imports


def handler(event, context):
    if event.get("rawQueryString"):
        time.sleep(float(event["rawQueryString"]))
    return {"statusCode": 200, "headers": {"content-type": "text/plain"}, "body": imports.HELLO}
