#!/bin/sh
# SPDX-License-Identifier: MIT
# Each public function is named on a page of the manual, and the pages are clean mdoc.
set -eu
ls "$SOURCE"/man/*.[1-9] >/dev/null 2>&1 || { echo "no pages yet"; exit 77; }
bad=0

# A function counts as told where a page documents it: its name in NAME, or its prototype (.Fn, .Fo).
told=$(sed -n 's/^\.\(Nm\|Fn\|Fo\) \(mproc_[a-z0-9_]*\).*/\2/p' "$SOURCE"/man/*.[1-9] | sort -u)
for symbol in $(nm -D --defined-only "$LIBRARY" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }'); do
        echo "$told" | grep -qx "$symbol" || { echo "on no page of the manual: $symbol"; bad=1; }
done

if command -v mandoc >/dev/null; then
        mandoc -Tlint -W warning "$SOURCE"/man/*.[1-9] || bad=1
else
        echo "no mandoc: the pages were not checked for their form"
fi
exit $bad
