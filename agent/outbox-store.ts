/**
 * The outbox on disk (LevelDB): what was appended survives a power cut, what was settled is forgotten lazily.
 * An append is one synced batch of readings, next sequence, sensor position and drops, so they can never disagree.
 * Deletions are not synced: losing one sends a reading again, which ingest recognises.
 * It decides nothing; the rules are in `outbox.ts`. What cannot be read any more goes to `outbox-salvage.ts`.
 *
 * Keys: `m/…` for what is known of the outbox, `r/` and the sequence in 14 hex digits for readings.
 */
import { mkdir, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ClassicLevel } from 'classic-level'
import { type Epoch, parseEpoch } from '../core/contract/device.ts'
import { FleetError, isFleetError } from '../core/contract/errors.ts'
import type { DroppedRange } from '../core/contract/payload.ts'
import { type Change, isSoundLog, isSoundTable, readLog, readManifest, readTable } from './leveldb-files.ts'
import {
  type Append,
  flightSpanMax,
  type Notes,
  type OutboxContents,
  type PreviousEpoch,
  type ReadAhead,
  type Room,
} from './outbox.ts'
import {
  decodeNote,
  decodeRecord,
  encodeNote,
  encodeRecord,
  everyReading,
  readingKey,
  seqOfKey,
} from './outbox-format.ts'
import type { OutboxRecord } from './outbox-record.ts'
import { openWitness, readTestimony, type Testimony, type Witness } from './outbox-witness.ts'
import { noStamps } from './stamps.ts'

/** Every verb takes its turn: what is called first has happened first. */
export interface OutboxStore {
  /** What was found at opening. */
  readonly contents: OutboxContents
  /**
   * Resolves when all of it is durable; whether it is, when it rejects, is not known: write it again.
   * @param notes undefined: as they were
   * @throws FleetError `outbox.unavailable`; `outbox.corrupt`
   */
  append(append: Append, room: Room, notes: Notes | undefined): Promise<void>
  /** Deletes what is settled, some time soon. */
  forget(sequences: readonly number[], notes: Notes | undefined): Promise<void>
  /** The readings of a range, ascending. @throws FleetError `outbox.corrupt` when one is not as it was written */
  load(range: ReadAhead): Promise<OutboxRecord[]>
  /** The oldest readings from a sequence on, until together they have `bytes`. @throws as `load` */
  oldest(fromSeq: number, bytes: number): Promise<OutboxRecord[]>
  close(): Promise<void>
}

type Database = ClassicLevel<string, string>
type Operation = { type: 'put'; key: string; value: string } | { type: 'del'; key: string }

/** What every append writes anew. */
type Head = Pick<Append, 'nextSeq' | 'place' | 'undatedFrom' | 'thinFrom'>

const keys = { epoch: 'm/epoch', head: 'm/head', dropped: 'm/dropped', previous: 'm/previous' } as const
/**
 * A device's queue is small and read once, in order: LevelDB's defaults (8 MB cache, 4 MB buffers) are for other uses.
 * Mostly it lies in the log, which is never compressed; tables that are not can be checked and read by ourselves.
 */
const databaseOptions = {
  cacheSize: 512 * 1024,
  writeBufferSize: 1024 * 1024,
  maxOpenFiles: 64,
  compression: false,
} as const

/**
 * LevelDB keeps every table mapped that it has read, for as long as there is the table: what is deleted in a long queue is
 * compacted away in steps of this many readings, 5 MB.
 */
const deletedAtOnce = 32_768

/**
 * Opens the outbox, or makes a new one with a new epoch.
 * @throws FleetError `store.locked`, `outbox.unavailable`; `outbox.corrupt` when it cannot be trusted as a whole
 */
