#!/bin/sh
# SPDX-License-Identifier: MIT
# A folder of src/ includes only from itself and from the folders named before it.
# Tests beside the code may include anything.
set -eu
cd "$SOURCE/src"

layers="core platform wire program tracker start context shm sync memory process channel pool"
bad=0
below=
for layer in $layers; do
        below="$below $layer"
        [ -d "$layer" ] || continue
        for file in $(find "$layer" -name '*.[ch]' ! -name '*_test.c'); do
                for include in $(sed -n 's/^ *# *include *"\([^"]*\)".*/\1/p' "$file"); do
                        case " $below " in
                        *" ${include%%/*} "*) ;;
                        *)
                                echo "src/$file includes $include, which stands above $layer"
                                bad=1
                                ;;
                        esac
                        [ -f "$include" ] || { echo "src/$file includes $include: not a path from src/"; bad=1; }
                done
        done
done
for folder in */; do
        case " $layers " in
        *" ${folder%/} "*) ;;
        *) echo "src/$folder has no place among the layers: name it in tests/layers.sh"; bad=1 ;;
        esac
done
exit $bad
