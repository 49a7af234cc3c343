#!/bin/sh
# Makes .venv and installs Mnemon into it, on a machine that may have nothing yet.
#
#   scripts/setup.sh chat     what `mnemon` needs
#   scripts/setup.sh test     the same and the tools of `make test`
#   scripts/setup.sh train    the same and PyTorch, to train the built-in model
#
# Does nothing when that was already done for this pyproject.toml. Progress goes to standard error and standard input
# is left alone, so that it reaches whatever runs next.
set -eu
cd "$(dirname "$0")/.."

want=${1:-chat}
venv=.venv
stamp=$venv/.installed-$want  # where it was installed, and for which pyproject.toml
log=$venv/install.log

say() { printf '%s\n' "$*" >&2; }
fail() {
  say "$*"
  exit 1
}

# One line naming the packages to install, in the words of the machine's own package manager where we know it.
needs() {
  if command -v apt-get >/dev/null 2>&1; then
    fail "$1 Install it: sudo apt-get install $2"
  elif command -v dnf >/dev/null 2>&1; then
    fail "$1 Install it: sudo dnf install $3"
  elif [ "$(uname -s)" = Darwin ]; then
    fail "$1 Install it: $4"
  fi
  fail "$1 Install it: Debian/Ubuntu: apt-get install $2; Fedora: dnf install $3; macOS: $4"
}

# A Python that starts (a version manager's placeholder may be on the PATH and fail) and is new enough.
find_python() {
  for candidate in python3.13 python3.12 python3.11 python3; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
      command -v "$candidate"
      return
    fi
  done
  return 1
}

check_machine() {
  python=$(find_python) || needs "Mnemon needs Python 3.11 or newer." \
    "python3 python3-venv python3-dev" "python3 python3-devel" "brew install python@3.13"
  "$python" -c 'import ensurepip, venv' >/dev/null 2>&1 || needs "Python's venv module is missing." \
    "python3-venv" "python3" "brew install python@3.13"
  # llama.cpp is compiled here, for this processor.
  { command -v cc && command -v c++; } >/dev/null 2>&1 || { command -v gcc && command -v g++; } >/dev/null 2>&1 ||
    { command -v clang && command -v clang++; } >/dev/null 2>&1 || needs "A C++ compiler is missing." \
    "build-essential" "gcc-c++ make" "xcode-select --install"
  header=$("$python" -c 'import sysconfig; print(sysconfig.get_paths()["include"] + "/Python.h")')
  [ -f "$header" ] || needs "Python's header files are missing." \
    "python3-dev" "python3-devel" "brew install python@3.13"
}

# Runs a command with its output in the log. On a terminal a clock shows that it lives; otherwise it is quiet.
quietly() {
  if [ -t 2 ]; then
    "$@" >>"$log" 2>&1 </dev/null &
    child=$!
    trap 'kill "$child" 2>/dev/null; printf "\r\033[K" >&2; exit 130' INT TERM
    seconds=0
    while kill -0 "$child" 2>/dev/null; do
      printf '\r  %d:%02d  %.60s\033[K' $((seconds / 60)) $((seconds % 60)) "$(tail -n 1 "$log" | tr -d '\r')" >&2
      sleep 1
      seconds=$((seconds + 1))
    done
    trap - INT TERM
    printf '\r\033[K' >&2
    wait "$child"
  else
    "$@" >>"$log" 2>&1 </dev/null
  fi
}

install_failed() {
  tail -n 15 "$log" >&2
  fail "Installation failed. The whole story is in $PWD/$log; after mending the cause, run the same command again."
}

[ -f pyproject.toml ] || fail "pyproject.toml is missing: this is not a whole checkout. Clone it again."
stamped() { pwd && cat pyproject.toml; }
if [ -x "$venv/bin/python" ] && [ -x "$venv/bin/mnemon" ] && stamped | cmp -s - "$stamp"; then
  exit 0
fi

# The programs in an environment know its place by heart: after a move they have to be made anew.
moved=false
for old in "$venv"/.installed-*; do
  [ ! -f "$old" ] || [ "$(head -n 1 "$old")" = "$PWD" ] || moved=true
done

if $moved || ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
  check_machine
  say "Making $venv with $("$python" --version) ..."
  rm -rf "$venv"
  "$python" -m venv "$venv" || fail "The environment $venv could not be made: see the lines above."
fi
: >"$log"

case $want in
  chat) what=. ;;
  test) what='.[dev]' ;;
  train) what='.[dev,train]' ;;
  *) fail "usage: scripts/setup.sh chat|test|train" ;;
esac
if ! "$venv/bin/python" -c 'import llama_cpp' >/dev/null 2>&1; then
  check_machine
  say "Installing Mnemon. The first time llama.cpp is compiled for this machine: about 4 minutes on two cores."
else
  say "Installing what pyproject.toml asks for ..."
fi
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
quietly "$venv/bin/python" -m pip install -e "$what" || install_failed
stamped >"$stamp"
[ "$want" = chat ] || stamped >"$venv/.installed-chat"
[ "$want" != train ] || stamped >"$venv/.installed-test"
say "Installed. The command is $PWD/$venv/bin/mnemon"
