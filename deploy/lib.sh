# Functions that the scripts of deploy/ share; they source this file, with bash.
#
# A script reads its settings, calls `run` for every command that changes something, and calls `fail`
# for errors that the user can fix. With dry_run=yes, `run` prints the command and runs nothing.
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

# Print a command as one line, quoted so that a shell reads the same words.
quoted() {
    local word line=''
    for word; do
        [[ $word =~ ^[A-Za-z0-9_./:,=@%+-]+$ ]] || word=${word@Q}
        line+="$word "
    done
    echo "${line% }"
}

# Run a command, or print it in a dry run.
run() {
    if [[ $dry_run == yes ]]; then
        quoted "$@"
    else
        "$@"
    fi
}

# Stop if a program is missing; a dry run needs no programs.
need_program() {
    [[ $dry_run == yes ]] || command -v "$1" >/dev/null || fail "$1 is not on PATH: $2"
}

# Stop if a file is missing, also in a dry run: the printed commands would fail without it.
need_file() {
    [[ -f $1 ]] || fail "There is no file $1: $2"
}

# Whether a word is the name of a recipe that ships; jobs find it in Polynya's code.
ships_recipe() {
    [[ ! -f $1 && -f $root/polynya/recipes/$1.yaml ]]
}

# Whether a word is the name of a study that ships.
ships_study() {
    [[ ! -f $1 && -f $root/polynya/recipes/studies/$1.yaml ]]
}

# Stop if a setting is empty.
need_setting() {
    [[ -n ${!1:-} ]] || fail "The setting $1 is empty: $2"
}

# Stop if an option has no value: call need_value "$@" when $1 is the option.
need_value() {
    if (($# < 2)) || [[ $2 == --* ]]; then
        fail "$1 needs a value; see --help."
    fi
}

# Read settings: variables of the environment stay, settings.env (or $SETTINGS) gives the others.
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
