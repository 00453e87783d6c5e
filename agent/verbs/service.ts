/** `lot-agent service install|uninstall`: puts systemd's files in place, or says what it would do. */
import { execFileSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { FleetError } from '../../core/contract/errors.ts'
import { type UnitOptions, unitFilesOf } from '../unit.ts'

export interface ServiceParts extends UnitOptions {
  /** Below which the files are put, such as a mounted image; then nothing is run. */
  readonly root: string | undefined
  /** Nothing is written or run. */
  readonly isDry: boolean
  readonly isRoot: boolean
  readonly say: (line: string) => void
}

/** Raspberry Pi OS since bookworm. */
export const enrolFileDefault = '/boot/firmware/lotwatch-enrol.txt'

export interface ServiceFlags {
  readonly dryRun?: true
  readonly root?: string
  readonly enrolFile: string
}

const units = ['lot-agent.service', 'lot-agent-enrol.service'] as const

/** @throws FleetError `request.invalid` when this is not root's doing */
export function installService(parts: ServiceParts): void {
  const { say } = parts
  refuseOthers(parts)
  for (const path of [parts.node, parts.program])
    if (/^\/(home|root)\//.test(path))
      say(
        `careful: the unit does not see ${path}; install Node and the agent for the whole system (/usr, /opt)`,
      )
  for (const { path, text, isSettings } of unitFilesOf(parts)) {
    const place = join(parts.root ?? '/', path)
    if (isSettings === true && existsSync(place)) say(`keep ${place}`)
    else if (parts.isDry) say(`write ${place}\n${text.replace(/^/gm, '  ').trimEnd()}`)
    else {
      mkdirSync(dirname(place), { recursive: true })
      writeFileSync(place, text)
      // Whatever the umask: no secret is in them, and others read them.
      chmodSync(place, 0o644)
      say(`wrote ${place}`)
    }
  }
  run(parts, [
    ['systemd-sysusers', 'lot-agent.conf'],
    ['systemctl', 'daemon-reload'],
    ['systemctl', 'enable', ...units],
    ['systemctl', 'restart', 'lot-agent.service'],
    ['systemctl', 'start', '--no-block', 'lot-agent-enrol.service'],
  ])
}

/** The device stays what it is: its credential, its outbox and its settings are left. */
export function uninstallService(parts: ServiceParts): void {
  refuseOthers(parts)
  run(parts, [['systemctl', 'disable', '--now', ...units]])
  for (const { path, isSettings } of unitFilesOf(parts)) {
    const place = join(parts.root ?? '/', path)
    if (isSettings === true) parts.say(`keep ${place}`)
    else if (parts.isDry) parts.say(`remove ${place}`)
    else {
      rmSync(place, { force: true })
      parts.say(`removed ${place}`)
    }
  }
  run(parts, [['systemctl', 'daemon-reload']])
}

function refuseOthers({ root, isDry, isRoot }: ServiceParts): void {
  if (root === undefined && !isDry && !isRoot)
    throw new FleetError(
      'request.invalid',
      'only root may do this: sudo, or --dry-run to see what it would do',
    )
}

function run({ root, isDry, say }: ServiceParts, commands: readonly (readonly string[])[]): void {
  if (root !== undefined) return
  for (const [program = '', ...args] of commands) {
    say(`${isDry ? 'run' : 'ran'} ${program} ${args.join(' ')}`)
    if (!isDry) execFileSync(program, args, { stdio: ['ignore', 'inherit', 'inherit'] })
  }
}
