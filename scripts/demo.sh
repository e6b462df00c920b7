#!/usr/bin/env bash
# Starts a node in .demo, deploys the example functions, calls them and says what
# to try next; or stops it again. The node keeps running after the script.
set -euo pipefail
cd "$(dirname "$0")/.."
mayfly=$PWD/bin/mayfly
export MAYFLY_DATA_DIR=$PWD/.demo/data
control=${MAYFLY_CONTROL:-127.0.0.1:9000}
gateway=${MAYFLY_GATEWAY:-127.0.0.1:8080}
export MAYFLY_CONTROL=$control MAYFLY_GATEWAY=$gateway MAYFLY_ENDPOINT=http://$control
pidfile=.demo/node.pid

running() { [[ -s $pidfile ]] && kill -0 "$(cat $pidfile)" 2>/dev/null && [[ $(readlink "/proc/$(cat $pidfile)/exe") == "$mayfly"* ]]; }

stop() {
	if running; then
		kill "$(cat $pidfile)"
		while running; do sleep 0.1; done
		echo "The demo node has stopped. Its data stays in .demo."
	else
		echo "No demo node is running."
	fi
	rm -f $pidfile
}

start() {
	mkdir -p .demo
	if running; then stop; fi
	"$mayfly" up >.demo/node.out 2>.demo/node.log &
	echo $! >$pidfile
	disown
	for _ in $(seq 100); do
		curl -fs "http://$control/readyz" >/dev/null && break
		if ! running; then
			cat .demo/node.log >&2
			echo "The node did not start. If an address is taken: MAYFLY_CONTROL=127.0.0.1:9001 MAYFLY_GATEWAY=127.0.0.1:8081 make demo" >&2
			exit 1
		fi
		sleep 0.1
	done
	sed '/^Deploy a function/,$d' .demo/node.out # the rest is for whoever started it by hand

	"$mayfly" deploy examples/app --yes
	echo
	for f in hello-node hello-python hello-bash hello-go; do
		printf '$ mayfly invoke %s --data %s\n' "$f" "'{\"name\":\"you\"}'"
		"$mayfly" invoke "$f" --data '{"name":"you"}'
		echo
	done
	echo
	echo "The node runs in the background (log: .demo/node.log). Open in a browser or with curl:"
	for f in hello-node hello-python hello-bash hello-go; do
		printf '  %s\n' "$("$mayfly" url "$f")"
	done
	cat <<EOT

Try next, in this directory:
  export PATH=$PWD/bin:\$PATH MAYFLY_DATA_DIR=$MAYFLY_DATA_DIR MAYFLY_ENDPOINT=$MAYFLY_ENDPOINT
  mayfly ls
  mayfly invoke hello-python --data '{"name":"Ada"}'
  mayfly logs hello-python -f
  mayfly init my-function --template python && mayfly deploy my-function
  eval "\$(mayfly credentials --export)" && aws lambda list-functions --endpoint-url \$AWS_ENDPOINT_URL
  make demo-stop
EOT
}

case "${1:-}" in
start) start ;;
stop) stop ;;
*)
	echo "usage: scripts/demo.sh start|stop" >&2
	exit 2
	;;
esac