export async function openOutboxStore(
  dir: string,
  begin: { newEpoch: () => Epoch; previous: PreviousEpoch | undefined },
): Promise<OutboxStore> {
  const { db, witness } = await openBoth(dir)
  try {
    const contents = await readContents(db)
    // A witness that saw an epoch which the database knows nothing of: that one is gone.
    if (contents === undefined && witness.testimony === undefined)
      return createStore(dir, { db, witness }, await start(db, witness, begin))
    const { testimony } = witness
    if (
      contents === undefined ||
      (testimony?.epoch === contents.epoch && testimony.nextSeq > contents.nextSeq)
    )
      throw corrupt('sequences were given away that it knows nothing of')
    if (testimony?.epoch !== contents.epoch) witness.begin(contents.epoch)
    return createStore(dir, { db, witness }, contents)
  } catch (error) {
    witness.close()
    await db.close()
    throw faultOf(error, `the outbox ${dir} cannot be read`)
  }
}

/** The readings of a range. @throws FleetError `outbox.corrupt` */
async function loadRange(db: Database, { fromSeq, toSeq, limit }: ReadAhead): Promise<OutboxRecord[]> {
  const range = { gte: readingKey(fromSeq), lt: readingKey(toSeq), limit, fillCache: false }
  const entries = await db.iterator(range).all()
  return entries.map(recordOf)
}

/**
 * Makes an outbox of what can be read of another, whose files stay as they are: the same epoch, readings and notes,
 * with holes for what cannot be read.
 * @returns false when not even its epoch can be read
 */
export async function rebuildOutbox(from: string, to: string): Promise<boolean> {
  await mkdir(to, { mode: 0o700 })
  const db: Database = new ClassicLevel(to, databaseOptions)
  await db.open()
  const witness = openWitness(to)
  try {
    for (const name of (await readdir(from)).sort()) {
      const read = name.endsWith('.ldb') ? readTable : name.endsWith('.log') ? readLog : undefined
      if (read !== undefined) await take(db, read(await readFile(join(from, name))))
    }
    return await finish(db, witness, readTestimony(from))
  } finally {
    witness.close()
    await db.close()
  }
}

const changesAtOnce = 500

/** Puts changes where no later one of the same key is; with when they were made, until all are there. */
async function take(db: Database, changes: readonly Change[]): Promise<void> {
  for (let from = 0; from < changes.length; from += changesAtOnce) {
    const newest = new Map<string, Change>()
    for (const change of changes.slice(from, from + changesAtOnce))
      if ((newest.get(change.key)?.at ?? -1) < change.at) newest.set(change.key, change)
    const known = await db.getMany([...newest.keys()])
    const later = [...newest.values()].filter(({ at }, i) => at > Number(known[i]?.split(' ', 1)[0] ?? -1))
    await db.batch(
      later.map(({ key, value, at }) => ({ type: 'put', key, value: `${at} ${value ?? ''}` })),
      { sync: false },
    )
  }
}

/** Leaves what is as it was written. */
async function finish(db: Database, witness: Witness, testimony: Testimony | undefined): Promise<boolean> {
  const known: Partial<Record<string, unknown>> = {}
  let nextSeq = testimony?.nextSeq ?? 0
  let operations: Operation[] = []
  for await (const [key, stored] of db.iterator()) {
    const value = stored.slice(stored.indexOf(' ') + 1)
    const record = decodeRecord(key, value)
    if (key.startsWith('m/')) known[key] = value === '' ? undefined : decodeNote(key, value)
    if (record !== undefined) nextSeq = Math.max(nextSeq, record.seq + 1)
    operations.push(record === undefined ? { type: 'del', key } : { type: 'put', key, value })
    if (operations.length < changesAtOnce) continue
    await db.batch(operations, { sync: false })
    operations = []
  }
  const head = known[keys.head] as Head | undefined
  const epoch = testimony?.epoch ?? parseEpoch(known[keys.epoch])
  if (epoch === undefined) return false
  nextSeq = Math.max(nextSeq, head?.nextSeq ?? 0)
  const place = { position: undefined, stamps: head?.place.stamps ?? noStamps }
  // Where the undated began is not known: all are looked at. And all are counted, as if it had been thinned.
  const undatedFrom = head === undefined ? 0 : head.undatedFrom
  const dropped = (known[keys.dropped] as DroppedRange[] | undefined) ?? []
  const previous = known[keys.previous] as PreviousEpoch | undefined
  operations.push(
    put(keys.epoch, epoch),
    put(keys.head, { nextSeq, place, undatedFrom, thinFrom: 0 }),
    ...noteOperations({ dropped, previous }),
  )
  await db.batch(operations, { sync: true })
  witness.begin(epoch)
  witness.see(nextSeq)
  return true
}

