# shellcheck shell=sh disable=SC2034
# SPDX-License-Identifier: LGPL-2.1-or-later
# Sources of Debian packages, without touching the configuration of this machine's apt.

# Kept here for the next time.
SOURCES=${SOURCES:-${XDG_CACHE_HOME:-$HOME/.cache}/ip2vsock-suites}

# The lists of source packages come from where those of the binary packages come from.
source_apt() {
	apt-get -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$SOURCES/apt/parts" \
		-o Dir::State::Lists="$SOURCES/apt/lists" -o APT::Sandbox::User=root -o Acquire::Languages=none "$@"
}

source_lists() {
	[ ! -e "$SOURCES/apt/ready" ] || return 0
	mkdir -p "$SOURCES/apt/parts" "$SOURCES/apt/lists/partial" || return
	# shellcheck disable=SC2016 # they are apt's
	apt-get indextargets --format 'deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $(REPO_URI) $(CODENAME) $(COMPONENT)' \
		'Created-By: Packages' | grep -F debian | sort -u >"$SOURCES/apt/parts/sources.list"
	source_apt -o APT::Update::Error-Mode=any update -q && touch "$SOURCES/apt/ready"
}

# PACKAGE: sets $source, where its source is, or $source_problem.
source_of() {
	source=$SOURCES/$1
	[ ! -e "$source/.complete" ] || return 0
	source_problem="the source of Debian's $1 cannot be had here"
	command -v apt-get >/dev/null && command -v dpkg-source >/dev/null || return
	rm -rf "$source" "$SOURCES/get"
	mkdir -p "$SOURCES/get" || return
	(
		source_lists && cd "$SOURCES/get" && source_apt source -q "$1" && mv "$(find . -mindepth 1 -maxdepth 1 -type d)" "$source" &&
			touch "$source/.complete"
	) >"$LOGS/source-of-$1.log" 2>&1
}
