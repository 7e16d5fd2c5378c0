import { shellQuote } from "./shell-quote.ts";

/** The second line and the last: by them a download is known to be this script, and whole. */
export const FIRST_MARK = "# backupx-agent installer";
export const LAST_MARK = "# backupx-agent installer: end";

/** Where things go on a machine. */
export type Places = { program: string; config: string; state: string; unit: string; systemdRuns: string };

const usualPlaces: Places = {
  program: "/opt/backupx-agent",
  config: "/etc/backupx-agent",
  state: "/var/lib/backupx-agent",
  unit: "/etc/systemd/system/backupx-agent.service",
  systemdRuns: "/run/systemd/system",
};

/**
 * The installer as POSIX shell, for the agents of the master at `origin`. It only defines functions and calls them
 * from one group at its end, which a shell reads whole before it runs any of it: a download that was cut off does
 * nothing. The enrolment code comes by environment, so it is in no process list.
 */
export function installScript(origin: string, places: Places = usualPlaces): string {
  return `#!/bin/sh
${FIRST_MARK}
# Makes this machine a node of the BackupX master named below. --help says more.

MASTER=${shellQuote(origin)}
PROGRAM=${shellQuote(places.program)}
CONFIG=${shellQuote(places.config)}
STATE=${shellQuote(places.state)}
UNIT=${shellQuote(places.unit)}
SYSTEMD_RUNS=${shellQuote(places.systemdRuns)}
${BODY}
{ main "$@"; exit "$?"; }
${LAST_MARK}
`;
}

