/** Which board this is and which of its boots: what Linux tells, and nothing where there is no such file. */
import { readFileSync } from 'node:fs'
import { uptime } from 'node:os'

export interface Boot {
  /** New at each boot; undefined: the system does not say. */
  readonly bootId: string | undefined
  /** Of the board, else of the installation; undefined: the system does not say. */
  readonly serial: string | undefined
  /** Milliseconds since this boot, time asleep included, in steps of ten; the same for every process. */
  sinceMs(): number
}

export function readBoot(): Boot {
  return {
    bootId: textOf('/proc/sys/kernel/random/boot_id'),
    serial: textOf('/proc/device-tree/serial-number') ?? textOf('/etc/machine-id'),
    sinceMs: () => Math.round(Number(textOf('/proc/uptime')?.split(' ')[0] ?? uptime()) * 1000),
  }
}

function textOf(path: string): string | undefined {
  try {
    // The device tree ends its strings with NUL.
    const text = readFileSync(path, 'utf8').replaceAll('\0', '').trim()
    return text === '' ? undefined : text.slice(0, 64)
  } catch {
    return undefined // another kind of board or system
  }
}
