#!/bin/sh
# Runs a script on a current Node: the npm package `node` from this checkout if it is installed, else the one on PATH.
here=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
if [ -x "$here/node_modules/node/bin/node" ]; then
  exec "$here/node_modules/node/bin/node" "$@"
fi
exec node "$@"
