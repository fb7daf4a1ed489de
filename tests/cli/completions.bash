# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# What bash is offered, with its own idea of where words break, and with an administrator's.
#
# completions.bash FILE
set -eu

# shellcheck source=/dev/null
. "$1"

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/root" "$folder/rest"

vfioptctl() {
        [ "$*" = --json ]
        # As golden.txt has it.
        printf '{\n  "version": 1,\n  "gpus": [\n'
        printf '    {\n      "address": "%s",\n      "location": null,\n      "name": "NVIDIA GPU",\n      "id": "10de:2204"\n    },\n' \
                0000:41:00.0 0000:42:00.0 10000:01:00.0
        printf '    {}\n  ],\n  "absent": [\n    {\n      "entry": "0000:43:00.0",\n      "address": "0000:43:00.0"\n    }\n  ]\n}\n'
}

compopt() {
        options+="$*"
}

failed=0

# line, what is offered
offered() {
        local COMP_LINE=$1 COMP_POINT=${#1} options=''
        local -a COMPREPLY=()

        _vfioptctl
        if [ "${COMPREPLY[*]-}" != "$2" ]; then
                echo "$1: offers \"${COMPREPLY[*]-}\", not \"$2\""
                failed=1
        fi
}

all='0000:41:00.0 0000:42:00.0 10000:01:00.0'
verbs='status switch monitor diagnose setup rollback forget'
modes='host passthrough toggle auto'

COMP_WORDBREAKS=$' \t\n"\'><=;|&(:'
offered 'vfioptctl ' "$verbs"
offered 'vfioptctl s' 'status switch setup'
offered 'vfioptctl --json ' "$verbs"
offered 'vfioptctl switch ' "$modes"
offered 'vfioptctl switch --dry-run ' "$modes"
offered 'vfioptctl switch --dry-run p' passthrough
offered 'vfioptctl switch passthrough ' "$all"
offered 'vfioptctl switch passthrough --dry-run ' "$all"
offered 'vfioptctl switch --dry-run passthrough ' "$all"
offered 'vfioptctl --dry-run switch passthrough ' "$all"
offered 'vfioptctl switch passthrough --root=/ ' "$all"
offered 'vfioptctl switch passthrough 0000:42:00.0 ' '0000:41:00.0 10000:01:00.0'
offered 'vfioptctl switch passthrough 42:00.0 --verbose ' '0000:41:00.0 10000:01:00.0'
offered 'vfioptctl switch passthrough 0000:4' '41:00.0 42:00.0'
offered 'vfioptctl switch passthrough 0000:41:' 00.0
offered 'vfioptctl switch passthrough 4' '41:00.0 42:00.0'
offered 'vfioptctl switch passthrough 41:' 00.0
offered 'vfioptctl switch passthrough 1' '10000:01:00.0'
offered 'vfioptctl switch passthrough 99:' ''
offered 'vfioptctl status ' "$all"
offered 'vfioptctl status --json 42' 42:00.0
offered 'vfioptctl monitor ' "$all"
offered 'vfioptctl forget ' "$all"
offered 'vfioptctl diagnose ' "$all"
offered 'vfioptctl diagnose --' '--json --root= --help --version'
offered 'vfioptctl setup --m' --mode=
offered 'vfioptctl setup --mode=p' passthrough
offered 'vfioptctl setup --' '--dry-run --json --mode= --root= --yes --help --version'
offered 'vfioptctl rollback --' '--list --root= --help --version'
offered 'vfioptctl switch --d' '--direct --dry-run'
offered 'vfioptctl switch host -' '--allow-display --direct --dry-run --json --root= --verbose --help --version'
offered 'vfioptctl status --r' --root=
offered 'vfioptctl monitor --j' --json
offered "vfioptctl status --root=$folder/r" "$folder/rest $folder/root"
offered 'vfioptctl switch --trigger=' 'command agent boot'
offered 'vfioptctl switch --direct --trigger=b' boot
offered 'vfioptctl frobnicate ' ''

COMP_WORDBREAKS=$' \t\n'
offered 'vfioptctl switch passthrough 0000:4' '0000:41:00.0 0000:42:00.0'
offered 'vfioptctl switch passthrough 41:' 41:00.0
offered 'vfioptctl switch --trigger=b' --trigger=boot
offered "vfioptctl --root=$folder/ro" "--root=$folder/root"

exit "$failed"
