#!/bin/sh
# Shell scripts, spelling, and what must not stand in any file: check_text.sh PROJECT
set -eu
cd "$1"

scripts=$(git ls-files '*.sh' .ci/run)
# shellcheck disable=SC2086 # a list of files
shellcheck $scripts
codespell --skip '*.json,*/corpus/*,LICENSE,.git' --ignore-words-list 'ser,nd,hda,fo,ot,2st' \
    src include tests packaging README.md

if git grep -nIE '\b(TO''DO|FIX''ME|XX''X)\b' -- src include tests packaging ':!*.json' ':!*/corpus/*'; then
    echo "unfinished marks" >&2
    exit 1
fi
echo "scripts, spelling and marks are in order"
