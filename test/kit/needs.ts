/** Tests that need more than Node: skipped with one line that says what to install, a failure where CI=true. */
import { accessSync, constants, existsSync, mkdtempSync, readdirSync, rmdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { describe } from 'vitest'
import { canMount } from './small-disk.ts'

/** Debian packages by the command they bring. */
const packages = {
  haproxy: 'haproxy',
  mosquitto: 'mosquitto',
  mosquitto_pub: 'mosquitto-clients',
  influxd: 'influxdb',
  'victoria-metrics': 'victoria-metrics',
  chromium: 'chromium',
  initdb: 'postgresql',
  'systemd-analyze': 'systemd',
  'qemu-aarch64-static': 'qemu-user-static libc6-arm64-cross libstdc++6-arm64-cross',
} as const

/** The full path of a command, looked for on PATH, in /usr/sbin, and where Debian keeps PostgreSQL. */
export function findCommand(name: string): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', ...postgresFolders()]
  return folders
    .map((folder) => join(folder, name))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK)
        return true
      } catch {
        return false
      }
    })
}

/** Where Debian keeps the programs of the newest version. */
function postgresFolders(root = '/usr/lib/postgresql'): string[] {
  try {
    return readdirSync(root)
      .toSorted((a, b) => Number(b) - Number(a))
      .map((version) => join(root, version, 'bin'))
  } catch {
    return [] // not installed
  }
}

/** `describe` for tests that need a command of a Debian package. */
export function describeWithCommand(name: keyof typeof packages): typeof describe | typeof describe.skip {
  return describeIf(findCommand(name) !== undefined, `needs ${name}: apt-get install ${packages[name]}`)
}

/** `describe` for tests that need a file, such as a recorded data set. */
export function describeWithFile(path: string): typeof describe | typeof describe.skip {
  return describeIf(existsSync(path), `needs the file ${path}`)
}

/** `describe` for tests that need a disk of their own. */
export function describeWithMount(): typeof describe | typeof describe.skip {
  const folder = mkdtempSync(join(tmpdir(), 'lotwatch-mount-'))
  try {
    return describeIf(canMount(folder), 'needs to mount: run as root')
  } finally {
    rmdirSync(folder)
  }
}

function describeIf(isThere: boolean, need: string): typeof describe | typeof describe.skip {
  if (isThere) return describe
  if (process.env.CI === 'true') throw new Error(need)
  process.stdout.write(`skipped: ${need}\n`)
  return describe.skip
}