function createStore(
  dir: string,
  opened: { db: Database; witness: Witness },
  contents: OutboxContents,
): OutboxStore {
  const { witness } = opened
  let db: Database | undefined = opened.db
  /** LevelDB may have left half a record at the end of its log; what is written behind it would be lost. */
  let isTorn = false
  let turn: Promise<unknown> = Promise.resolve()
  let closed: Promise<void> | undefined
  /** LevelDB runs calls on a thread pool in any order; a read must see the deletions asked for before it. */
  function inTurn<T>(kind: 'read' | 'write', work: (db: Database) => Promise<T>): Promise<T> {
    const result = turn.then(async () => {
      if (db === undefined || (isTorn && kind === 'write')) await reopen()
      try {
        return await work(db as Database) // reopened, or it has thrown
      } catch (error) {
        throw faultOf(error, `the outbox cannot be ${kind === 'read' ? 'read' : 'written'}`)
      }
    })
    turn = result.catch(() => undefined) // the caller has the error; the next in turn goes on
    return result
  }
  async function reopen(): Promise<void> {
    await db?.close()
    db = undefined
    db = await openDatabase(dir)
    isTorn = false
  }
  const written = (database: Database, operations: Operation[], sync: boolean) =>
    database.batch(operations, { sync }).catch((error: unknown) => {
      isTorn = true
      throw error
    })
  /** Deleted since the last time. */
  let deleted = 0
  async function letGo(database: Database, before: number): Promise<void> {
    deleted = 0
    await database.compactRange(everyReading.gte, readingKey(before)).catch(() => {
      isTorn = true // nothing is lost by it, but LevelDB writes nothing more until it is opened again
    })
  }
  const deletions = (sequences: readonly number[]) =>
    sequences.map((seq) => ({ type: 'del' as const, key: readingKey(seq) }))

  return {
    contents,
    async append(append, room, notes) {
      const records = [...append.records, ...room.rewritten]
      const operations: Operation[] = [
        ...deletions(room.deleted),
        ...records.map((record) => ({ type: 'put' as const, ...encodeRecord(record) })),
        put(keys.head, headOf(append)),
        ...(notes === undefined ? [] : noteOperations(notes)),
      ]
      await inTurn('write', (database) => written(database, operations, true))
      witness.see(append.nextSeq)
    },
    forget: (sequences, notes) =>
      inTurn('write', async (database) => {
        const told = notes === undefined ? [] : noteOperations(notes)
        await written(database, [...deletions(sequences), ...told], false)
        deleted += sequences.length
        if (deleted >= deletedAtOnce) await letGo(database, sequences.at(-1) ?? 0)
      }),
    load: (range) => inTurn('read', (database) => loadRange(database, range)),
    oldest: (fromSeq, bytes) =>
      inTurn('read', async (database) => {
        const records: OutboxRecord[] = []
        let found = 0
        const range = { gte: readingKey(fromSeq), lt: everyReading.lt, fillCache: false }
        for await (const entry of database.iterator(range)) {
          if (found >= bytes) break
          const record = recordOf(entry)
          found += record.json.length
          records.push(record)
        }
        return records
      }),
    close() {
      closed ??= turn.then(async () => {
        witness.close()
        await db?.close()
      })
      return closed
    },
  }
}

