#!/bin/sh
# The whole test run from a bare clone; ends with `N passed, N failed, N skipped`. What was skipped is printed with its reason.
set -eu
cd "$(dirname "$0")/.."
sh scripts/install.sh dev
PATH="$PATH:$(sh scripts/promtool.sh)"
export PATH
exec sh scripts/node.sh scripts/test.ts "$@"
