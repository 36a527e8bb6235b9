# What the scripts of deploy/ share; sourced by them, with bash.
#
# A script states its settings, calls `run` for every command that changes something, and `fail` for
# what the user can fix. With dry_run=yes, `run` prints the command and runs nothing.
# shellcheck shell=bash

set -euo pipefail

# The clone.
# shellcheck disable=SC2034
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
dry_run=no

# Stop with one sentence that names the remedy.
fail() {
    echo "Error: $*" >&2
    exit 1
}

# One command as a line that a shell reads back as the same words.
quoted() {
    local word line=''
    for word; do
        [[ $word =~ ^[A-Za-z0-9_./:,=@%+-]+$ ]] || word=${word@Q}
        line+="$word "
    done
    echo "${line% }"
}

# Run a command, or print it where nothing is to be run.
run() {
    if [[ $dry_run == yes ]]; then
        quoted "$@"
    else
        "$@"
    fi
}

# Stop where a program is missing; a dry run needs none.
need_program() {
    [[ $dry_run == yes ]] || command -v "$1" >/dev/null || fail "$1 is not on PATH: $2"
}

# Stop where a file is missing, also in a dry run: the printed commands couldn't run.
need_file() {
    [[ -f $1 ]] || fail "There is no file $1: $2"
}

# Whether a word is the name of a recipe that ships; jobs find it in Polynya's code.
ships_recipe() {
    [[ ! -f $1 && -f $root/polynya/recipes/$1.yaml ]]
}

# Stop where a setting is empty.
need_setting() {
    [[ -n ${!1:-} ]] || fail "The setting $1 is empty: $2"
}

# Stop where an option has no value: need_value "$@" at the option's place.
need_value() {
    if (($# < 2)) || [[ $2 == --* ]]; then
        fail "$1 needs a value; see --help."
    fi
}

# Read settings: what the environment has stays, settings.env (or $SETTINGS) says the rest.
read_settings() {
    local file=${SETTINGS:-$1}
    need_file "$file" "name your settings file with SETTINGS=FILE."
    # shellcheck source=/dev/null
    source "$file"
}

# The comment at the head of a script is its help.
show_help() {
    awk 'NR > 1 { if (!/^#/) exit; sub(/^# ?/, ""); print }' "$1"
}
