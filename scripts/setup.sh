#!/usr/bin/env bash
# Installs what a make target needs and this machine lacks, as root through apt;
# for others it says exactly what to install. Usage: scripts/setup.sh demo|test|bench
set -euo pipefail

# command:Debian package, for each target
demo="node:nodejs python3:python3 curl:curl mke2fs:e2fsprogs"
test="$demo npm:npm pip3:python3-pip gcc:gcc aws:awscli ip:iproute2 unshare:util-linux setpriv:util-linux"
bench="$demo gcc:gcc npm:npm"

# A peer that make bench compares with; without it that row stays empty.
workerd=1.20261117.1
peers() {
	local dir
	dir=$(dirname "$0")/../.cache/workerd
	if [[ -e $dir/$workerd ]]; then
		return
	fi
	echo "Installing workerd $workerd below $dir ..."
	if npm install --no-audit --no-fund --ignore-scripts --loglevel=error --prefix "$dir" "workerd@$workerd"; then
		touch "$dir/$workerd"
	else
		echo "workerd can't be installed: make bench goes on without it" >&2
	fi
}

case "${1:-}" in
demo) wanted=$demo ;;
test) wanted=$test ;;
bench) wanted=$bench ;;
*)
	echo "usage: scripts/setup.sh demo|test|bench" >&2
	exit 2
	;;
esac

PATH=$PATH:/usr/sbin:/sbin
missing=()
for entry in $wanted; do
	command -v "${entry%%:*}" >/dev/null || missing+=("${entry##*:}")
done
# The linker needs the C library's headers for the race detector.
if [[ $wanted == *gcc* && ! -e /usr/include/stdlib.h ]]; then
	missing+=(libc6-dev)
fi
if ((${#missing[@]} == 0)); then
	[[ $1 != bench ]] || peers
	exit 0
fi

if [[ $(id -u) != 0 ]]; then
	echo "These packages are missing: ${missing[*]}" >&2
	echo "Install them and try again, on Debian or Ubuntu with:" >&2
	echo "  sudo apt-get update && sudo apt-get install -y --no-install-recommends ${missing[*]}" >&2
	exit 1
fi
if ! command -v apt-get >/dev/null; then
	echo "These packages are missing and there is no apt-get to install them with: ${missing[*]}" >&2
	exit 1
fi
echo "Installing ${missing[*]} ..."
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
[[ $1 != bench ]] || peers
