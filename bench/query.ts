/**
 * How soon analysts have their answers from the real ingest over HTTP, beside InfluxDB on the same questions, read whole;
 * then while readings come in at half the top rate. Every answer of both is compared with plain arithmetic on what was
 * written. Fills both first, unless `--data` names a folder that `bench -- store --data` has filled.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { cpuSecOf, peakMiBOf } from './kit/child.ts'
import {
  backlogDevices,
  dayMs,
  deviceCount,
  deviceIdOf,
  freshBatch,
  lotIdOf,
  meanOf,
  minuteMs,
  occupiedOf,
} from './kit/generated.ts'
import { type Contender, isPeerThere, startOurs, startPeer, writeAll } from './kit/stores.ts'

const { values } = parseArgs({
  options: {
    readings: { type: 'string', default: '13000000' },
    rounds: { type: 'string', default: '20' },
    /** Readings per second while it is asked; absent: half of what was measured. */
    rate: { type: 'string' },
    data: { type: 'string' },
    /** A part of the names of the questions to ask; absent: all of them. */
    only: { type: 'string', default: '' },
    profile: { type: 'string' },
    alone: { type: 'boolean', default: false },
  },
})
const rounds = Number(values.rounds)
/** Before a question is timed: a service has been up for longer than it takes to compile what is asked of it often. */
const warmUps = 10
const calmMs = 20 * minuteMs
const say = (line: string) => process.stdout.write(`${line}\n`)

/** A mean of a device (and of its lot) in a window that starts at this instant; or its last count. */
type Found = readonly { readonly device: number; readonly startMs: number; readonly value: number | null }[]

interface Question {
  readonly name: string
  /** How long a window is: one that has not ended is not compared while readings come in. */
  readonly stepMs: number
  /** The path to ask of ingest; another lot each round. */
  ours(round: number): string
  theirs(round: number): string
  expected(round: number): Found
  readonly readOurs: (answer: unknown) => Found
}

const deviceOf = (id: string) => Number(id.slice(id.indexOf('-') + 1))

/** Rows of a column by device and time, from InfluxDB's JSON. */
function readTheirs(answer: unknown): Found {
  const { results } = answer as {
    results: { series?: { tags: { device: string }; values: [number, number | null][] }[] }[]
  } // as InfluxDB documents it
  return (results[0]?.series ?? []).flatMap(({ tags, values: rows }) =>
    rows.map(([startMs, value]) => ({ device: deviceOf(tags.device), startMs, value })),
  )
}

function readSeries(answer: unknown): Found {
  const { rows } = answer as { rows: { lotId: string; start: string; mean: number | null }[] } // by its contract
  return rows.map(({ lotId, start, mean }) => ({
    device: deviceOf(lotId),
    startMs: Date.parse(start),
    value: mean,
  }))
}

function readLatest(answer: unknown): Found {
  const { rows } = answer as { rows: { lotId: string; time: string; lastOccupied: number | null }[] } // as above
  return rows.map(({ lotId, time, lastOccupied }) => ({
    device: deviceOf(lotId),
    startMs: Date.parse(time),
    value: lastOccupied,
  }))
}

interface Written {
  readonly startMs: number
  /** Of all devices, from `startMs` on. */
  readonly minutes: number
}

const everyone = Array.from({ length: deviceCount }, (_, device) => device)
/** Of none whose year before is there, too: what is right is told from what is written minute by minute. */
const lotOf = (round: number) => backlogDevices + ((round * 37) % (deviceCount - backlogDevices))
const iso = (ms: number) => new Date(ms).toISOString()

interface Series {
  readonly fromMs: number
  readonly toMs: number
  readonly every: string
  readonly stepMs: number
  readonly isOfOneLot: boolean
}

