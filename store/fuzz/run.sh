#!/bin/sh
# Fuzzes for the number of seconds given (default 600). What opens a store has no `unsafe`: no sanitizer is needed.
cd "$(dirname "$0")"
. ../../fuzz.sh
fuzz open "${1:-600}" "" -max_len=8192 -timeout=10