const BODY = String.raw`
main() {
  set -u
  mode=service
  for argument in "$@"; do
    case $argument in
      --foreground) mode=foreground ;;
      --uninstall) mode=uninstall ;;
      -h | --help) usage; return 0 ;;
      *) fail "unknown option $argument; --help shows all" ;;
    esac
  done
  case $mode in
    service) need_root "$@"; need_systemd; install_agent; enroll; start_service ;;
    foreground) use_own_places; install_agent; enroll; run_here ;;
    uninstall) need_root "$@"; uninstall ;;
  esac
}

usage() {
  cat <<END
usage: sh install.sh [--foreground | --uninstall]

Installs backupx-agent from $MASTER, makes this machine one of its nodes and
starts the agent as a systemd service.

  --foreground  run the agent in this terminal instead; needs neither root nor systemd
  --uninstall   stop the agent and remove it, its configuration and its state

Environment:
  BACKUPX_AGENT_CODE      the enrolment code; without it an agent that is enrolled is updated
  BACKUPX_AGENT_PACKAGE   install this package instead of $MASTER/backupx-agent.tgz
  BACKUPX_AGENT_WRITABLE  the only paths that the service may write to, separated by spaces: destinations of
                          restores and directories of local targets. Not set: it may restore anywhere.
END
}

say() { printf '%s\n' "$*"; }

fail() {
  printf 'backupx-agent installer: %s\n' "$*" >&2
  exit 1
}

need_root() {
  [ "$(id -u)" -ne 0 ] || return 0
  if [ -f "$0" ] && command -v sudo >/dev/null 2>&1; then
    # Names only: a value would stand in the process list.
    exec sudo --preserve-env=BACKUPX_AGENT_CODE,BACKUPX_AGENT_PACKAGE,BACKUPX_AGENT_WRITABLE,BACKUPX_AGENT_PROXY_URL,BACKUPX_AGENT_CA_CERT sh "$0" "$@"
  fi
  fail "run this as root, or with --foreground"
}

need_systemd() {
  command -v systemctl >/dev/null 2>&1 && [ -d "$SYSTEMD_RUNS" ] ||
    fail "this machine does not run systemd; use --foreground, under the supervisor that it has"
}

use_own_places() {
  [ "$(id -u)" -ne 0 ] || return 0
  PROGRAM=$HOME/.local/share/backupx-agent
  CONFIG=$HOME/.config/backupx-agent
}

need_node() {
  node=$(command -v node) || node=
  npm=$(command -v npm) || npm=
  [ -n "$node" ] || explain_node "no node was found"
  version=$("$node" -p process.versions.node 2>/dev/null) || version=
  major=$(printf '%s' "$version" | cut -d. -f1)
  minor=$(printf '%s' "$version" | cut -d. -f2)
  case $major:$minor in
    *[!0-9:]* | :* | *:) explain_node "$node does not say its version" ;;
  esac
  [ "$major" -gt 22 ] || { [ "$major" -eq 22 ] && [ "$minor" -ge 19 ]; } || explain_node "$node is $version"
  [ -n "$npm" ] || explain_node "no npm was found"
}

explain_node() {
  cat >&2 <<END
backupx-agent installer: Node 22.19 or newer and npm are needed, and $1.
Install them for all users (https://nodejs.org/en/download) and start again. Or let npx bring a Node of its own,
which leaves the installed one alone, and run the agent in a terminal:

  export BACKUPX_AGENT_CODE=...
  npx -y -p node@24 -p '$MASTER/backupx-agent.tgz' backupx-agent enroll --master '$MASTER'
  npx -y -p node@24 -p '$MASTER/backupx-agent.tgz' backupx-agent run
END
  exit 1
}

install_agent() {
  need_node
  package=$MASTER/backupx-agent.tgz
  [ -z "${"$"}{BACKUPX_AGENT_PACKAGE:-}" ] || package=$BACKUPX_AGENT_PACKAGE
  say "Installing the agent into $PROGRAM"
  (umask 022 && mkdir -p "$PROGRAM") || fail "cannot make $PROGRAM"
  (umask 022 && "$npm" install --global --prefix "$PROGRAM" --no-audit --no-fund --no-update-notifier --loglevel=error "$package") ||
    fail "npm could not install $package"
  agent=$PROGRAM/lib/node_modules/backupx-agent/bin/backupx-agent.mjs
  [ -f "$agent" ] || fail "$package holds no backupx-agent"
}

enroll() {
  umask 077
  if [ -z "${"$"}{BACKUPX_AGENT_CODE:-}" ]; then
    [ -s "$CONFIG/token" ] || fail "no enrolment code: make one on the master and set BACKUPX_AGENT_CODE"
    say "This machine is enrolled already; its token stays"
    return 0
  fi
  mkdir -p "$CONFIG" && chmod 700 "$CONFIG" || fail "cannot make $CONFIG"
  [ ! -s "$CONFIG/agent.yaml" ] || cp "$CONFIG/agent.yaml" "$CONFIG/agent.yaml.before"
  "$node" "$agent" enroll --master "$MASTER" --config "$CONFIG/agent.yaml" --force </dev/null || fail "enrolment failed"
  unset BACKUPX_AGENT_CODE
  chmod 600 "$CONFIG/token" "$CONFIG/agent.yaml"
}

run_here() {
  say "The agent runs until you press Ctrl-C"
  exec "$node" "$agent" run --config "$CONFIG/agent.yaml"
}

start_service() {
  (umask 022 && unit >"$UNIT.new" && mv "$UNIT.new" "$UNIT") || fail "cannot write $UNIT"
  systemctl daemon-reload &&
    systemctl enable backupx-agent.service &&
    systemctl restart backupx-agent.service || fail "systemd did not start it: systemctl status backupx-agent"
  sleep 2
  systemctl is-active --quiet backupx-agent.service || fail "the agent has stopped: journalctl -u backupx-agent"
  say "The agent runs: systemctl status backupx-agent"
}

unit() {
  cat <<END
[Unit]
Description=BackupX agent
Documentation=$MASTER
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart="$(in_unit "$node")" "$(in_unit "$agent")" run --config "$(in_unit "$CONFIG/agent.yaml")"$(credential_flag)
Restart=always
RestartSec=5
KillMode=mixed
TimeoutStopSec=90
Nice=10
IOSchedulingClass=idle
StateDirectory=backupx-agent
StateDirectoryMode=0700
UMask=0077
$(credential)

# It runs as root without root's powers, save those over files: it must read every file and give each restored one
# its owner and mode again, so setuid files (RestrictSUIDSGID), the real /tmp and all homes stay within its reach.
CapabilityBoundingSet=CAP_DAC_READ_SEARCH CAP_DAC_OVERRIDE CAP_FOWNER CAP_CHOWN CAP_FSETID
NoNewPrivileges=yes
PrivateDevices=yes
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
LockPersonality=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
SystemCallArchitectures=native
$(writable)

[Install]
WantedBy=multi-user.target
END
}

# In a unit a percent sign begins a specifier, a dollar sign a variable.
in_unit() { printf '%s' "$1" | sed -e 's/%/%%/g' -e 's/\$/$$/g' -e 's/["\\]/\\&/g'; }

has_credentials() {
  version=$(systemctl --version 2>/dev/null | sed -n '1s/^systemd \([0-9][0-9]*\).*/\1/p')
  [ "${"$"}{version:-0}" -ge 247 ]
}

# systemd hands the token over by a file that only this service sees; older ones cannot, so the agent reads its own.
credential() { if has_credentials; then say "LoadCredential=token:$CONFIG/token"; fi; }
credential_flag() { if has_credentials; then printf ' --token-file "$%s/token"' '{CREDENTIALS_DIRECTORY}'; fi; }

writable() {
  if [ -n "${"$"}{BACKUPX_AGENT_WRITABLE:-}" ]; then
    say "ProtectSystem=strict"
    say "ReadWritePaths=$BACKUPX_AGENT_WRITABLE"
  else
    say "# A restore may go anywhere, /etc and /usr included. Where that is not wanted, install with"
    say "# BACKUPX_AGENT_WRITABLE set: then this is ProtectSystem=strict with those ReadWritePaths."
  fi
}

uninstall() {
  if command -v systemctl >/dev/null 2>&1; then
    systemctl disable --now backupx-agent.service 2>/dev/null
  fi
  rm -f "$UNIT"
  if command -v systemctl >/dev/null 2>&1; then systemctl daemon-reload; fi
  rm -rf "$PROGRAM" "$CONFIG" "$STATE"
  say "The agent is gone from this machine. Its node, and every backup, stay until you delete them on the master."
}
`;