async function openBoth(dir: string): Promise<{ db: Database; witness: Witness }> {
  await mkdir(dir, { recursive: true, mode: 0o700 }).catch((error) => {
    throw unavailable(`${dir} cannot be made`, error)
  })
  const db = await openDatabase(dir)
  try {
    return { db, witness: openWitness(dir) }
  } catch (error) {
    await db.close()
    throw unavailable(`the outbox ${dir} cannot be opened`, error)
  }
}

async function openDatabase(dir: string): Promise<Database> {
  await checkFiles(dir, await readdir(dir))
  const db: Database = new ClassicLevel(dir, databaseOptions)
  try {
    await db.open()
  } catch (error) {
    const reason = (error as Error).cause ?? error // abstract-level wraps LevelDB's word
    if (codeOf(reason) === 'LEVEL_LOCKED')
      throw new FleetError('store.locked', `another agent uses the outbox ${dir}`, { cause: error })
    throw faultOf(reason, `the outbox ${dir} cannot be opened`)
  }
  return db
}

/** @throws FleetError `outbox.corrupt` when a file is not as LevelDB wrote it */
async function checkFiles(dir: string, names: readonly string[]): Promise<void> {
  // LevelDB would take a folder that lost this file for a new one and clear it.
  if (!names.includes('CURRENT') && names.some((name) => /\.(ldb|log)$/.test(name)))
    throw corrupt('CURRENT is missing')
  if (!names.includes('CURRENT')) return
  const read = (name: string) =>
    readFile(join(dir, name)).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') throw corrupt(`${name} is missing`)
      throw unavailable(`${name} cannot be read`, error)
    })
  const manifest = (await read('CURRENT')).toString('latin1').trim()
  if (!/^MANIFEST-\d+$/.test(manifest)) throw corrupt('CURRENT cannot be read')
  const { tables, firstLog, isSound } = readManifest(await read(manifest))
  if (!isSound) throw corrupt('a part of the manifest cannot be read')
  for (const table of tables.map((number) => `${String(number).padStart(6, '0')}.ldb`))
    if (!isSoundTable(await read(table))) throw corrupt(`a part of ${table} cannot be read`)
  for (const log of names.filter((name) => name.endsWith('.log')))
    if (Number.parseInt(log, 10) >= firstLog && !isSoundLog(await read(log)))
      throw corrupt(`a part of ${log} cannot be read`)
}

/** @returns undefined when the database is new; throws `outbox.corrupt` when it contradicts itself */
async function readContents(db: Database): Promise<OutboxContents | undefined> {
  const { epoch: epochText, head, dropped, previous } = await readNotes(db)
  const [firstKey] = await db.keys({ ...everyReading, limit: 1 }).all()
  if (epochText === undefined && head === undefined && firstKey === undefined) return undefined
  const epoch = parseEpoch(epochText)
  const { nextSeq, place, undatedFrom, thinFrom } = (head ?? {}) as Partial<Head>
  const [last] = await db.iterator({ ...everyReading, reverse: true, limit: 1 }).all()
  if (epoch === undefined || !isSeq(nextSeq)) throw corrupt('epoch or next sequence cannot be read')
  if (last !== undefined && recordOf(last).seq >= nextSeq)
    throw corrupt('a reading is newer than the next sequence')
  const firstSeq = firstKey === undefined ? nextSeq : seqOfKey(firstKey)
  if (firstSeq === undefined) throw corrupt('the oldest reading cannot be read')
  const queued = await countReadings(db, nextSeq, thinFrom !== undefined)
  return {
    epoch,
    nextSeq,
    firstSeq,
    queued,
    // One device's readings are about the same size.
    queuedBytes: queued * (last?.[1].length ?? 0),
    place: { position: place?.position, stamps: place?.stamps ?? noStamps },
    undatedFrom,
    thinFrom,
    dropped: (dropped as DroppedRange[] | undefined) ?? [],
    previous: previous as PreviousEpoch | undefined,
  }
}

