/**
 * What the device says of itself on `status`: at connect, every few minutes, and when it is asked.
 * It gathers and sends; what is to be made of it is ingest's part.
 */
import { readFileSync } from 'node:fs'
import { statfs } from 'node:fs/promises'
import type { Static } from 'typebox'
import type { ClockState } from '../core/contract/reading.ts'
import type { ConfigReport, StatusMessage } from '../core/contract/status.ts'
import type { Log } from '../core/runtime/log.ts'
import type { AgentState } from './agent.ts'
import type { Boot } from './boot.ts'
import type { PartState } from './sensors/sensor.ts'

export interface StatusFacts {
  readonly version: string
  readonly uptimeSec: number
  readonly schedule: { readonly cron: string; readonly sinceMs: number }
  readonly state: AgentState
  readonly bytesMax: number
  readonly lossWindowMs: number
  readonly nowMs: number
  readonly clock: { readonly state: Static<typeof ClockState>; readonly offsetMs: number | undefined }
  readonly sensorType: string
  /** Where the device has several. */
  readonly parts: readonly PartState[] | undefined
  readonly host: HostFacts
  readonly credential: { readonly credentialId: string | undefined; readonly ageSec: number | undefined }
  readonly boot: Pick<Boot, 'bootId' | 'serial'>
  readonly config: ConfigReport | undefined
}

/** Of the machine, as far as it tells. */
export interface HostFacts {
  readonly cpuCelsius?: number
  readonly disk?: { readonly freeBytes: number; readonly totalBytes: number }
  readonly writtenBytesPerDay?: number
}

const daySec = 86_400
/** What was written in the first minute says nothing of a day. */
const writtenAfterSec = 60

export function statusOf(facts: StatusFacts): StatusMessage {
  const { state, clock, credential, boot, config } = facts
  const { oldestMs } = state
  return {
    v: 1,
    version: facts.version,
    uptimeSec: facts.uptimeSec,
    schedule: facts.schedule,
    epoch: state.epoch,
    nextSeq: state.nextSeq,
    queue: {
      readings: state.readings,
      bytes: state.bytes,
      bytesMax: facts.bytesMax,
      // A clock that was set back makes nothing younger than now.
      ...(oldestMs === undefined
        ? {}
        : { oldestAgeSec: Math.max(0, Math.floor((facts.nowMs - oldestMs) / 1000)) }),
      lossWindowMs: facts.lossWindowMs,
    },
    dropped: state.dropped,
    clock: { state: clock.state, ...(clock.offsetMs === undefined ? {} : { offsetMs: clock.offsetMs }) },
    sensors:
      facts.parts !== undefined
        ? [...facts.parts]
        : state.sensor === undefined
          ? []
          : [{ name: facts.sensorType, type: facts.sensorType, state: state.sensor }],
    ...facts.host,
    credential: {
      ...(credential.credentialId === undefined ? {} : { credentialId: credential.credentialId }),
      ...(credential.ageSec === undefined ? {} : { ageSec: credential.ageSec }),
    },
    ...(boot.bootId === undefined ? {} : { bootId: boot.bootId }),
    ...(boot.serial === undefined ? {} : { boardSerial: boot.serial }),
    ...(config === undefined ? {} : { config }),
  }
}

/**
 * Looks at the machine.
 * @param folder on the disk that is meant
 * @param uptimeSec of this process; undefined: what it writes is not this device's alone
 */
export async function readHost(folder: string, uptimeSec: number | undefined): Promise<HostFacts> {
  const milliCelsius = numberIn('/sys/class/thermal/thermal_zone0/temp', /^(-?\d+)$/m)
  const written = numberIn('/proc/self/io', /^write_bytes: (\d+)$/m)
  const disk = await statfs(folder).catch(() => undefined) // a folder that is not there yet
  return {
    ...(milliCelsius === undefined ? {} : { cpuCelsius: milliCelsius / 1000 }),
    ...(disk === undefined
      ? {}
      : { disk: { freeBytes: disk.bavail * disk.bsize, totalBytes: disk.blocks * disk.bsize } }),
    ...(written === undefined || uptimeSec === undefined || uptimeSec < writtenAfterSec
      ? {}
      : { writtenBytesPerDay: Math.round((written / uptimeSec) * daySec) }),
  }
}

function numberIn(path: string, pattern: RegExp): number | undefined {
  try {
    const text = pattern.exec(readFileSync(path, 'utf8'))?.[1]
    return text === undefined ? undefined : Number(text)
  } catch {
    return undefined // another kind of board or system
  }
}

export interface StatusReports {
  /** At once, and then the usual while later; resolves to whether it was acknowledged. */
  now(): Promise<boolean>
  stop(): void
}

export function createStatusReports(options: {
  everyMs: number
  /** Resolves to whether it was acknowledged. */
  send: () => Promise<boolean>
  log: Log
}): StatusReports {
  let timer: NodeJS.Timeout | undefined
  let isStopped = false

  async function now(): Promise<boolean> {
    clearTimeout(timer)
    if (isStopped) return false
    timer = setTimeout(() => void now(), options.everyMs)
    try {
      return await options.send()
    } catch (error) {
      options.log.warn('status.not_sent', { error })
      return false
    }
  }

  return {
    now,
    stop() {
      isStopped = true
      clearTimeout(timer)
    },
  }
}
