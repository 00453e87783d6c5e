/**
 * One device's flow: sample → keep → publish → PUBACK → settle.
 * A reading is durable before it is sent, with the sensor's position in the same step, and is forgotten only when
 * PUBACK says that the store has it. Readings are made durable in groups: what an SD card bears is writes, so a
 * group may wait a little; what is in it when power fails was never promised.
 * Counting waits for nothing. Connecting waits until the time is known, since certificates and tokens are judged by it;
 * readings from before are then dated.
 */
import type { Static } from 'typebox'
import type { Epoch } from '../core/contract/device.ts'
import type { Reading, SensorState } from '../core/contract/reading.ts'
import { createBackoff } from '../core/runtime/backoff.ts'
import type { Log } from '../core/runtime/log.ts'
import type { Boot } from './boot.ts'
import type { Clock } from './clock.ts'
import { dateUndated } from './dating.ts'
import { type Append, Outbox, type OutboxLimits } from './outbox.ts'
import type { OutboxStore } from './outbox-store.ts'
import type { Observation, Sensor } from './sensors/sensor.ts'
import type { TimeSync } from './time-sync.ts'
import { createTimekeeper, type Sighted } from './timekeeper.ts'
import type { Uplink } from './uplink.ts'

export interface AgentParts {
  readonly store: OutboxStore
  readonly uplink: Uplink
  readonly sensor: Sensor
  readonly ticks: (signal: AbortSignal) => AsyncIterable<number>
  readonly clock: Clock
  readonly boot: Pick<Boot, 'bootId' | 'sinceMs'>
  readonly sync: TimeSync
  readonly random: () => number
  readonly log: Log
  readonly limits: OutboxLimits
  /** A group becomes durable at this many readings, */
  readonly flushReadings: number
  /** or this long after its first; 0: at once. */
  readonly flushEveryMs: number
}

/** Since the agent started. */
export interface AgentProgress {
  readonly connected: boolean
  readonly kept: number
  readonly settled: number
  readonly queued: number
  /** The sensor has ended and everything it said is settled. */
  readonly finished: boolean
}

/** How the flow stands, for whoever asks. */
export interface AgentState {
  readonly epoch: Epoch
  readonly nextSeq: number
  readonly readings: number
  readonly bytes: number
  /** Of the oldest reading in the queue; undefined when there is none. */
  readonly oldestMs: number | undefined
  readonly dropped: number
  /** Of the newest observation; undefined before the first. */
  readonly sensor: Static<typeof SensorState> | undefined
}

export interface Agent {
  progress(): AgentProgress
  state(): Promise<AgentState>
  /** Of the newest observation; undefined before the first. */
  sensorState(): AgentState['sensor']
  /** Rejects when the device cannot go on; otherwise resolves when the agent has stopped. */
  readonly done: Promise<void>
  /** Stops sampling, makes durable what was sampled, waits briefly for PUBACKs, disconnects, closes. */
  stop(): Promise<void>
}

const settleOnStopMs = 1500
const settleCheckMs = 20
/** A disk that cannot be written is tried again, waiting up to this long. */
const writeRetryMaxMs = 30_000

