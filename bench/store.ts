/**
 * Readings per second into the store, through the real ingest (HTTP, checks, dedupe, ledger, commit), beside the same
 * content written to InfluxDB, which only overwrites. First a million, then on to the size asked for; then the same again,
 * which must all be known; then a backlog that spans a year. Prints rates, memory and bytes on disk for both.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { cpuSecOf, peakMiBOf, residentMiBOf } from './kit/child.ts'
import { type Batch, backlogBatch, dayMs, deviceCount, freshBatch, minuteMs } from './kit/generated.ts'
import { bytesOf, type Contender, isPeerThere, startOurs, startPeer, writeAll } from './kit/stores.ts'

const { values } = parseArgs({
  options: {
    readings: { type: 'string', default: '13000000' },
    backlog: { type: 'string', default: '200000' },
    'in-flight': { type: 'string', default: '4' },
    data: { type: 'string' },
    profile: { type: 'string' },
    alone: { type: 'boolean', default: false },
  },
})
const minutes = Math.ceil(Number(values.readings) / deviceCount)
const backlogBatches = Math.ceil(Number(values.backlog) / deviceCount)
const inFlight = Number(values['in-flight'])
/** A rate is taken over a million readings, or a fifth of the whole where that is less. */
const stretch = Math.min(1000, Math.ceil(minutes / 5))

const say = (line: string) => process.stdout.write(`${line}\n`)
const rate = ({ perSec, cpuUs }: Pace) =>
  `${Math.round(perSec).toLocaleString('en').padStart(8)}/s (${cpuUs.toFixed(1)} µs)`
const ratio = (a: Pace, b: Pace) =>
  `${(a.perSec / b.perSec).toFixed(2)}, by processor time ${(b.cpuUs / a.cpuUs).toFixed(2)}`

/** What is measured of a stretch of writing: also processor time, which other work on the machine does not change much. */
interface Pace {
  readonly perSec: number
  /** Processor microseconds of the store per reading, all its threads. */
  readonly cpuUs: number
}

interface Result {
  readonly early: Pace
  readonly late: Pace
  readonly backlog: Pace
  readonly bytesPerReading: number
  readonly peakMiB: number
}

/** The last reading is not ahead of now, the first at midnight. */
const startMs = Math.floor((Date.now() - minutes * minuteMs) / dayMs) * dayMs

async function measure(contender: Contender): Promise<Result> {
  const write = async (count: number, of: (index: number) => Batch, verdict: string): Promise<Pace> => {
    const before = cpuSecOf(contender.pid)
    const perSec = await writeAll(contender, { count, of }, { inFlight, verdict })
    return { perSec, cpuUs: ((cpuSecOf(contender.pid) - before) * 1e6) / (count * deviceCount) }
  }
  const fresh = (from: number, to: number, verdict = 's') =>
    write(to - from, (i) => freshBatch(startMs, from + i), verdict)
  const early = await fresh(0, stretch)
  say(
    `${contender.name.padEnd(9)} ${rate(early)} up to ${(stretch * deviceCount).toLocaleString('en')} readings`,
  )
  await fresh(stretch, minutes - stretch)
  const late = await fresh(minutes - stretch, minutes)
  const bytes = bytesOf(contender.folder)
  const bytesPerReading = bytes / (minutes * deviceCount)
  say(
    `${contender.name.padEnd(9)} ${rate(late)} up to ${(minutes * deviceCount).toLocaleString('en')} readings; ${bytesPerReading.toFixed(1)} bytes on disk per reading; memory ${residentMiBOf(contender.pid)} MiB`,
  )
  const again = await fresh(minutes - Math.min(100, minutes), minutes, 'r')
  say(`${contender.name.padEnd(9)} ${rate(again)} of what is there already`)
  const backlog = await write(
    backlogBatches,
    (i) => backlogBatch(startMs, i, startMs + minutes * minuteMs),
    's',
  )
  const peakMiB = peakMiBOf(contender.pid)
  say(
    `${contender.name.padEnd(9)} ${rate(backlog)} of a backlog that spans a year; memory at most ${peakMiB} MiB`,
  )
  return { early, late, backlog, bytesPerReading, peakMiB }
}

const data = values.data ?? mkdtempSync(join(tmpdir(), 'lotwatch-bench-'))
try {
  say(
    `${cpus().length} × ${cpus()[0]?.model}, Node ${process.version}; ${(minutes * deviceCount).toLocaleString('en')} readings of ${deviceCount} devices in batches of ${deviceCount}, ${inFlight} on their way`,
  )
  const run = async (start: () => Promise<Contender>) => {
    const contender = await start()
    return measure(contender).finally(() => contender.stop())
  }
  const profile = values.profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${values.profile}`]
  const ours = await run(() => startOurs(join(data, 'lotwatch'), profile))
  say(`late beside early: ${ratio(ours.late, ours.early)} (floor 0.80)`)
  say(`backlog beside fresh: ${ratio(ours.backlog, ours.late)} (floor 0.25)`)
  say(`memory: at most ${ours.peakMiB} MiB (floor 1024)`)
  if (!values.alone && isPeerThere()) {
    const theirs = await run(() => startPeer(join(data, 'influxdb')))
    say(
      `lotwatch beside influxdb: ${ratio(ours.late, theirs.late)} of its rate (floor 0.25); backlog ${ratio(ours.backlog, theirs.backlog)}`,
    )
    say(`bytes per reading: ${ours.bytesPerReading.toFixed(1)} beside ${theirs.bytesPerReading.toFixed(1)}`)
  }
  // For `bench -- query --data`.
  writeFileSync(join(data, 'generated.json'), JSON.stringify({ startMs, minutes }))
} finally {
  if (values.data === undefined) rmSync(data, { recursive: true })
}
