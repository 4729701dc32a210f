#!/bin/sh
# run.sh [SECONDS] [TARGET]: fuzzes for that long (default 600): ACPI's tables, beginning with real ones (`tables`, the
# default), or the tree of page tables (`tree`).
cd "$(dirname "$0")"
. ../../fuzz.sh
case "${2:-tables}" in
    tables) fuzz tables "${1:-600}" -Zsanitizer=address -timeout=60 -max_len=10000 ../src/devices/acpi/data ;;
    tree) fuzz tree "${1:-600}" -Zsanitizer=address -timeout=60 -max_len=73 ;;
    *) echo "no such target: $2" >&2; exit 2 ;;
esac
