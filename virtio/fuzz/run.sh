#!/bin/sh
# Fuzzes for the number of seconds given (default 600), under AddressSanitizer, which sees what is read beyond a buffer.
# The corpus has a run of segments, a frame in three buffers, and a console that echoes.
cd "$(dirname "$0")"
. ../../fuzz.sh
fuzz device "${1:-600}" -Zsanitizer=address -max_len=512 -timeout=10 corpus
