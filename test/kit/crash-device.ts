/**
 * A device that dies at a named point of its outbox, by its own hand: after an append was handed to the disk and before
 * that returned, after a PUBACK and before the deletion, or while LevelDB compacts. It counts as fast as it can, and says
 * what is promised. Told to, it says so before it is true: the control that must lose.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { startAgent } from '../../agent/agent.ts'
import { readBoot } from '../../agent/boot.ts'
import { createSystemClock } from '../../agent/clock.ts'
import { createOutboxFolder } from '../../agent/outbox-salvage.ts'
import type { OutboxStore } from '../../agent/outbox-store.ts'
import type { Observation } from '../../agent/sensors/sensor.ts'
import { timeAssumed } from '../../agent/time-sync.ts'
import { createUplink } from '../../agent/uplink.ts'
import { type DeviceId, type Epoch, parseDeviceId, parseEpoch } from '../../core/contract/device.ts'
import { createLog } from '../../core/runtime/log.ts'

export type CrashPoint = 'append' | 'forget' | 'compaction' | 'never'

export interface CrashOptions {
  readonly dir: string
  readonly brokerUrl: string
  readonly point: CrashPoint
  /** It dies the so-manieth time it is there. */
  readonly after: number
  /** How often it was started before: its counts are none of another life's, so that a lost one does not come again. */
  readonly life: number
  readonly lies: boolean
}

/** What the parent hears: these readings are durable; all is settled. */
export interface CrashSaid {
  readonly durable?: readonly { readonly seq: number; readonly occupied: number }[]
  readonly drained?: true
}

const countsPerLife = 10_000_000
const options = JSON.parse(process.argv[2] ?? '{}') as CrashOptions
/** Resolves when the word has left this process: a kill cannot take it back. */
const say = (word: CrashSaid | { ready: object }) => new Promise((said) => process.send?.(word, said))
const clock = createSystemClock()
const log = createLog({ program: 'agent', level: 'error' })
let visits = 0

function reach(point: CrashPoint): void {
  if (point === options.point && ++visits >= options.after) process.kill(process.pid, 'SIGKILL')
}

/** LevelDB writes a table, of what is in memory or of other tables: says its own log. */
function isCompacting(): boolean {
  const text = readFileSync(join(options.dir, 'LOG'), 'utf8')
  const begun = text.match(/Compacting |: started/g)?.length ?? 0
  return begun > (text.match(/Compacted |bytes (OK|[A-Z])/g)?.length ?? 0)
}

function watched(store: OutboxStore): OutboxStore {
  return {
    ...store,
    async append(append, room, notes) {
      const durable = append.records.map(({ json }) => JSON.parse(json) as { seq: number; occupied: number }) // ours
      if (options.lies) await say({ durable })
      const written = store.append(append, room, notes)
      reach('append')
      await written
      if (!options.lies) await say({ durable })
    },
    forget(sequences, notes) {
      reach('forget')
      return store.forget(sequences, notes)
    },
  }
}

const folder = createOutboxFolder(options.dir, {
  newEpoch: () => parseEpoch('9f0c3a77d1e2b465') as Epoch,
  nowMs: Date.now,
})
const opened = await folder.open()
const agent = startAgent({
  opened: { ...opened, store: watched(opened.store) },
  folder,
  uplink: createUplink({
    deviceId: parseDeviceId('north-1') as DeviceId,
    broker: { url: options.brokerUrl, audience: 'urn:lotwatch:broker', renewal: 'in_band' },
    tokens: {
      get: async () => ({ token: 'token', expiresAtMs: 2 ** 40, renewAtMs: 2 ** 40 }),
      invalidate: () => undefined,
    },
    clock,
    random: Math.random,
    log,
    reconnectMinMs: 5,
    reconnectMaxMs: 20,
    refusedMinMs: 20,
    refusedMaxMs: 50,
    stableMs: 60_000,
    ackTimeoutMs: 15_000,
  }),
  sensor: {
    canWait: true,
    async *observe({ signal }) {
      for (let next = options.life * countsPerLife; !signal.aborted && options.point !== 'never'; ) {
        const observations: Observation[] = Array.from({ length: 200 }, () => ({
          timestampMs: 946_684_800_000 + next * 1000,
          occupied: next++,
        }))
        yield { observations, position: String(next) }
      }
    },
  },
  ticks: async function* () {},
  clock,
  boot: readBoot(),
  sync: timeAssumed,
  random: Math.random,
  log,
  // The sensor waits at half of it: what is queued is checked at each start, and does not grow from life to life.
  limits: { windowMessages: 20, bytesMax: 16 * 1024 * 1024, whenFull: 'stop' },
  flushReadings: 64,
  flushEveryMs: 0,
})
await say({ ready: {} })
if (options.point === 'compaction')
  setInterval(() => {
    if (isCompacting()) process.kill(process.pid, 'SIGKILL')
  }, 1)
const timer = setInterval(() => {
  if (!agent.progress().finished) return
  clearInterval(timer)
  void say({ drained: true })
}, 20)
