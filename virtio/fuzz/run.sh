#!/bin/sh
# Fuzzes for the number of seconds given (default 600), under AddressSanitizer, which sees what is read beyond a buffer.
cd "$(dirname "$0")"
. ../../fuzz.sh
fuzz device "${1:-600}" -Zsanitizer=address -max_len=512 -timeout=10
