#!/bin/sh
# Makes a SoftHSM development token by hand.
#
#   ./init-token.sh DIR LABEL
#
# writes DIR/softhsm2.conf and DIR/tokens (mode 0700), and makes a token labelled LABEL (1 to 32
# characters) with an SO PIN and a user PIN of 4 characters or more. Each PIN comes from the file
# named in MOHOR_SO_PIN_FILE and MOHOR_TOKEN_PIN_FILE (its first line), or else from MOHOR_SO_PIN
# and MOHOR_TOKEN_PIN, or else from the terminal. No PIN appears among the arguments of a program,
# where every user of the machine can read it.
#
# A token of that label is left alone. Keys are not made here: that is "mohor init". The token is
# for development; SoftHSM keeps keys in files.
#
# Needs softhsm2 (apt install softhsm2), and opensc when not run on a terminal: softhsm2-util
# takes a PIN from a terminal or an argument only, pkcs11-tool also from the environment.
set -eu
umask 077

say() { printf 'mohor: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

[ $# -eq 2 ] || die "usage: $0 DIR LABEL"
label=$2
case $label in
'' | *[!\ -~]* | ' '* | *' ') die "label must be printable ASCII without spaces around it" ;;
esac
[ ${#label} -le 32 ] || die "label is longer than 32 characters"

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
mkdir -p -- "$1"
dir=$(CDPATH='' cd -- "$1" && pwd)
case $dir in
*[!a-zA-Z0-9/._+-]*) die "directory name has characters that softhsm2.conf cannot hold: $dir" ;;
esac
mkdir -p -- "$dir/tokens"
chmod 700 -- "$dir/tokens"
sed "s#@TOKENDIR@#$dir/tokens#" "$here/softhsm2.conf" >"$dir/softhsm2.conf.new"
mv -- "$dir/softhsm2.conf.new" "$dir/softhsm2.conf"
SOFTHSM2_CONF=$dir/softhsm2.conf
export SOFTHSM2_CONF

command -v softhsm2-util >/dev/null || die "softhsm2-util is not installed (apt install softhsm2)"

# Labels stand in a column of their own, padded with spaces.
if softhsm2-util --show-slots | sed -n 's/^ *Label: *//p' | sed 's/ *$//' | grep -Fqx -- "$label"; then
	say "token \"$label\" is there already"
	printf 'SOFTHSM2_CONF=%s\n' "$SOFTHSM2_CONF"
	exit 0
fi

# pin FILE VALUE gives the PIN from either; nothing when there is none.
pin() {
	if [ -n "$1" ]; then
		head -n 1 -- "$1"
	else
		printf '%s' "$2"
	fi
}
MOHOR_SO_PIN=$(pin "${MOHOR_SO_PIN_FILE-}" "${MOHOR_SO_PIN-}")
MOHOR_TOKEN_PIN=$(pin "${MOHOR_TOKEN_PIN_FILE-}" "${MOHOR_TOKEN_PIN-}")

if [ -z "$MOHOR_SO_PIN" ] && [ -z "$MOHOR_TOKEN_PIN" ] && [ -t 0 ]; then
	softhsm2-util --init-token --free --label "$label" >&2
	printf 'SOFTHSM2_CONF=%s\n' "$SOFTHSM2_CONF"
	exit 0
fi

[ ${#MOHOR_SO_PIN} -ge 4 ] || die "no SO PIN of 4 characters or more: set MOHOR_SO_PIN_FILE"
[ ${#MOHOR_TOKEN_PIN} -ge 4 ] || die "no token PIN of 4 characters or more: set MOHOR_TOKEN_PIN_FILE"
command -v pkcs11-tool >/dev/null || die "pkcs11-tool is not installed (apt install opensc)"
module=
for m in /usr/lib/softhsm/libsofthsm2.so /usr/lib/*/softhsm/libsofthsm2.so /usr/lib64/softhsm/libsofthsm2.so \
	/usr/lib64/pkcs11/libsofthsm2.so /usr/local/lib/softhsm/libsofthsm2.so /opt/homebrew/lib/softhsm/libsofthsm2.so; do
	[ -e "$m" ] && module=$m && break
done
[ -n "$module" ] || die "libsofthsm2.so not found"

free=$(softhsm2-util --show-slots | awk '/^Slot /{slot=$2} /^ *Initialized: *no/{print slot; exit}')
[ -n "$free" ] || die "no free slot"
export MOHOR_SO_PIN MOHOR_TOKEN_PIN
pkcs11-tool --module "$module" --slot "$free" --init-token --label "$label" --so-pin env:MOHOR_SO_PIN >&2
pkcs11-tool --module "$module" --token-label "$label" --login --login-type so --so-pin env:MOHOR_SO_PIN \
	--init-pin --new-pin env:MOHOR_TOKEN_PIN >&2
printf 'SOFTHSM2_CONF=%s\n' "$SOFTHSM2_CONF"
