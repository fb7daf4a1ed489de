# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# Completion for bash. GPUs are asked of the program, which needs no privileges.
#
# Bash breaks words at colons and equals signs, which addresses and options have. So the line is
# taken apart at blanks here, and of what is found only the part behind the last break is given
# back.

# All GPUs but those that stand there already. Without a domain where it was left out.
_vfioptctl_gpus() {
        local current=$1 gpu
        local -a gpus
        shift

        mapfile -t gpus < <(vfioptctl --json 2>/dev/null | tr -d ' \n' |
                grep -o '{"address":"[^"]*","location"' | cut -d '"' -f 4)
        for gpu in "${gpus[@]}"; do
                [[ " $* " != *" $gpu "* && " $* " != *" ${gpu#0000:} "* ]] || continue
                if [[ $gpu == "$current"* ]]; then
                        echo "$gpu"
                else
                        echo "${gpu#0000:}"
                fi
        done
}

_vfioptctl() {
        local line=${COMP_LINE:0:COMP_POINT} current='' verb='' mode='' word words='' broken
        local -a all before=()
        local -i i

        read -ra all <<<"$line"
        if [[ $line != *[[:blank:]] ]]; then
                current=${all[-1]}
                unset 'all[-1]'
        fi
        for word in "${all[@]:1}"; do
                case $word in
                -*) ;;
                *)
                        if [[ ! $verb ]]; then
                                verb=$word
                        elif [[ $verb == switch && ! $mode ]]; then
                                mode=$word
                        else
                                before+=("$word")
                        fi
                        ;;
                esac
        done

        case $current in
        --root=*)
                compopt -o nospace -o filenames
                mapfile -t COMPREPLY < <(compgen -d -P --root= -- "${current#--root=}")
                ;;
        --mode=*)
                words='--mode=host --mode=passthrough'
                ;;
        --trigger=*)
                words='--trigger=command --trigger=agent --trigger=boot'
                ;;
        -*)
                case $verb in
                switch) words='--allow-display --direct --dry-run --json --root= --verbose' ;;
                monitor) words='--json' ;;
                setup) words='--dry-run --json --mode= --root= --yes' ;;
                rollback) words='--list --root=' ;;
                forget) ;;
                *) words='--json --root=' ;;
                esac
                words+=' --help --version'
                ;;
        *)
                case $verb in
                '') words='status switch monitor diagnose setup rollback forget' ;;
                switch)
                        words='host passthrough toggle auto'
                        [[ ! $mode ]] || words=$(_vfioptctl_gpus "$current" "${before[@]}")
                        ;;
                rollback) words=$(vfioptctl rollback --list 2>/dev/null | cut -d ' ' -f 1) ;;
                status | monitor | diagnose | forget) words=$(_vfioptctl_gpus "$current" "${before[@]}") ;;
                esac
                ;;
        esac

        [[ ! $words ]] || mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
        [[ ${COMPREPLY[0]-} != --*= ]] || compopt -o nospace

        broken=${current%"${current##*["${COMP_WORDBREAKS//[^:=]/}"]}"}
        for ((i = 0; i < ${#COMPREPLY[@]}; ++i)); do
                COMPREPLY[i]=${COMPREPLY[i]#"$broken"}
        done
}

complete -F _vfioptctl vfioptctl