export function startAgent(parts: AgentParts): Agent {
  const { clock, log, sensor, store, uplink } = parts
  const outbox = new Outbox(store.contents, parts.limits)
  const stopping = new AbortController()
  const timekeeper = createTimekeeper({
    ...parts,
    bootName: parts.random().toString(36).slice(2),
    stamps: store.contents.place.stamps,
    isRecorded: sensor.canWait,
  })
  let group: Sighted[] = []
  let { position } = store.contents.place
  let keptPosition = position
  let flushTimer: NodeJS.Timeout | undefined
  let flushing: Promise<void> = Promise.resolve()
  let loading = false
  let sensorEnded = false
  let kept = 0
  let settled = 0
  let newest: Observation | undefined
  let fail: (error: unknown) => void = () => undefined
  const failed = new Promise<never>((_, reject) => {
    fail = reject
  })
  let room: (() => void) | undefined

  async function sample(): Promise<void> {
    const { signal } = stopping
    // What was recorded loses nothing by waiting, and may be about now.
    if (sensor.canWait) await parts.sync.whenSynced(signal)
    const ticks = timekeeper.watch(parts.ticks(signal))
    for await (const chunk of sensor.observe({ position, ticks, clock, signal })) {
      group.push(...chunk.observations.map(timekeeper.sighted))
      newest = chunk.observations.at(-1) ?? newest
      position = chunk.position
      // A chunk of several is a group already.
      const isGroup = chunk.observations.length > 1 || group.length >= parts.flushReadings
      if (isGroup || parts.flushEveryMs === 0) await flush()
      else flushTimer ??= setTimeout(() => flush().catch(fail), parts.flushEveryMs)
      if (sensor.canWait) await roomForMore()
    }
    await flush()
    sensorEnded = !signal.aborted
  }

  /** Makes the group durable; one at a time. */
  function flush(): Promise<void> {
    clearTimeout(flushTimer)
    flushTimer = undefined
    flushing = flushing.then(async () => {
      if (group.length === 0) return
      const { taken, stamps } = timekeeper.stamp(group)
      group = []
      await append(outbox.keep(taken, { position, stamps }))
    })
    return flushing
  }

  /** Certificates and tokens are judged by the time, so nobody is called before it is known. */
  async function connect(): Promise<void> {
    await parts.sync.whenSynced(stopping.signal)
    if (!parts.sync.isSynced) return
    uplink.start({ onConnected: pump, onSettled, onDisconnected: () => outbox.fail() })
    await date()
    pump()
  }

  /** In the turn of a flush. */
  function date(): Promise<void> {
    flushing = flushing.then(async () => {
      const dated = await dateUndated({
        outbox,
        store,
        timekeeper,
        position: keptPosition,
        write: (run) => write(run),
      })
      if (dated.readings > 0) log.info('readings.dated', { epoch: outbox.epoch, ...dated })
    })
    return flushing
  }

  async function append(next: Append): Promise<void> {
    const dropped = next.overflowBytes > 0 ? await makeRoom(next.overflowBytes) : []
    await write(next, dropped)
    keptPosition = next.place.position
    outbox.committed(next)
    kept += next.records.length
    log.debug('readings.kept', { epoch: outbox.epoch, readings: next.records.length, nextSeq: next.nextSeq })
    pump()
  }

  /** Resolves when it is durable, however long the disk cannot be written. */
  async function write(next: Append, dropped: readonly number[] = []): Promise<void> {
    const backoff = createBackoff({ minMs: 1000, maxMs: writeRetryMaxMs, random: parts.random })
    for (let written = false; !written; ) {
      try {
        await store.append(next, dropped, outbox.notes())
        written = true
      } catch (error) {
        if (stopping.signal.aborted) throw error
        log.error('outbox.unavailable', { error })
        await clock.until(clock.nowMs() + backoff.next(), stopping.signal)
      }
    }
  }

  async function makeRoom(bytes: number): Promise<readonly number[]> {
    const fromSeq = outbox.droppableFrom
    const dropped = outbox.drop(fromSeq, await store.oldest(fromSeq, bytes))
    if (dropped.length > 0)
      log.warn('outbox.dropped', {
        epoch: outbox.epoch,
        readings: dropped.length,
        fromSeq: dropped[0],
        toSeq: dropped.at(-1),
      })
    return dropped
  }

  async function roomForMore(): Promise<void> {
    while (outbox.queuedBytes >= parts.limits.bytesMax / 2 && !stopping.signal.aborted) {
      await new Promise<void>((resolve) => {
        room = resolve
      })
    }
  }

  /** Sends what the window allows, and reads ahead what it will allow next. */
  function pump(): void {
    if (!uplink.isConnected || stopping.signal.aborted) return
    for (let message = outbox.take(); message !== undefined; message = outbox.take())
      uplink.send(message.id, message.payload)
    const want = outbox.wants()
    if (want === undefined || loading) return
    loading = true
    store
      .load(want)
      .then((records) => {
        outbox.loaded(want, records)
        loading = false
        pump()
      })
      .catch(fail)
  }

  function onSettled(id: number): void {
    const done = outbox.settle(id)
    if (done === undefined) return
    settled += done.sequences.length
    store.forget(done.sequences, done.notesChanged ? outbox.notes() : undefined).catch((error: unknown) => {
      // What could not be deleted is sent again after a restart, and recognised.
      log.error('outbox.unavailable', { error })
    })
    room?.()
    pump()
  }

  async function stop(): Promise<void> {
    stopping.abort()
    room?.()
    await Promise.allSettled([sampling, connecting]) // `done` has told
    await flush().catch(() => undefined)
    const endMs = clock.monotonicMs() + settleOnStopMs
    while (uplink.isConnected && outbox.inFlight > 0 && clock.monotonicMs() < endMs)
      await new Promise((resolve) => setTimeout(resolve, settleCheckMs))
    await uplink.stop()
    await store.close()
  }

  async function state(): Promise<AgentState> {
    const want = { fromSeq: 0, toSeq: outbox.nextSeq, limit: 1 }
    // One that is not dated yet has no age.
    const [oldest] = outbox.queued === 0 ? [] : await store.load(want)
    return {
      epoch: outbox.epoch,
      nextSeq: outbox.nextSeq,
      readings: outbox.queued,
      bytes: outbox.queuedBytes,
      oldestMs: oldest === undefined ? undefined : (JSON.parse(oldest.json) as Partial<Reading>).timestampMs, // ours
      dropped: outbox.droppedReadings,
      sensor: sensorState(),
    }
  }

  function sensorState(): AgentState['sensor'] {
    if (newest === undefined) return undefined
    return newest.sensor ?? (newest.occupied === null ? 'silent' : 'ok')
  }

  if (store.setAside !== undefined)
    log.error('outbox.corrupt', {
      movedTo: store.setAside,
      epoch: outbox.epoch,
      previous: store.contents.previous,
    })
  const connecting = connect()
  connecting.catch(fail)
  const sampling = sample()
  sampling.catch(fail)
  let stopped: Promise<void> | undefined
  let resolveDone: () => void = () => undefined
  const done = Promise.race([
    failed,
    new Promise<void>((resolve) => {
      resolveDone = resolve
    }),
  ])
  return {
    progress: () => ({
      connected: uplink.isConnected,
      kept,
      settled,
      queued: outbox.queued,
      finished: sensorEnded && outbox.isEmpty,
    }),
    state,
    sensorState,
    done,
    stop() {
      stopped ??= stop().finally(() => resolveDone())
      return stopped
    },
  }
}
