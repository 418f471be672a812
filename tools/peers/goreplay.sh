#!/bin/sh
# Builds GoReplay from its Go module into ~/.cache/estape-peers, for tools/peers (needs Go 1.18 or later, gcc, libpcap-dev).
set -eu
version=v1.3.2 dir=$HOME/.cache/estape-peers
command -v go >/dev/null || { echo "no go: GoReplay is not built" >&2; exit 1; }
mkdir -p "$dir"
GOBIN=$dir GOFLAGS=-buildvcs=false go install github.com/buger/goreplay@$version
echo "$dir/goreplay"
