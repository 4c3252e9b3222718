#!/bin/sh
# SPDX-License-Identifier: MIT
# run.sh [MODEL...] - check the models with spin, each in all its configurations and with all its mutants.
#
# The configurations stand in each model's head comment:
#       RUN: FLAGS              must hold
#       BIG: FLAGS              must hold; only with BIG=1, takes longer
#       MUTANT_NAME: FLAGS      with -DMUTANT_NAME must fail
# One line for each: model, flags, states, seconds, verdict.  Fails if a configuration does not
# hold, or a mutant does; a failure of a configuration leaves its trail as words in MODEL.trail.txt in
# the directory from where it was called.  MODELS_MB=1900: memory for one.  QUICK=1: no mutants, and
# of each model only the first configuration.
set -u

here=$(cd "$(dirname "$0")" && pwd)
called_from=$PWD
command -v spin >/dev/null || { echo "models: spin is not here: left out" >&2; exit 0; }
work=$(mktemp -d "${TMPDIR:-/tmp}/mproc-models.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
cd "$work" || exit 1
bad=0

# check FLAGS...: leaves pan.out; 0: holds, 1: does not, 2: neither could be told
check()
{
        rm -f ./*.trail
        if ! spin -a "$@" "$here/$model.pml" >spin.out 2>&1 || [ ! -f pan.c ]; then
                cat spin.out >&2
                return 2
        fi
        ${CC:-cc} -O$optimise -w -DSAFETY -DCOLLAPSE -DMEMLIM="${MODELS_MB:-1900}" -o pan pan.c >&2 || return 2
        nice ./pan -E -m1000000 >pan.out 2>&1
        grep -q '^pan:.*assertion violated' pan.out && return 1
        grep -q 'errors: 0' pan.out && ! grep -Eq 'out of memory|max search depth too small|Search not completed' pan.out && return 0
        cat pan.out >&2
        return 2
}

# report WANTED FLAGS...
report()
{
        wanted=$1
        shift
        [ "$wanted" = 0 ] && optimise=2 || optimise=0 # what fails fails early
        check "$@"
        got=$?
        states=$(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' pan.out)
        seconds=$(sed -n 's/^pan: elapsed time \([0-9.]*\) seconds.*/\1/p' pan.out)
        if [ "$got" = 2 ]; then
                verdict='NOT DECIDED'
        elif [ "$got" != "$wanted" ]; then
                [ "$wanted" = 0 ] && verdict='DOES NOT HOLD' || verdict='NOT FOUND'
        else
                [ "$wanted" = 0 ] && verdict=holds || verdict=found
        fi
        [ "$got" = "$wanted" ] || bad=1
        [ "$wanted" = 0 ] && [ "$got" = 1 ] &&
                spin -t -p -g -l -k "$model.pml.trail" "$@" "$here/$model.pml" >"$called_from/$model.trail.txt" 2>&1
        printf '%-10s %-58s %10s states %7s s  %s\n' "$model" "$*" "${states:-?}" "${seconds:-?}" "$verdict"
}

# The words that are flags; what follows them is for people.
flags_of() { sed -n "s/^ \* $1: *//p" "$here/$model.pml" | awk '{ l = ""; for (i = 1; i <= NF && $i ~ /^-D/; i++) l = l " " $i; print l }'; }

[ $# -gt 0 ] || set -- $(cd "$here" && ls -- *.pml | sed 's/\.pml$//')
for model in "$@"; do
        [ -f "$here/$model.pml" ] || { echo "models: no $model.pml" >&2; bad=1; continue; }
        flags_of RUN >runs
        [ -s runs ] || { echo "models: $model.pml has no RUN: line" >&2; bad=1; continue; }
        [ -z "${QUICK:-}" ] || sed -i 1q runs
        [ -z "${BIG:-}" ] || flags_of BIG >>runs
        while read -r flags; do
                report 0 $flags
        done <runs
        [ -z "${QUICK:-}" ] || continue
        sed -n 's/^ \* \(MUTANT_[A-Z_0-9]*\):.*/\1/p' "$here/$model.pml" >mutants
        while read -r mutant; do
                report 1 "-D$mutant" $(flags_of "$mutant")
        done <mutants
done
[ $bad = 0 ] || echo 'models: something is wrong, see above' >&2
exit $bad
