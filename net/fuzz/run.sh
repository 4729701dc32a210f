#!/bin/sh
# Fuzzes for the number of seconds given (default 600), under AddressSanitizer.
cd "$(dirname "$0")"
. ../../fuzz.sh
fuzz frames "${1:-600}" -Zsanitizer=address -max_len=1024 -timeout=20
