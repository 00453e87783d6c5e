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
import { isFleetError } from '../core/contract/errors.ts'
import type { Reading, SensorState } from '../core/contract/reading.ts'
import { createBackoff } from '../core/runtime/backoff.ts'
import type { Log } from '../core/runtime/log.ts'
import type { Boot } from './boot.ts'
import type { Clock } from './clock.ts'
import { dateUndated } from './dating.ts'
import { createLane, type Lane } from './lane.ts'
import { makeRoom } from './make-room.ts'
import { type Append, enoughRoom, type Notes, Outbox, type OutboxLimits, type Room } from './outbox.ts'
import type { OpenedOutbox, OutboxFolder, Salvage } from './outbox-salvage.ts'
import type { OutboxStore } from './outbox-store.ts'
import type { Observation, Sensor } from './sensors/sensor.ts'
import type { TimeSync } from './time-sync.ts'
import { createTimekeeper, type Sighted } from './timekeeper.ts'
import type { Uplink } from './uplink.ts'

export interface AgentParts {
  readonly opened: OpenedOutbox
  readonly folder: OutboxFolder
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

/** An outbox with its way to the broker. */
interface MainLane {
  readonly outbox: Outbox
  readonly store: OutboxStore
  readonly lane: Lane
}

/** More messages than a lane has in its life. */
const laneIds = 2 ** 40
/** Readings held in memory while the disk takes nothing: a week of them at one a minute. */
const heldReadingsMax = 10_000
const settleOnStopMs = 1500
const settleCheckMs = 20
/** A disk that cannot be written is tried again, waiting up to this long. */
const writeRetryMaxMs = 30_000

export function startAgent(parts: AgentParts): Agent {
  const { clock, log, sensor, uplink } = parts
  const stopping = new AbortController()
  let fail: (error: unknown) => void = () => undefined
  const failed = new Promise<never>((_, reject) => {
    fail = reject
  })
  let main = openLane(parts.opened, 1)
  let salvage: (MainLane & { folder: Salvage }) | undefined
  /** Messages of each lane have numbers of their own. */
  let lanes = 1
  const timekeeper = createTimekeeper({
    ...parts,
    bootName: parts.random().toString(36).slice(2),
    stamps: main.store.contents.place.stamps,
    isRecorded: sensor.canWait,
  })
  let group: Sighted[] = []
  /** Readings that memory had no room for while the disk took nothing, right before the group. */
  let lost = 0
  let { position } = main.store.contents.place
  let keptPosition = position
  let flushTimer: NodeJS.Timeout | undefined
  let flushing: Promise<void> = Promise.resolve()
  /** The flush that has not begun yet; it takes everything there is by then. */
  let nextFlush: Promise<void> | undefined
  let sensorEnded = false
  let kept = 0
  let settled = 0
  let newest: Observation | undefined
  let room: (() => void) | undefined

  async function sample(): Promise<void> {
    const { signal } = stopping
    // What was recorded loses nothing by waiting, and may be about now.
    if (sensor.canWait) await parts.sync.whenSynced(signal)
    const ticks = timekeeper.watch(parts.ticks(signal))
    for await (const chunk of sensor.observe({ position, ticks, clock, kept: flush, signal })) {
      group.push(...chunk.observations.map(timekeeper.sighted))
      newest = chunk.observations.at(-1) ?? newest
      position = chunk.position
      // A chunk of several is a group already.
      const isGroup = chunk.observations.length > 1 || group.length >= parts.flushReadings
      if (!isGroup && parts.flushEveryMs > 0)
        flushTimer ??= setTimeout(() => flush().catch(fail), parts.flushEveryMs)
      else if (sensor.canWait) await flush()
      else flush().catch(fail)
      if (sensor.canWait) await roomForMore()
      else forgetExcess()
    }
    await flush()
    sensorEnded = !signal.aborted
  }

  /** A disk that takes nothing does not stop the counting: the newest are held, and the oldest of them told as lost. */
  function forgetExcess(): void {
    const excess = group.length - heldReadingsMax
    if (excess <= 0) return
    if (lost === 0) log.error('readings.lost', { reason: 'disk_full', held: heldReadingsMax })
    group.splice(0, excess)
    lost += excess
  }

  /** Makes the group durable; one at a time. */
  function flush(): Promise<void> {
    clearTimeout(flushTimer)
    flushTimer = undefined
    if (nextFlush !== undefined) return nextFlush
    nextFlush = inTurn(async () => {
      nextFlush = undefined
      if (group.length === 0 && lost === 0) return
      const { taken, stamps } = timekeeper.stamp(group)
      const before = lost
      group = []
      lost = 0
      await trusting(() => append(main.outbox.keep(taken, { position, stamps }, before)))
    })
    return nextFlush
  }

  function inTurn(work: () => Promise<void>): Promise<void> {
    flushing = flushing.then(work)
    return flushing
  }

  /** Does it again in a new outbox when the one there was turns out not to be as it was written. */
  async function trusting(work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (error) {
      if (!isFleetError(error, 'outbox.corrupt')) throw error
      await startOver()
      await work()
    }
  }

  /** Certificates and tokens are judged by the time, so nobody is called before it is known. */
  async function connect(): Promise<void> {
    await parts.sync.whenSynced(stopping.signal)
    if (!parts.sync.isSynced) return
    uplink.start({
      onConnected: pump,
      onSettled,
      onDisconnected() {
        main.lane.fail()
        salvage?.lane.fail()
      },
    })
    await inTurn(() => trusting(() => date(main)))
    await inTurn(sendSalvage)
    pump()
  }

  async function date({ outbox, store }: MainLane): Promise<void> {
    const write = (run: Append) => persist(store, run, enoughRoom, undefined)
    const dated = await dateUndated({ outbox, store, timekeeper, position: keptPosition, write })
    if (dated.readings > 0) log.info('readings.dated', { epoch: outbox.epoch, ...dated })
  }

  async function append(next: Append): Promise<void> {
    const { outbox, store } = main
    const { thinFrom = next.thinFrom, ...made } =
      next.overflowBytes > 0 ? await makeRoom(main, parts.limits.whenFull, next, log) : { ...enoughRoom }
    const isTold = made.deleted.length > 0 || next.isTold
    await persist(store, { ...next, thinFrom }, made, isTold ? outbox.notes() : undefined)
    keptPosition = next.place.position
    outbox.committed(next)
    kept += next.records.length
    log.debug('readings.kept', { epoch: outbox.epoch, readings: next.records.length, nextSeq: next.nextSeq })
    pump()
  }

  /** Resolves when it is durable, however long the disk cannot be written. */
  async function persist(
    store: OutboxStore,
    next: Append,
    made: Room,
    notes: Notes | undefined,
  ): Promise<void> {
    const backoff = createBackoff({ minMs: 1000, maxMs: writeRetryMaxMs, random: parts.random })
    for (let isReported = false; ; isReported = true) {
      try {
        await store.append(next, made, notes)
        if (isReported) log.info('outbox.recovered')
        return
      } catch (error) {
        if (stopping.signal.aborted || isFleetError(error, 'outbox.corrupt')) throw error
        if (!isReported) log.error('outbox.unavailable', { error })
        await clock.until(clock.nowMs() + backoff.next(), stopping.signal)
      }
    }
  }

  async function roomForMore(): Promise<void> {
    while (main.outbox.queuedBytes >= parts.limits.bytesMax / 2 && !stopping.signal.aborted) {
      await new Promise<void>((resolve) => {
        room = resolve
      })
    }
  }

  function openLane({ store, setAside }: OpenedOutbox, firstId: number): MainLane {
    const outbox = new Outbox(store.contents, parts.limits, firstId)
    if (setAside !== undefined)
      log.error('outbox.corrupt', {
        movedTo: setAside,
        epoch: outbox.epoch,
        previous: store.contents.previous,
      })
    const onCorrupt = () => {
      inTurn(async () => {
        if (main.outbox === outbox) await startOver()
      }).catch(fail)
    }
    return { outbox, store, lane: createLane({ outbox, store, uplink, log, onCorrupt, onBroken: fail }) }
  }

  /** The outbox is not as it was written: another takes its place, and what can be read of it is sent beside. */
  async function startOver(): Promise<void> {
    main.lane.stop()
    await main.store.close()
    main = openLane(await parts.folder.open(true), ++lanes * laneIds)
    await sendSalvage()
  }

  /** Sends what was set aside, one outbox after the other. */
  async function sendSalvage(): Promise<void> {
    if (salvage !== undefined || !parts.sync.isSynced || stopping.signal.aborted) return
    try {
      const folder = await parts.folder.nextSalvage()
      if (folder !== undefined) await sendFrom(folder)
    } catch (error) {
      // It lies where it lay, and the next start tries again.
      log.error('outbox.not_salvaged', { error })
    }
  }

  async function sendFrom(folder: Salvage): Promise<void> {
    const { store } = folder
    const outbox = new Outbox(store.contents, { ...parts.limits, windowMessages: 1 }, ++lanes * laneIds)
    const lane = createLane({ outbox, store, uplink, log, onCorrupt: () => undefined, onBroken: fail })
    salvage = { outbox, store, lane, folder }
    log.info('outbox.salvaging', { dir: folder.dir, epoch: outbox.epoch })
    await date(salvage)
    lane.pump()
    endSalvage()
  }

  function endSalvage(): void {
    if (salvage?.outbox.isDrained !== true) return
    const { folder, outbox } = salvage
    inTurn(async () => {
      await folder.done()
      log.info('outbox.salvaged', { dir: folder.dir, epoch: outbox.epoch })
      salvage = undefined
      await sendSalvage()
    }).catch(fail)
  }

  function pump(): void {
    if (stopping.signal.aborted) return
    main.lane.pump()
    salvage?.lane.pump()
  }

  function onSettled(id: number): void {
    const readings = main.lane.settle(id)
    if (readings === undefined) {
      salvage?.lane.settle(id)
      endSalvage()
      return
    }
    settled += readings
    room?.()
  }

  async function stop(): Promise<void> {
    stopping.abort()
    room?.()
    await Promise.allSettled([sampling, connecting]) // `done` has told
    await flush().catch(() => undefined)
    main.lane.stop()
    salvage?.lane.stop()
    const endMs = clock.monotonicMs() + settleOnStopMs
    while (uplink.isConnected && main.outbox.inFlight > 0 && clock.monotonicMs() < endMs)
      await new Promise((resolve) => setTimeout(resolve, settleCheckMs))
    await uplink.stop()
    await salvage?.store.close()
    await main.store.close()
  }

  async function state(): Promise<AgentState> {
    const { outbox, store } = main
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
      queued: main.outbox.queued,
      finished: sensorEnded && main.outbox.isEmpty,
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
