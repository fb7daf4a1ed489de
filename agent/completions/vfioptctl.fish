# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Completion for fish. GPUs are asked of the program, which needs no privileges.

function __vfioptctl_gpus
        vfioptctl --json 2>/dev/null | string join '' | string replace -a ' ' '' |
                string match -ra '\{"address":"[^"]*","location"' | string replace -r '.*"address":"([^"]*)".*' '$1'
end

function __vfioptctl_has_mode
        __fish_seen_subcommand_from host passthrough toggle auto
end

set -l verbs status switch monitor diagnose setup rollback forget
set -l none "not __fish_seen_subcommand_from $verbs"
set -l switch '__fish_seen_subcommand_from switch'

complete -c vfioptctl -f
complete -c vfioptctl -n $none -a status -d 'Where each GPU is'
complete -c vfioptctl -n $none -a switch -d 'Move GPUs to host or passthrough'
complete -c vfioptctl -n $none -a monitor -d 'Print events as they happen'
complete -c vfioptctl -n $none -a diagnose -d 'Whether guests can have them, and what is missing'
complete -c vfioptctl -n $none -a setup -d 'Prepare this machine for the next boot'
complete -c vfioptctl -n $none -a rollback -d 'Take a set-up back'
complete -c vfioptctl -n $none -a forget -d 'Forget the card that was at an address'

complete -c vfioptctl -n "$switch; and not __vfioptctl_has_mode" -a host -d 'To the drivers of the host'
complete -c vfioptctl -n "$switch; and not __vfioptctl_has_mode" -a passthrough -d 'To VFIO, for a virtual machine'
complete -c vfioptctl -n "$switch; and not __vfioptctl_has_mode" -a toggle -d 'To the mode that it is not in'
complete -c vfioptctl -n "$switch; and not __vfioptctl_has_mode" -a auto -d 'To where each belongs'
complete -c vfioptctl -n "$switch; and __vfioptctl_has_mode" -a '(__vfioptctl_gpus)'
complete -c vfioptctl -n '__fish_seen_subcommand_from status monitor diagnose forget' -a '(__vfioptctl_gpus)'

complete -c vfioptctl -n $switch -l allow-display -d 'Give up a display that is in use, too'
complete -c vfioptctl -n $switch -l direct -d 'Switch in this process: for a rescue shell'
complete -c vfioptctl -n '__fish_seen_subcommand_from rollback' -a "(vfioptctl rollback --list 2>/dev/null | string replace -r ' .*' '')"
complete -c vfioptctl -n '__fish_seen_subcommand_from rollback' -l list -d 'List backups'
complete -c vfioptctl -n '__fish_seen_subcommand_from setup' -l mode -x -a 'host passthrough' -d 'Where GPUs are to be at boot'
complete -c vfioptctl -n '__fish_seen_subcommand_from setup' -l yes -d 'Agree to all of the plan'
complete -c vfioptctl -n '__fish_seen_subcommand_from switch setup' -l dry-run -d 'Print what would be done, and do nothing'
complete -c vfioptctl -n $switch -l trigger -x -a 'command agent boot' -d 'For the units'
complete -c vfioptctl -n $switch -l verbose -d 'Print every step'
complete -c vfioptctl -n 'not __fish_seen_subcommand_from forget rollback' -l json -d 'Print JSON'
complete -c vfioptctl -n 'not __fish_seen_subcommand_from monitor forget' -l root -r -F -d 'Look at a copy of a machine'
complete -c vfioptctl -s h -l help -d 'Print a short help'
complete -c vfioptctl -l version -d 'Print the version'
