#!/bin/sh
# A custom runtime as Lambda's own tutorial builds it: a loop around curl.
set -eu
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime"
echo "init in $PWD, root $LAMBDA_TASK_ROOT"
while true; do
	head="$(mktemp)"
	event=$(curl -sS -LD "$head" "$api/invocation/next")
	id=$(grep -Fi Lambda-Runtime-Aws-Request-Id "$head" | tr -d '[:space:]' | cut -d: -f2)
	deadline=$(grep -Fi Lambda-Runtime-Deadline-Ms "$head" | tr -d '[:space:]' | cut -d: -f2)
	rm -f "$head"
	echo "event $event until $deadline"
	echo "to the error stream" >/dev/stderr
	printf "no line end"
	case "$event" in
	*fail*) curl -sS -X POST "$api/invocation/$id/error" -H 'Lambda-Runtime-Function-Error-Type: Function.Refused' \
		-d '{"errorMessage":"refused","errorType":"Refused"}' >/dev/null ;;
	*exit*) exit 3 ;;
	*kill*) kill -9 $$ ;;
	*) curl -sS -X POST "$api/invocation/$id/response" -d "{\"got\":$event}" >/dev/null ;;
	esac
done
