#!/usr/bin/env bash
# Makes demo.o again: compiles and runs make.c, and puts the session map that it writes into the object.
set -euo pipefail
cd "$(dirname "$0")"
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
gcc -Wall -O1 -o "$folder/make" make.c -lgccjit
"$folder/make" "$folder/demo.o" "$folder/demo.session.json"
objcopy --add-section .relocfix.session_map="$folder/demo.session.json" \
    --set-section-flags .relocfix.session_map=readonly,exclude "$folder/demo.o" demo.o
