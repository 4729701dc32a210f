#!/bin/sh
# Fuzzes for the number of seconds given (default 600). The bodies are assembly, which nobody can instrument: what guides
# the search is the plain Rust beside them.
cd "$(dirname "$0")"
. ../../fuzz.sh
fuzz operations "${1:-600}" "" -max_len=512 -timeout=10
