#!/bin/sh
# The whole main job on what a small phone has: one core and 512 MB, by a control group (needs root on Linux).
#   scripts/phone.sh [MB]      prints each answer, the time it took, and the most memory ever used
set -eu
megabytes=${1:-512}
here=$(cd "$(dirname "$0")/.." && pwd)
mnemon=$here/.venv/bin/mnemon
[ -x "$mnemon" ] || { echo "Run make chat first: it installs Mnemon into .venv."; exit 1; }
if [ -d /sys/fs/cgroup/memory ]; then
  group=/sys/fs/cgroup/memory/mnemon-phone limit=memory.limit_in_bytes peak=memory.max_usage_in_bytes
elif [ -f /sys/fs/cgroup/cgroup.controllers ]; then
  group=/sys/fs/cgroup/mnemon-phone limit=memory.max peak=memory.peak
else
  echo "No control groups here: run it on Linux, as root."; exit 1
fi
mkdir "$group" 2>/dev/null || [ -d "$group" ] || { echo "Cannot make $group: run it as root."; exit 1; }
home=$(mktemp -d)
trap 'rm -rf "$home"; rmdir "$group" 2>/dev/null || true' EXIT
echo "${megabytes}M" > "$group/$limit"

phone() { # in the group, on one core
  sh -c 'echo $$ > "$0/cgroup.procs" && exec taskset -c 0 "$@"' "$group" env MNEMON_HOME="$home" "$mnemon" "$@"
}
ask() {
  started=$(date +%s%N)
  printf '> %s\n' "$1"
  phone ask "$1"
  printf '  (%d ms)\n' $((($(date +%s%N) - started) / 1000000))
}

ask "My dog is called Biscuit."
ask "I'm allergic to peanuts and I live in Leeds."
ask "We moved to Bristol last month."
ask "What is my dog called?"
ask "Where do I live?"
ask "What am I allergic to?"
ask "What's my shoe size?"
printf '> (twenty lines in one run)\n'
for i in 1 2 3 4 5 6 7 8 9 10; do
  printf 'On day %s I walked %s miles with Imogen.\nWho did I walk with on day %s?\n' "$i" "$i" "$i"
done | phone | tail -n 2
phone memory search dog --json | head -c 200; echo
phone memory export "$home/export.jsonl" 2>/dev/null
phone doctor
echo "most memory used: $(($(cat "$group/$peak") / 1048576)) MB of $megabytes, page cache included"
