#!/bin/sh
# Fuzzes for the number of seconds given (default 600), beginning with the corpora of this folder and of inspect.
cd "$(dirname "$0")"
. ../../fuzz.sh
fuzz tool "${1:-600}" -Zsanitizer=address -max_len=30000 -timeout=10 corpus ../../inspect/fuzz/corpus
