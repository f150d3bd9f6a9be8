#!/bin/sh
# Runs the main example from a bare clone. Extra arguments go to `keymill start`, e.g. --once --json.
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
sh "$here/install.sh" run
cd "$here/.."
exec sh scripts/node.sh runtime/cli/main.ts start examples/sync/topology.ts --port 0 "$@"