/** What is known of the outbox. @throws FleetError `outbox.corrupt` when it is not as it was written */
async function readNotes(db: Database): Promise<Partial<Record<keyof typeof keys, unknown>>> {
  const notes: Partial<Record<keyof typeof keys, unknown>> = {}
  for (const [name, key] of Object.entries(keys) as [keyof typeof keys, string][]) {
    const value = await db.get(key)
    if (value === undefined) continue
    notes[name] = decodeNote(key, value)
    if (notes[name] === undefined) throw corrupt('what is known of the outbox is not as it was written')
  }
  return notes
}

/**
 * Holes lie only within what was in flight, so a look at the oldest keys is enough however long the queue is; unless it
 * was thinned, then all are looked at.
 */
async function countReadings(db: Database, nextSeq: number, isThinned: boolean): Promise<number> {
  if (isThinned) {
    let count = 0
    const iterator = db.keys(everyReading)
    for (let some = await iterator.nextv(1000); some.length > 0; some = await iterator.nextv(1000))
      count += some.length
    await iterator.close()
    return count
  }
  const oldest = await db.keys({ ...everyReading, limit: flightSpanMax }).all()
  const last = oldest.at(-1)
  if (last === undefined || oldest.length < flightSpanMax) return oldest.length
  return oldest.length + nextSeq - (seqOfKey(last) ?? nextSeq) - 1
}

async function start(
  db: Database,
  witness: Witness,
  { newEpoch, previous }: { newEpoch: () => Epoch; previous: PreviousEpoch | undefined },
): Promise<OutboxContents> {
  const epoch = newEpoch()
  const place = { position: undefined, stamps: noStamps }
  const head = { nextSeq: 0, place, undatedFrom: undefined, thinFrom: undefined }
  const operations = [
    put(keys.epoch, epoch),
    put(keys.head, head),
    ...noteOperations({ dropped: [], previous }),
  ]
  await db.batch(operations, { sync: true })
  witness.begin(epoch)
  return { epoch, ...head, firstSeq: 0, queued: 0, queuedBytes: 0, dropped: [], previous }
}

function recordOf([key, value]: [string, string]): OutboxRecord {
  const record = decodeRecord(key, value)
  if (record === undefined) throw corrupt('a reading is not as it was written')
  return record
}

function corrupt(message: string, cause?: unknown): FleetError {
  return new FleetError('outbox.corrupt', message, cause === undefined ? {} : { cause })
}

/** What a failure of LevelDB means. */
function faultOf(error: unknown, message: string): FleetError {
  if (isFleetError(error)) return error
  const code = codeOf(error)
  // An IO error without its file: one that CURRENT or the manifest names is gone.
  const isCorruption =
    code === 'LEVEL_CORRUPTION' ||
    (code === 'LEVEL_IO_ERROR' && /No such file/.test((error as Error).message))
  return isCorruption ? corrupt(message, error) : unavailable(message, error)
}

function codeOf(error: unknown): unknown {
  return (error as { code?: unknown } | undefined)?.code
}

function unavailable(message: string, cause: unknown): FleetError {
  return new FleetError('outbox.unavailable', message, { cause })
}

function headOf({ nextSeq, place, undatedFrom, thinFrom }: Head): Head {
  return { nextSeq, place, undatedFrom, thinFrom }
}

function put(key: string, note: unknown): Operation {
  return { type: 'put', key, value: encodeNote(key, note) }
}

function noteOperations({ dropped, previous }: Notes): Operation[] {
  return [
    dropped.length === 0 ? { type: 'del', key: keys.dropped } : put(keys.dropped, dropped),
    previous === undefined ? { type: 'del', key: keys.previous } : put(keys.previous, previous),
  ]
}

function isSeq(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}
