# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# Completion for bash. GPUs are asked of the program, which needs no privileges.

_vfioptctl_gpus() {
        vfioptctl --json 2>/dev/null | tr -d ' \n' |
                grep -o '{"address":"[^"]*","name"' | cut -d '"' -f 4
}

_vfioptctl() {
        local current previous verb='' word words
        local all='--help --version'

        # Addresses have colons, at which bash would break them.
        if declare -F _get_comp_words_by_ref >/dev/null; then
                _get_comp_words_by_ref -n : cur prev
                # shellcheck disable=SC2154
                current=$cur previous=$prev
        else
                current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
        fi

        for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
                case $word in
                status | switch | monitor | forget)
                        verb=$word
                        break
                        ;;
                esac
        done

        case $current in
        --root=*)
                compopt -o nospace
                mapfile -t COMPREPLY < <(compgen -d -P --root= -- "${current#--root=}")
                return
                ;;
        -*)
                case $verb in
                switch) words="--allow-display --direct --dry-run --json --root= --verbose" ;;
                monitor) words='--json' ;;
                forget) words='' ;;
                *) words='--json --root=' ;;
                esac
                words+=" $all"
                ;;
        *)
                case $verb in
                '') words='status switch monitor forget' ;;
                switch)
                        words='host passthrough toggle auto'
                        [[ $previous == switch || $previous == -* ]] || words=$(_vfioptctl_gpus)
                        ;;
                monitor | forget) words=$(_vfioptctl_gpus) ;;
                *) words='' ;;
                esac
                ;;
        esac

        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
        [[ ${COMPREPLY[0]} != --*= ]] || compopt -o nospace
        if declare -F __ltrim_colon_completions >/dev/null; then
                __ltrim_colon_completions "$current"
        fi
}

complete -F _vfioptctl vfioptctl
