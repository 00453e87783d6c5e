/**
 * The outbox on disk (LevelDB): what was appended survives a power cut, what was settled is forgotten lazily.
 * An append is one synced batch of readings, next sequence, sensor position and drops, so they can never disagree.
 * Deletions are not synced: losing one sends a reading again, which ingest recognises.
 * It decides nothing; the rules are in `outbox.ts`.
 *
 * Keys: `m/…` for what is known of the outbox, `r/` and the sequence in 14 hex digits for readings.
 */
import { mkdir, readdir, rename } from 'node:fs/promises'
import { ClassicLevel } from 'classic-level'
import { type Epoch, parseEpoch } from '../core/contract/device.ts'
import { FleetError } from '../core/contract/errors.ts'
import type { DroppedRange } from '../core/contract/payload.ts'
import {
  type Append,
  flightSpanMax,
  type Notes,
  type OutboxContents,
  type OutboxRecord,
  type PreviousEpoch,
  type ReadAhead,
} from './outbox.ts'
import { noStamps } from './stamps.ts'

/** Every verb takes its turn: what is called first has happened first. */
export interface OutboxStore {
  /** What was found at opening. */
  readonly contents: OutboxContents
  /** The folder a database that could not be read was moved to, when that happened at opening. */
  readonly setAside: string | undefined
  /**
   * Resolves when all of it is durable; nothing of it is there when it rejects.
   * @param dropped sequences to delete in the same step
   * @throws FleetError `outbox.unavailable`
   */
  append(append: Append, dropped: readonly number[], notes: Notes): Promise<void>
  /** Deletes what is settled, some time soon. */
  forget(sequences: readonly number[], notes: Notes | undefined): Promise<void>
  /** The readings of a range, ascending. */
  load(range: ReadAhead): Promise<OutboxRecord[]>
  /** The oldest readings from a sequence on, until together they have `bytes`. */
  oldest(fromSeq: number, bytes: number): Promise<OutboxRecord[]>
  close(): Promise<void>
}

type Database = ClassicLevel<string, string>
type Operation = { type: 'put'; key: string; value: string } | { type: 'del'; key: string }

/** What every append writes anew. */
type Head = Pick<Append, 'nextSeq' | 'place' | 'undatedFrom'>

const keys = { epoch: 'm/epoch', next: 'm/next', dropped: 'm/dropped', previous: 'm/previous' } as const
const readingKey = (seq: number) => `r/${seq.toString(16).padStart(14, '0')}`
const seqOfKey = (key: string) => Number.parseInt(key.slice(2), 16)
const everyReading = { gte: 'r/', lt: 'r0' } as const
/** A device's queue is small and read once, in order: LevelDB's defaults (8 MB cache, 4 MB buffers) are for other uses. */
const databaseOptions = { cacheSize: 512 * 1024, writeBufferSize: 1024 * 1024, maxOpenFiles: 64 } as const

/**
 * Opens the outbox, or makes a new one with a new epoch. A database that cannot be read is renamed to
 * `<dir>.corrupt-<time>`, and the new epoch names it as its predecessor when that much could be recovered.
 * @param newEpoch 64 random bits
 * @throws FleetError `store.locked`, `outbox.unavailable`
 */
export async function openOutboxStore(
  dir: string,
  options: { newEpoch: () => Epoch; nowMs: () => number },
): Promise<OutboxStore> {
  let db: Database | undefined
  try {
    db = await openDatabase(dir)
    const contents = (await readContents(db)) ?? (await begin(db, options.newEpoch(), undefined))
    return createStore(db, contents, undefined)
  } catch (error) {
    await db?.close()
    if (!isCorruption(error)) throw error
  }
  const setAside = `${dir}.corrupt-${new Date(options.nowMs()).toISOString().replace(/[:.]/g, '-')}`
  await rename(dir, setAside)
  const previous = await recoverEpoch(setAside)
  const fresh = await openDatabase(dir)
  return createStore(fresh, await begin(fresh, options.newEpoch(), previous), setAside)
}

