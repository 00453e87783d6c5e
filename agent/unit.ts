/**
 * The files by which systemd runs the agent on a board, as text: its user, its unit, and the unit that takes an
 * enrolment file from the boot partition. Pure; `verbs/service.ts` puts them in place.
 */
import { givenCredentialName } from './given-credential.ts'

export interface UnitOptions {
  /** Absolute paths: Node, and the program it runs. */
  readonly node: string
  readonly program: string
  /** Where `lotwatch-enrol.txt` is looked for. */
  readonly enrolFile: string
}

export interface UnitFile {
  readonly path: string
  readonly text: string
  /** What a person may have changed since is left alone. */
  readonly isSettings?: true
}

export const stateDir = '/var/lib/lot-agent'
export const configFile = '/etc/lot-agent/config.yaml'

/** What both units may not do. */
const confined = `NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
ProtectProc=invisible
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
RemoveIPC=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
UMask=0077`

/** Of glibc and Node, beyond what the agent's settings are; measured in docs/performance.md. */
export const serviceEnvironment = { MALLOC_ARENA_MAX: '1' } as const

export function unitFilesOf(options: UnitOptions): readonly UnitFile[] {
  return [
    { path: '/etc/sysusers.d/lot-agent.conf', text: users },
    { path: '/etc/systemd/system/lot-agent.service', text: serviceOf(options) },
    { path: '/etc/systemd/system/lot-agent-enrol.service', text: enrolServiceOf(options) },
    { path: configFile, text: settings, isSettings: true },
  ]
}

const users = `# Written by lot-agent service install.
u lot-agent - "Lotwatch agent" ${stateDir}
# Lines of a GPIO chip belong to this group on Raspberry Pi OS.
m lot-agent gpio
`

const settings = `# Settings of lot-agent. It is safe to hand on: there are no secrets in it.
agent:
  credentialFile: ${stateDir}/credentials.json
  outboxDir: ${stateDir}/outbox
  sensorType: simulated
  simulatedHistoryDays: 0
`

function serviceOf({ node, program }: UnitOptions): string {
  return `# Written by lot-agent service install; changes go into lot-agent.service.d/*.conf (systemctl edit lot-agent).
[Unit]
Description=Lotwatch agent: counts cars on a lot
# Neither the network nor the time is waited for: counting begins at once, and the agent waits for both by itself.
StartLimitIntervalSec=0

[Service]
Type=notify
# systemd-notify speaks for the agent.
NotifyAccess=all
ExecStart=${quote(node)} ${quote(program)} run
Environment=LOT_AGENT_CONFIG=${configFile}
# 3 MiB less: threads would each keep what they have allocated once.
Environment=MALLOC_ARENA_MAX=${serviceEnvironment.MALLOC_ARENA_MAX}
User=lot-agent
Group=lot-agent
StateDirectory=lot-agent
StateDirectoryMode=0700
WorkingDirectory=${stateDir}
# From /etc/credstore or systemd-creds, if there: taken over once, since a credential that is rotated has to be written.
LoadCredential=${givenCredentialName}
Restart=always
RestartSec=5
WatchdogSec=120
TimeoutStopSec=10
KillMode=mixed
CapabilityBoundingSet=
${confined}
# Beams and loops on GPIO; another sensor may need more devices.
DevicePolicy=closed
DeviceAllow=char-gpiochip rw

[Install]
WantedBy=multi-user.target
`
}

function enrolServiceOf({ node, program, enrolFile }: UnitOptions): string {
  return `# Written by lot-agent service install: makes a board with an enrolment file on its boot partition a device.
[Unit]
Description=Lotwatch agent: enrolment from the boot partition
ConditionPathExists=${enrolFile}
Wants=network-online.target lot-agent.service
After=network-online.target lot-agent.service
StartLimitIntervalSec=0

[Service]
Type=oneshot
ExecStart=${quote(node)} ${quote(program)} enrol --file ${quote(enrolFile)}
Environment=LOT_AGENT_CONFIG=${configFile}
Restart=on-failure
RestartSec=30
TimeoutStartSec=infinity
# As root it reads and removes the file; what it writes belongs to the agent.
ReadWritePaths=-${stateDir} -${folderOf(enrolFile)}
CapabilityBoundingSet=CAP_CHOWN CAP_DAC_OVERRIDE
${confined}
PrivateDevices=yes

[Install]
WantedBy=multi-user.target
`
}

function folderOf(path: string): string {
  return path.slice(0, Math.max(1, path.lastIndexOf('/')))
}

/** systemd splits at spaces and reads `%` and `$`. */
function quote(word: string): string {
  return `"${word.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('%', '%%').replaceAll('$', '$$$$')}"`
}
