#!/usr/bin/env bash
# Installs Debian packages without letting Debian start their services: install.sh PACKAGE...
# FAREBOX_POLICY_RC overrides the policy file's path, for tests.
set -uo pipefail
export DEBIAN_FRONTEND=noninteractive
policy=${FAREBOX_POLICY_RC:-/usr/sbin/policy-rc.d}
kept=$policy.farebox-kept

restore() {
  if [ -e "$kept" ] || [ -L "$kept" ]; then
    mv -f "$kept" "$policy"
  elif [ -n "${ours:-}" ]; then
    rm -f "$policy"
  fi
}
ours=
trap restore EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# One kept by a set-up that was killed is the true one.
if [ ! -e "$kept" ] && [ ! -L "$kept" ] && { [ -e "$policy" ] || [ -L "$policy" ]; }; then
  mv "$policy" "$kept" || exit 1
fi
ours=yes
printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy" || exit 1

# Lists may be there already; they are fetched only when installing without them fails.
apt-get install -y --no-install-recommends "$@" || {
  apt-get update && apt-get install -y --no-install-recommends "$@"
}
