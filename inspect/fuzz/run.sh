#!/bin/sh
# Fuzzes for the number of seconds given (default 600), beginning with the files in corpus/.
cd "$(dirname "$0")"
. ../../fuzz.sh
fuzz file "${1:-600}" -Zsanitizer=address -max_len=20000 -timeout=10 corpus
