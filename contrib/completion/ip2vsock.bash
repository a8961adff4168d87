# SPDX-License-Identifier: LGPL-2.1-or-later
# bash completion for ip2vsock. Source it, or install it as
# /usr/share/bash-completion/completions/ip2vsock.

_ip2vsock() {
	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} i

	# After the options come the program and its own completion.
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		-c | --connect | -r | --rule | -f | --file | -u | --realm | --log | --explain) ((i++)) ;;
		-l | --listen) [[ ${COMP_WORDS[i + 1]} == [*] || ${COMP_WORDS[i + 1]} == *[0-9*]=* ]] && ((i++)) ;;
		-*) ;;
		*)
			if declare -F _command_offset >/dev/null; then
				_command_offset "$i"
			else
				compopt -o default
			fi
			return
			;;
		esac
	done

	case $before in
	-c | --connect) mapfile -t COMPREPLY < <(compgen -W 'host local' -- "$word") ;;
	-f | --file) compopt -o filenames && mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
	--log) mapfile -t COMPREPLY < <(compgen -W 'off error info debug' -- "$word") ;;
	-r | --rule) mapfile -t COMPREPLY < <(compgen -W 'connect listen host default include' -- "$word") ;;
	--explain) mapfile -t COMPREPLY < <(compgen -W 'connect listen' -- "$word") ;;
	--stats) mapfile -t COMPREPLY < <(compgen -W "$(cd /proc && echo [1-9]*)" -- "$word") ;;
	-u | --realm) ;;
	*)
		if [[ $word == -* ]]; then
			mapfile -t COMPREPLY < <(compgen -W '-c --connect -l --listen -r --rule -f --file
				-u --realm -v -q --log --strict --check --explain --doctor --stats -h --help --version' -- "$word")
		else
			mapfile -t COMPREPLY < <(compgen -c -- "$word")
		fi
		;;
	esac
}

complete -F _ip2vsock ip2vsock
