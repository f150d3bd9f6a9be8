#!/bin/sh
# Real servers for tests, on loopback and free ports: `start redis|pulsar|all`, `status`, `stop [redis|pulsar|all]`.
# Prints `export KEYMILL_TEST_…` lines for `eval`, and on stderr what it does and what could not be started. CONTRIBUTING says more.
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
# Old Nodes cannot run TypeScript.
if ! sh "$here/node.sh" -e 'process.exit(process.features.typescript ? 0 : 1)' 2>/dev/null; then
  sh "$here/install.sh" run
fi
exec sh "$here/node.sh" "$here/services/main.ts" "$@"
