#!/bin/sh
# Installs what is missing. `install.sh run` for what running the example needs, `install.sh dev` for everything.
# Sourced or run from anywhere; needs npm and, for the first moment, any Node.
set -eu
cd "$(dirname "$0")/.."
# npm on an old Node warns that packages want a newer one; the newer one is what it installs.
# Not `npm ci`: it refuses a lock file that leaves out the binaries of other platforms, as some registries make it.
quiet="--no-fund --no-audit --loglevel=error"
case "${1:-dev}" in
  run)
    if [ ! -x node_modules/node/bin/node ] || [ ! -d node_modules/piscina ] || [ ! -d node_modules/rfc6902 ] || [ ! -d node_modules/vega-datasets ]; then
      echo "installing what running needs (once)" >&2
      npm install --no-save --omit=dev $quiet >&2
    fi ;;
  dev)
    if [ ! -x node_modules/node/bin/node ] || [ ! -d node_modules/vitest ] || [ ! -d node_modules/vega-datasets ]; then
      echo "installing dependencies (once)" >&2
      npm install --no-save $quiet >&2
    fi ;;
esac