function seriesQuestion(name: string, of: Series, { startMs, minutes }: Written): Question {
  const { fromMs, toMs, every, stepMs, isOfOneLot } = of
  const count = (toMs - fromMs) / stepMs
  const windowOf = (device: number, i: number): Found[number] => {
    const windowMs = fromMs + i * stepMs
    const from = (windowMs - startMs) / minuteMs
    return { device, startMs: windowMs, value: meanOf(device, from, from + stepMs / minuteMs, minutes) }
  }
  return {
    name,
    stepMs,
    ours: (round) =>
      `/v1/series?from=${iso(fromMs)}&to=${iso(toMs)}&every=${every}&columns=lotId,start,mean${isOfOneLot ? `&lot=${lotIdOf(lotOf(round))}` : ''}`,
    theirs: (round) =>
      `SELECT mean(occupied) FROM readings WHERE ${isOfOneLot ? `device = '${deviceIdOf(lotOf(round))}' AND ` : ''}time >= ${fromMs}ms AND time < ${toMs}ms GROUP BY time(${every}), device`,
    expected: (round) =>
      (isOfOneLot ? [lotOf(round)] : everyone).flatMap((device) =>
        Array.from({ length: count }, (_, i) => windowOf(device, i)),
      ),
    readOurs: readSeries,
  }
}

function questionsOf(written: Written): Question[] {
  const { startMs, minutes } = written
  const endMs = Math.ceil((startMs + minutes * minuteMs) / dayMs) * dayMs
  const lastMs = startMs + (minutes - 1) * minuteMs
  const wholeDayMs = Math.max(startMs, endMs - 2 * dayMs)
  const month = {
    fromMs: endMs - 30 * dayMs,
    toMs: endMs,
    every: '1h',
    stepMs: 60 * minuteMs,
    isOfOneLot: true,
  }
  const day = {
    fromMs: wholeDayMs,
    toMs: wholeDayMs + dayMs,
    every: '15m',
    stepMs: 15 * minuteMs,
    isOfOneLot: false,
  }
  const all = { fromMs: startMs, toMs: endMs, every: '1d', stepMs: dayMs, isOfOneLot: false }
  return [
    seriesQuestion('one lot, one month, hourly', month, written),
    seriesQuestion('all lots, one day, 15 min', day, written),
    seriesQuestion('whole fleet, all days, daily', all, written),
    {
      name: 'latest of all devices',
      stepMs: Number.POSITIVE_INFINITY,
      ours: () => '/v1/latest?columns=lotId,time,lastOccupied',
      theirs: () => 'SELECT last(occupied) FROM readings GROUP BY device',
      expected: () =>
        everyone.map((device) => ({ device, startMs: lastMs, value: occupiedOf(device, minutes - 1) })),
      readOurs: readLatest,
    },
  ].filter(({ name }) => name.includes(values.only))
}

/** @throws Error at the first value that is not what arithmetic says */
function compare(who: string, found: Found, expected: Found): void {
  const key = ({ device, startMs }: Found[number]) => `${device} ${startMs}`
  // A window that nobody measured may be null or left out.
  const values = new Map(found.map((one) => [key(one), one.value]))
  for (const one of expected) {
    const value = values.get(key(one)) ?? null
    const isSame =
      one.value === null || value === null ? value === one.value : Math.abs(value - one.value) < 1e-9
    if (!isSame) throw new Error(`${who} says ${value}, and right is ${JSON.stringify(one)}`)
  }
}

interface Times {
  /** The least of all: on a machine that does other work it says most of the question itself. */
  readonly leastMs: number
  readonly p50Ms: number
  readonly p95Ms: number
  /** Processor milliseconds of the store for each, all its threads: other work on the machine does not change it much. */
  readonly cpuMs: number
}

/** @param untilMs only windows that have ended by then are compared */
async function ask(
  contender: Contender,
  question: Question,
  round: number,
  untilMs: number,
): Promise<number> {
  const isOurs = contender.name === 'lotwatch'
  const text = isOurs ? question.ours(round) : question.theirs(round)
  const startMs = performance.now()
  const body = await contender.ask(text)
  // Until the last byte is here: what a client makes of it is its own matter.
  const tookMs = performance.now() - startMs
  const answer: unknown = JSON.parse(body)
  const found = isOurs ? question.readOurs(answer) : readTheirs(answer)
  const expected = question.expected(round).filter((one) => one.startMs + question.stepMs <= untilMs)
  compare(`${contender.name}, ${question.name}`, found, expected)
  return tookMs
}