function createStore(db: Database, contents: OutboxContents, setAside: string | undefined): OutboxStore {
  let turn: Promise<unknown> = Promise.resolve()
  /** LevelDB runs calls on a thread pool in any order; a read must see the deletions asked for before it. */
  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = turn.then(work)
    turn = result.catch(() => undefined) // the caller has the error; the next in turn goes on
    return result
  }
  const write = (operations: Operation[], sync: boolean) =>
    inTurn(() =>
      db.batch(operations, { sync }).catch((error: unknown) => {
        throw unavailable('the outbox cannot be written', error)
      }),
    )

  return {
    contents,
    setAside,
    append(append, dropped, notes) {
      return write(
        [
          ...append.records.map(({ seq, json }) => ({
            type: 'put' as const,
            key: readingKey(seq),
            value: json,
          })),
          putHead(append),
          ...dropped.map((seq) => ({ type: 'del' as const, key: readingKey(seq) })),
          ...(dropped.length === 0 ? [] : noteOperations(notes)),
        ],
        true,
      )
    },
    forget(sequences, notes) {
      return write(
        [
          ...sequences.map((seq) => ({ type: 'del' as const, key: readingKey(seq) })),
          ...(notes === undefined ? [] : noteOperations(notes)),
        ],
        false,
      )
    },
    load({ fromSeq, toSeq, limit }) {
      return inTurn(async () => {
        const entries = await db
          .iterator({ gte: readingKey(fromSeq), lt: readingKey(toSeq), limit, fillCache: false })
          .all()
        return entries.map(([key, json]) => ({ seq: seqOfKey(key), json }))
      })
    },
    oldest(fromSeq, bytes) {
      return inTurn(async () => {
        const records: OutboxRecord[] = []
        let found = 0
        for await (const [key, json] of db.iterator({ gte: readingKey(fromSeq), lt: everyReading.lt })) {
          if (found >= bytes) break
          found += json.length
          records.push({ seq: seqOfKey(key), json })
        }
        return records
      })
    },
    close: () => inTurn(() => db.close()),
  }
}

async function openDatabase(dir: string): Promise<Database> {
  await mkdir(dir, { recursive: true, mode: 0o700 }).catch((error) => {
    throw unavailable(`${dir} cannot be made`, error)
  })
  const files = await readdir(dir)
  // LevelDB would take a folder that lost this file for a new one and clear it.
  if (!files.includes('CURRENT') && files.some((name) => /\.(ldb|log)$/.test(name)))
    throw new Corrupt('CURRENT is missing')
  const db: Database = new ClassicLevel(dir, databaseOptions)
  try {
    await db.open()
    return db
  } catch (error) {
    const reason = (error as Error).cause ?? error // abstract-level wraps LevelDB's word
    if (codeOf(reason) === 'LEVEL_LOCKED')
      throw new FleetError('store.locked', `another agent uses the outbox ${dir}`, { cause: error })
    if (isCorruption(reason)) throw reason
    throw unavailable(`the outbox ${dir} cannot be opened`, error)
  }
}

/** @returns undefined when the database is new; throws `Corrupt` when it contradicts itself */
async function readContents(db: Database): Promise<OutboxContents | undefined> {
  const [epochText, nextText, droppedText, previousText] = await db.getMany(Object.values(keys))
  const [firstKey] = await db.keys({ ...everyReading, limit: 1 }).all()
  if (epochText === undefined && nextText === undefined && firstKey === undefined) return undefined
  const epoch = parseEpoch(epochText)
  const next = parseJson(nextText) as Partial<Head> | undefined
  const [last] = await db.iterator({ ...everyReading, reverse: true, limit: 1 }).all()
  if (epoch === undefined || !isSeq(next?.nextSeq)) throw new Corrupt('epoch or next sequence cannot be read')
  if (last !== undefined && seqOfKey(last[0]) >= next.nextSeq)
    throw new Corrupt('a reading is newer than the next sequence')
  const firstSeq = firstKey === undefined ? next.nextSeq : seqOfKey(firstKey)
  const queued = await countReadings(db, next.nextSeq)
  return {
    epoch,
    nextSeq: next.nextSeq,
    firstSeq,
    queued,
    // One device's readings are about the same size.
    queuedBytes: queued * (last?.[1].length ?? 0),
    place: { position: next.place?.position, stamps: next.place?.stamps ?? noStamps },
    undatedFrom: next.undatedFrom,
    dropped: (parseJson(droppedText) as DroppedRange[] | undefined) ?? [],
    previous: parseJson(previousText) as PreviousEpoch | undefined,
  }
}

