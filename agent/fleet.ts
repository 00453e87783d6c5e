/**
 * Many agents in one process, each with its own credential, outbox and connection: demonstration, replay, load.
 * What happens to one never stops the others. Reads the fleet file; who registers its devices is another program.
 */
import { readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { Value } from 'typebox/value'
import { FleetError } from '../core/contract/errors.ts'
import { type FleetDevice, FleetFile, type FleetProgress } from '../core/contract/fleet.ts'
import type { Log } from '../core/runtime/log.ts'
import type { Host } from './host.ts'

export interface FleetOptions {
  readonly devices: readonly FleetDevice[]
  readonly openDevice: (device: FleetDevice) => Promise<Pick<Host, 'progress' | 'done' | 'stop'>>
  /** Lines of recordings that could not be played, so far. */
  readonly brokenLines: () => number
  /** Called every other second, and at once when all is finished. */
  readonly report: (progress: FleetProgress) => void
  readonly log: Log
}

export interface Fleet {
  progress(): FleetProgress
  stop(): Promise<void>
}

const reportEveryMs = 2000
const lookEveryMs = 200
const openParallel = 8
const connectParallel = 16
const connectJitterMs = 50

/**
 * Reads a fleet file; its paths are made absolute, from the folder it lies in.
 * @throws FleetError `config.invalid` with every fault
 */
export function readFleetFile(path: string): FleetFile {
  let value: unknown
  try {
    value = JSON.parse(readFileSync(path, 'utf8'))
  } catch (cause) {
    throw new FleetError('config.invalid', `${path} cannot be read: ${(cause as Error).message}`, { cause })
  }
  if (!Value.Check(FleetFile, value)) {
    const faults = Value.Errors(FleetFile, value).map(
      (error) => `${path}${error.instancePath}: ${error.message}`,
    )
    throw new FleetError('config.invalid', `${path} is not a fleet file`, { faults })
  }
  const absolute = (name: string) => resolve(dirname(path), name)
  const devices = value.devices.map((device) => ({
    ...device,
    credentialFile: absolute(device.credentialFile),
    outboxDir: absolute(device.outboxDir),
    sensor:
      device.sensor.type === 'replay'
        ? { ...device.sensor, file: absolute(device.sensor.file) }
        : device.sensor,
  }))
  const twice = devices.filter(
    (device, i) => devices.findIndex(({ deviceId }) => deviceId === device.deviceId) < i,
  )
  if (twice.length > 0) {
    throw new FleetError('config.invalid', `${path} names a device twice`, {
      faults: twice.map(({ deviceId }) => `${path}: ${deviceId} is there twice`),
    })
  }
  return { ...value, devices }
}

/** Resolves when every device has been opened or has failed to; connections come later. */
export async function startFleet(options: FleetOptions): Promise<Fleet> {
  const { devices, log } = options
  const opened: Pick<Host, 'progress' | 'done' | 'stop'>[] = []
  let failed = 0

  const fail = (device: FleetDevice, error: unknown) => {
    failed++
    log.error('device.failed', { deviceId: device.deviceId, error })
  }
  async function open(device: FleetDevice): Promise<void> {
    try {
      const running = await options.openDevice(device)
      opened.push(running)
      running.done.catch((error: unknown) => fail(device, error))
    } catch (error) {
      fail(device, error)
    }
  }

  const inTurn = createTurns(openParallel)
  await Promise.all(devices.map((device) => inTurn(() => open(device))))

  function progress(): FleetProgress {
    const each = opened.map((one) => one.progress())
    const sum = (count: (of: (typeof each)[number]) => number) => each.reduce((n, of) => n + count(of), 0)
    return {
      devices: devices.length,
      connected: sum(({ connected }) => Number(connected)),
      failed,
      kept: sum(({ kept }) => kept),
      settled: sum(({ settled }) => settled),
      queued: sum(({ queued }) => queued),
      brokenLines: options.brokenLines(),
      finished: sum(({ finished }) => Number(finished)) + failed === devices.length,
    }
  }

  let reportedMs = 0
  let finished = false
  const timer = setInterval(() => {
    const now = progress()
    if (performance.now() - reportedMs < reportEveryMs && now.finished === finished) return
    reportedMs = performance.now()
    finished = now.finished
    options.report(now)
  }, lookEveryMs)
  return {
    progress,
    async stop() {
      clearInterval(timer)
      await Promise.allSettled(opened.map((one) => one.stop()))
      options.report(progress())
    },
  }
}

/** Lets only so many work at a time; the rest wait in line. */
function createTurns(parallel: number): <T>(work: () => Promise<T>) => Promise<T> {
  const waiting: (() => void)[] = []
  let free = parallel
  return async (work) => {
    if (free > 0) free--
    else await new Promise<void>((go) => waiting.push(go))
    try {
      return await work()
    } finally {
      const next = waiting.shift()
      if (next === undefined) free++
      else next()
    }
  }
}

/** For connecting: a few at a time, and not in step. */
export function createConnectTurns(random: () => number): <T>(attempt: () => Promise<T>) => Promise<T> {
  const inTurn = createTurns(connectParallel)
  return (attempt) =>
    inTurn(async () => {
      await delay(random() * connectJitterMs)
      return attempt()
    })
}