async function times(
  contenders: readonly Contender[],
  question: Question,
  untilMs = Number.POSITIVE_INFINITY,
): Promise<Map<Contender, Times>> {
  const latencies = new Map(contenders.map((contender) => [contender, [] as number[]]))
  const cpuSec = new Map<Contender, number>()
  for (const contender of contenders) {
    await contender.renew()
    for (let i = 0; i < warmUps; i++) await ask(contender, question, i, untilMs)
  }
  for (let round = 1; round <= rounds; round++)
    // Who goes first changes, so that neither always meets the warmer machine.
    for (const contender of round % 2 === 0 ? contenders : [...contenders].reverse()) {
      await contender.renew()
      const before = cpuSecOf(contender.pid)
      latencies.get(contender)?.push(await ask(contender, question, round, untilMs))
      cpuSec.set(contender, (cpuSec.get(contender) ?? 0) + cpuSecOf(contender.pid) - before)
    }
  return new Map(
    [...latencies].map(([contender, of]) => [
      contender,
      {
        leastMs: Math.min(...of),
        p50Ms: quantile(of, 0.5),
        p95Ms: quantile(of, 0.95),
        cpuMs: ((cpuSec.get(contender) ?? 0) * 1000) / rounds,
      },
    ]),
  )
}

/** The value that this share of them does not exceed. */
function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.ceil(sorted.length * share) - 1] ?? Number.NaN
}

/** Writes at a rate until it is stopped, on from the minutes that are there. @returns readings per second that it managed */
function writeOn(contender: Contender, perSec: number, at: Written) {
  const batches = Math.ceil((perSec / deviceCount) * 60)
  // Made beforehand: the processor is for the answers.
  const bodies = Array.from({ length: batches }, (_, i) =>
    contender.bodyOf(freshBatch(at.startMs, at.minutes + i)),
  )
  let isStopped = false
  let sent = 0
  const startMs = performance.now()
  const writing = (async () => {
    const onTheWay = new Set<Promise<unknown>>()
    while (!isStopped && sent < bodies.length) {
      const due = ((performance.now() - startMs) / 1000) * (perSec / deviceCount)
      while (sent < due && sent < bodies.length && onTheWay.size < 8) {
        const one: Promise<unknown> = contender
          .write(bodies[sent++] as Uint8Array<ArrayBuffer>) // sent < length
          .finally(() => onTheWay.delete(one))
        onTheWay.add(one)
      }
      await delay(5)
    }
    await Promise.all(onTheWay)
  })()
  return {
    async stop() {
      isStopped = true
      const perSecDone = (sent * deviceCount * 1000) / (performance.now() - startMs)
      await writing
      return { perSec: perSecDone, minutes: at.minutes + sent }
    },
  }
}