/** Holes lie only within what was in flight, so a look at the oldest keys is enough however long the queue is. */
async function countReadings(db: Database, nextSeq: number): Promise<number> {
  const oldest = await db.keys({ ...everyReading, limit: flightSpanMax }).all()
  const last = oldest.at(-1)
  if (last === undefined || oldest.length < flightSpanMax) return oldest.length
  return oldest.length + nextSeq - seqOfKey(last) - 1
}

async function begin(
  db: Database,
  epoch: Epoch,
  previous: PreviousEpoch | undefined,
): Promise<OutboxContents> {
  const place = { position: undefined, stamps: noStamps }
  const head = { nextSeq: 0, place, undatedFrom: undefined }
  const operations: Operation[] = [{ type: 'put', key: keys.epoch, value: epoch }, putHead(head)]
  await db.batch([...operations, ...noteOperations({ dropped: [], previous })], { sync: true })
  return {
    epoch,
    ...head,
    firstSeq: 0,
    queued: 0,
    queuedBytes: 0,
    dropped: [],
    previous,
  }
}

/** What a database that is already set aside still says of its epoch. */
async function recoverEpoch(dir: string): Promise<PreviousEpoch | undefined> {
  let db: Database | undefined
  try {
    await ClassicLevel.repair(dir)
    db = await openDatabase(dir)
    const epoch = parseEpoch(await db.get(keys.epoch))
    const next = parseJson(await db.get(keys.next)) as { nextSeq?: unknown } | undefined
    if (epoch === undefined || !isSeq(next?.nextSeq) || next.nextSeq === 0) return undefined
    return { epoch, lastSeq: next.nextSeq - 1 }
  } catch {
    // Beyond recovery: the new epoch begins without naming it.
    return undefined
  } finally {
    await db?.close()
  }
}

class Corrupt extends Error {}

function isCorruption(error: unknown): boolean {
  if (error instanceof Corrupt || codeOf(error) === 'LEVEL_CORRUPTION') return true
  // A file that CURRENT or the manifest names is gone.
  return codeOf(error) === 'LEVEL_IO_ERROR' && /No such file/.test((error as Error).message)
}

function codeOf(error: unknown): unknown {
  return (error as { code?: unknown } | undefined)?.code
}

function unavailable(message: string, cause: unknown): FleetError {
  return new FleetError('outbox.unavailable', message, { cause })
}

function putHead({ nextSeq, place, undatedFrom }: Head): Operation {
  return { type: 'put', key: keys.next, value: JSON.stringify({ nextSeq, place, undatedFrom }) }
}

function noteOperations({ dropped, previous }: Notes): Operation[] {
  return [
    dropped.length === 0
      ? { type: 'del', key: keys.dropped }
      : { type: 'put', key: keys.dropped, value: JSON.stringify(dropped) },
    previous === undefined
      ? { type: 'del', key: keys.previous }
      : { type: 'put', key: keys.previous, value: JSON.stringify(previous) },
  ]
}

function parseJson(text: string | undefined): unknown {
  if (text === undefined) return undefined
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new Corrupt('what is known of the outbox is not JSON', { cause })
  }
}

function isSeq(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}
