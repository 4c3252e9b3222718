#!/bin/sh
# SPDX-License-Identifier: MIT
# report.sh FILE [KILLS PAIRS] - add up what MPROC_CRASH_REPORT has gathered.  Fails below so many.
awk -v least_kills="${2:-0}" -v least_pairs="${3:-0}" '
        { count[$1] += $3; scenes[$1]++; if ($4 > worst) worst = $4; for (i = 5; i <= 12; i++) { served[i] += $i; all += $i } }
        END {
                printf "%d single kills in %d scenes, %d pairs in %d, 0 failures\n", count["kills"], scenes["kills"], count["pairs"], scenes["pairs"]
                split("0.2 0.5 1 2 5 10 100", limit, " ")
                for (i = 5; i <= 11; i++) { sum += served[i]; if (all) printf "  %6.2f %% of %d survivors that slept went on within %s ms\n", 100 * sum / all, all, limit[i - 4] }
                printf "  the slowest after %.1f ms\n", worst
                exit count["kills"] < least_kills || count["pairs"] < least_pairs
        }' "$1"