const data = values.data ?? mkdtempSync(join(tmpdir(), 'lotwatch-bench-'))
const generatedFile = join(data, 'generated.json')
const profile = values.profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${values.profile}`]
async function start(): Promise<Contender[]> {
  const started = [await startOurs(join(data, 'lotwatch'), profile)]
  if (!values.alone && isPeerThere()) started.push(await startPeer(join(data, 'influxdb')))
  return started
}

/** @returns what there is now, and our readings per second on the way */
async function fill(): Promise<{ at: Written; top: number }> {
  const minutes = Math.ceil(Number(values.readings) / deviceCount)
  const at = { startMs: Math.floor((Date.now() - minutes * minuteMs) / dayMs) * dayMs, minutes }
  const rates: number[] = []
  for (const contender of await start()) {
    rates.push(
      await writeAll(
        contender,
        { count: minutes, of: (i) => freshBatch(at.startMs, i) },
        { inFlight: 4, verdict: 's' },
      ),
    )
    await contender.stop()
  }
  return { at, top: rates[0] ?? 0 }
}

/**
 * After a start there is work to be done, here (days that are over are closed, the watch for stuck sensors looks back)
 * as there (what was written last is folded in): nobody is asked before it is done.
 */
async function awaitCalm({ name, pid }: Contender): Promise<void> {
  const startMs = performance.now()
  for (let quiet = 0; quiet < 5; ) {
    const before = cpuSecOf(pid)
    await delay(500)
    quiet = cpuSecOf(pid) - before < 0.05 ? quiet + 1 : 0
    if (performance.now() - startMs > calmMs) throw new Error(`${name} does not come to rest`)
  }
}

const filled = existsSync(generatedFile) ? undefined : await fill()
const contenders = await start()
try {
  let at = filled?.at ?? (JSON.parse(readFileSync(generatedFile, 'utf8')) as Written) // as written
  for (const contender of contenders) await awaitCalm(contender)
  say(
    `${cpus().length} × ${cpus()[0]?.model}, Node ${process.version}; ${(at.minutes * deviceCount).toLocaleString('en')} readings of ${deviceCount} devices, each question ${rounds} times`,
  )
  const show = ({ leastMs, p50Ms, p95Ms, cpuMs }: Times) =>
    `least ${leastMs.toFixed(1).padStart(6)} ms  p50 ${p50Ms.toFixed(1).padStart(7)} ms  p95 ${p95Ms.toFixed(1).padStart(7)} ms  processor ${cpuMs.toFixed(1).padStart(6)} ms`
  const ours = contenders[0] as Contender // the first is ours
  const idle = new Map<string, Times>()
  for (const question of questionsOf(at)) {
    const found = await times(contenders, question)
    for (const [contender, of] of found)
      say(`${question.name.padEnd(30)} ${contender.name.padEnd(9)} ${show(of)}`)
    const own = found.get(ours) as Times // asked above
    idle.set(question.name, own)
    const peer = [...found].find(([contender]) => contender !== ours)?.[1]
    if (peer !== undefined)
      say(
        `${question.name.padEnd(30)} as fast as it, p50 ${(peer.p50Ms / own.p50Ms).toFixed(2)} times, p95 ${(peer.p95Ms / own.p95Ms).toFixed(2)} times, the least ${(peer.leastMs / own.leastMs).toFixed(2)}, by processor time ${(peer.cpuMs / own.cpuMs).toFixed(2)} (floor 1, goal 3)`,
      )
  }
  const before = at
  const perSec = Number(values.rate ?? (filled?.top ?? 0) / 2) || 20_000
  for (const index of questionsOf(at).keys()) {
    // Of what is there by now: the question before has had more written.
    const question = questionsOf(at)[index] as Question // index is one of theirs
    const writing = writeOn(ours, perSec, at)
    await delay(1000)
    const untilMs = at.startMs + at.minutes * minuteMs
    const asked = await times([ours], question, untilMs).catch(async (error: unknown) => {
      await writing.stop()
      throw error
    })
    const own = asked.get(ours) as Times // asked
    const wrote = await writing.stop()
    at = { ...at, minutes: wrote.minutes }
    const quiet = idle.get(question.name) as Times // of the same questions
    say(
      `${question.name.padEnd(30)} while ${Math.round(wrote.perSec).toLocaleString('en')}/s come in: ${show(own)}, ${(own.p50Ms / quiet.p50Ms).toFixed(2)} times its idle p50 (ceiling 3)`,
    )
  }
  // The others get what came in meanwhile, so that the same folder can be asked again.
  for (const contender of contenders.filter((one) => one !== ours))
    await writeAll(
      contender,
      { count: at.minutes - before.minutes, of: (i) => freshBatch(before.startMs, before.minutes + i) },
      { inFlight: 4, verdict: 's' },
    )
  writeFileSync(generatedFile, JSON.stringify(at))
  say(`memory of ingest: at most ${peakMiBOf(ours.pid)} MiB`)
} finally {
  for (const contender of contenders) await contender.stop()
  if (values.data === undefined) rmSync(data, { recursive: true })
}
