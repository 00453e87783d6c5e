/**
 * Ingest's inside in a process that can be killed: it takes handovers one after the other and says which are settled,
 * while days are closed, archived and taken out of the table without a pause, and the log is folded in all the time. It
 * says what of that it begins, too, so that it can be killed in the middle of each.
 * `node store-worker.mjs FOLDER FROM [early]`; with `early` it says so before anything is stored, and must be caught.
 */
import { createHash } from 'node:crypto'
import { EventEmitter, once } from 'node:events'
import { mkdirSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { createFolderArchive } from '../../ingest/archive/folder.ts'
import { createIntake } from '../../ingest/intake.ts'
import { Ledger } from '../../ingest/ledger.ts'
import { createSegmentCache } from '../../ingest/segment-cache.ts'
import { Statuses } from '../../ingest/statuses.ts'
import { openDuckDB } from '../../ingest/store/duckdb.ts'
import { startCrashKeeper } from './crash-keeper.ts'
import { handoverNumber, handoversPerRound } from './crash-world.ts'
import { handoverOf } from './handover.ts'

async function main(folder: string, from: number, isEarly: boolean): Promise<void> {
  const segmentsDir = join(folder, 'segments')
  mkdirSync(join(folder, 'archive'), { recursive: true })
  const archive = createFolderArchive(join(folder, 'archive'))
  const cache = createSegmentCache({ archive, folder: join(folder, 'cache'), bytesMax: 50_000_000 })
  const store = await openDuckDB({
    file: join(folder, 'readings.duckdb'),
    segmentsDir,
    memoryMax: '300MB',
    threads: 1,
    quarantinePerDeviceMax: 10,
    checkpointThreshold: '200KB',
    recall: cache.recall,
  })
  const state = await store.load()
  const ledger = new Ledger({ rangesPerEpochMax: 1_000_000, epochsPerDeviceMax: 10 })
  for (const row of state.ledger) ledger.load(row)
  for (const { deviceId, timestampMs } of state.highs) ledger.loadHigh(deviceId, timestampMs)
  const intake = createIntake({
    store,
    ledger,
    statuses: new Statuses(),
    hash: (data) => createHash('sha256').update(data).digest('hex'),
    handoversWaitingMax: 10,
    commitMessagesMax: 1000,
    nowMs: () => performance.now(),
    onCommit: () => undefined,
    onFatal(error) {
      throw error
    },
  })
  const { days } = store
  if (days === undefined) throw new Error('this store closes no days')
  const begins = (what: string) => writeSync(1, `${what}\n`)
  const keeper = startCrashKeeper({
    days: {
      ...days,
      close(day) {
        begins('close')
        return days.close(day)
      },
      evict(...evicted) {
        begins('evict')
        return days.evict(...evicted)
      },
    },
    archive: {
      ...archive,
      put(...put) {
        begins('put')
        return archive.put(...put)
      },
    },
    segmentsDir,
  })
  const kept = new EventEmitter()
  void (async () => {
    for (;;) {
      await keeper.run(true)
      kept.emit('run')
      await new Promise((resolve) => setImmediate(resolve))
    }
  })()
  /** The first that ends may have begun before. */
  const wholeRun = async () => {
    for (let ended = 0; ended < 2; ended++) await once(kept, 'run')
  }
  for (let i = from; ; i++) {
    // What a commit has written survives a kill before it is synced: only what was not even taken is lost for certain.
    if (isEarly) writeSync(1, `${i + 1}\n`)
    await intake.take(handoverOf(handoverNumber(i)))
    if (!isEarly) writeSync(1, `${i}\n`)
    // Now no day is touched: those that are new are closed, archived and taken out of the table, for certain.
    if ((i + 1) % handoversPerRound === 0) await wholeRun()
  }
}

void main(process.argv[2] ?? '', Number(process.argv[3]), process.argv[4] === 'early')
