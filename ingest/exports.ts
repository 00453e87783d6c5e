/**
 * Exports: long jobs whose result is a file that is kept for a while. A job is a folder with what was asked, how it stands,
 * and the result; it is `done` only once the result is on disk whole, so that a kill at any moment leaves no half file
 * that anybody could fetch. Jobs that a restart broke off begin anew, a few times.
 */
import { createHash, randomUUID } from 'node:crypto'
import {
  createReadStream,
  createWriteStream,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { open, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { LotId } from '../core/contract/device.ts'
import { FleetError, isFleetError } from '../core/contract/errors.ts'
import type { Format } from '../core/contract/query.ts'
import type { ExportJob } from '../core/contract/sql.ts'
import type { Log } from '../core/runtime/log.ts'
import { byteOrderMark } from './formats/csv.ts'
import type { SqlLimits, SqlRunner } from './sql.ts'

export interface ExportsOptions {
  readonly runner: SqlRunner
  readonly folder: string
  readonly limits: SqlLimits
  /** Jobs of one client, finished ones too, until they are removed. */
  readonly perClientMax: number
  readonly jobsMax: number
  /** Of all results together. */
  readonly keptMb: number
  readonly keptMs: number
  readonly log: Log
  /** Wall clock, Unix milliseconds. */
  readonly now: () => number
}

/** Who asked, as far as it decides what they get. */
export interface Owner {
  readonly oauthClientId: string
  /** For whom the client says that it acts; undefined: for itself. */
  readonly person?: string | undefined
  readonly lots: readonly LotId[] | undefined
}

export interface NewExport {
  readonly owner: Owner
  readonly sql: string
  readonly format: Format
  readonly tz: string
}

/** As it is on disk. */
interface Job
  extends NewExport,
    Pick<ExportJob, 'id' | 'state' | 'rows' | 'bytes' | 'sha256' | 'code' | 'detail'> {
  readonly createdAtMs: number
  readonly endedAtMs: number | null
  readonly attempts: number
}

export interface ExportFile {
  readonly path: string
  readonly bytes: number
  readonly sha256: string
  readonly format: Format
}

const attemptsMax = 3
const mb = 1024 * 1024

export class Exports {
  readonly #options: ExportsOptions
  readonly #jobs = new Map<string, Job>()
  readonly #progress = new Map<string, number>()
  #running:
    | { readonly id: string; readonly abort: AbortController; readonly ended: Promise<void> }
    | undefined
  #isStopping = false

  constructor(options: ExportsOptions) {
    this.#options = options
    mkdirSync(options.folder, { recursive: true, mode: 0o700 })
    for (const id of readdirSync(options.folder)) this.#load(id)
    this.#next()
  }

  /**
   * Takes a job in; it is on disk when this returns.
   * @throws FleetError `system.busy` when there is no room
   */
  add(asked: NewExport): ExportJob {
    this.sweep()
    const jobs = [...this.#jobs.values()]
    const own = jobs.filter(({ owner }) => isSame(owner, asked.owner))
    if (own.length >= this.#options.perClientMax)
      throw busy(`you have ${own.length} exports already: remove one, or come back when they have expired`)
    if (jobs.length >= this.#options.jobsMax || this.#keptBytes() >= this.#options.keptMb * mb)
      throw busy('there is no room for another export now')
    const id = randomUUID()
    mkdirSync(this.#folderOf(id), { mode: 0o700 })
    this.#save({
      ...asked,
      id,
      state: 'waiting',
      createdAtMs: this.#options.now(),
      endedAtMs: null,
      attempts: 0,
      rows: null,
      bytes: null,
      sha256: null,
      code: null,
      detail: null,
    })
    this.#next()
    return this.#shown(this.#jobs.get(id) as Job) // just saved
  }

  /** Newest first. */
  list(owner: Owner): ExportJob[] {
    return [...this.#jobs.values()]
      .filter((job) => maySee(job, owner))
      .sort((a, b) => b.createdAtMs - a.createdAtMs)
      .map((job) => this.#shown(job))
  }

  /** @throws FleetError `request.not_found` alike for a job that is not there and for another's */
  show(id: string, owner: Owner): ExportJob {
    return this.#shown(this.#get(id, owner))
  }

  /** @throws FleetError `request.not_found`, `request.conflict` while there is no result */
  file(id: string, owner: Owner): ExportFile {
    const { state, bytes, sha256, format } = this.#get(id, owner)
    const path = this.#resultOf(id)
    if (state !== 'done' || bytes === null || sha256 === null)
      throw new FleetError('request.conflict', `the export is ${state}`, {
        safeDetail: `the export is ${state}`,
      })
    return { path, bytes, sha256, format }
  }

  /** Ends it when it runs, and forgets it. */
  async remove(id: string, owner: Owner): Promise<void> {
    this.#get(id, owner)
    await this.#drop(id)
  }

  /** Forgets what has been kept for long enough. */
  sweep(): void {
    const { now, keptMs } = this.#options
    for (const { id, endedAtMs } of [...this.#jobs.values()])
      if (endedAtMs !== null && now() - endedAtMs >= keptMs) void this.#drop(id)
  }

  /** What runs begins anew at the next start. */
  async stop(): Promise<void> {
    this.#isStopping = true
    this.#running?.abort.abort(new Error('ingest stops'))
    await this.#running?.ended
  }

  async #drop(id: string): Promise<void> {
    this.#jobs.delete(id)
    this.#progress.delete(id)
    if (this.#running?.id === id) {
      this.#running.abort.abort(new Error('the export was removed'))
      await this.#running.ended
    }
    rmSync(this.#folderOf(id), { recursive: true, force: true })
  }

  #next(): void {
    if (this.#running !== undefined || this.#isStopping) return
    const job = [...this.#jobs.values()]
      .filter(({ state }) => state === 'waiting')
      .sort((a, b) => a.createdAtMs - b.createdAtMs)[0]
    if (job === undefined) return
    const abort = new AbortController()
    const ended = this.#run(job, abort.signal).finally(() => {
      this.#running = undefined
      this.#next()
    })
    this.#running = { id: job.id, abort, ended }
  }

  async #run(job: Job, signal: AbortSignal): Promise<void> {
    const { runner, limits, keptMb, log, now } = this.#options
    const { id, sql, format, tz, owner } = job
    const running: Job = { ...job, state: 'running', attempts: job.attempts + 1 }
    const work = join(this.#folderOf(id), 'work')
    try {
      this.#save(running)
      rmSync(work, { recursive: true, force: true })
      mkdirSync(work, { mode: 0o700 })
      const roomMb = Math.max(1, Math.floor(keptMb - this.#keptBytes() / mb))
      const principal = { lots: owner.lots && new Set(owner.lots) }
      const question = {
        sql,
        format,
        tz,
        principal,
        folder: work,
        limits: { ...limits, resultMb: Math.min(limits.resultMb, roomMb) },
      }
      const answer = await runner.run(question, signal, (percent) => void this.#progress.set(id, percent))
      const { bytes, sha256 } = await keepResult(answer.file, this.#resultOf(id), format)
      if (this.#jobs.has(id))
        this.#save({ ...running, state: 'done', endedAtMs: now(), rows: answer.rows, bytes, sha256 })
      log.info('export.done', { exportId: id, rows: answer.rows, bytes })
    } catch (error) {
      // Stopped with the program, or removed: there is nobody to tell.
      if (signal.aborted) return
      const isOurs = isFleetError(error)
      log.warn('export.failed', { exportId: id, error })
      this.#save({
        ...running,
        state: 'failed',
        endedAtMs: now(),
        code: isOurs ? error.code : 'store.unavailable',
        detail: (isOurs ? error.safeDetail : undefined) ?? 'the export could not be written',
      })
    } finally {
      this.#progress.delete(id)
      rmSync(work, { recursive: true, force: true })
    }
  }

  /** What an earlier run of the program left behind. */
  #load(id: string): void {
    try {
      const job = JSON.parse(readFileSync(this.#fileOf(id), 'utf8')) as Job // written by #save
      const size = statSync(this.#resultOf(id), { throwIfNoEntry: false })?.size
      this.#jobs.set(id, job)
      if (job.state === 'done' && size !== job.bytes) this.#fail(job, 'the result is there no longer')
      else if (job.state !== 'running') return
      else if (job.attempts >= attemptsMax) this.#fail(job, `it was broken off ${job.attempts} times`)
      else this.#save({ ...job, state: 'waiting' })
    } catch {
      // Killed before it was taken in: whoever asked has no answer either.
      rmSync(this.#folderOf(id), { recursive: true, force: true })
    }
  }

  #fail(job: Job, detail: string): void {
    const endedAtMs = this.#options.now()
    this.#save({
      ...job,
      state: 'failed',
      endedAtMs,
      code: 'store.unavailable',
      detail,
      bytes: null,
      sha256: null,
    })
  }

  #save(job: Job): void {
    const file = this.#fileOf(job.id)
    writeFileSync(`${file}.tmp`, JSON.stringify(job), { mode: 0o600, flush: true })
    renameSync(`${file}.tmp`, file)
    this.#jobs.set(job.id, job)
  }

  #get(id: string, owner: Owner): Job {
    const job = this.#jobs.get(id)
    if (job === undefined || !maySee(job, owner))
      throw new FleetError('request.not_found', 'no such export', { safeDetail: `there is no export ${id}` })
    return job
  }

  #shown(job: Job): ExportJob {
    const { id, state, format, createdAtMs, endedAtMs, rows, bytes, sha256, code, detail } = job
    const time = (ms: number | null) => (ms === null ? null : new Date(ms).toISOString())
    return {
      id,
      state,
      format,
      progress: state === 'done' ? 100 : Math.round(this.#progress.get(id) ?? 0),
      createdAt: new Date(createdAtMs).toISOString(),
      endedAt: time(endedAtMs),
      expiresAt: time(endedAtMs === null ? null : endedAtMs + this.#options.keptMs),
      rows,
      bytes,
      sha256,
      code,
      detail,
    }
  }

  #keptBytes(): number {
    return [...this.#jobs.values()].reduce((sum, { bytes }) => sum + (bytes ?? 0), 0)
  }

  #folderOf(id: string): string {
    return join(this.#options.folder, id)
  }

  #fileOf(id: string): string {
    return join(this.#folderOf(id), 'job.json')
  }

  #resultOf(id: string): string {
    return join(this.#folderOf(id), 'result')
  }
}

function isSame(one: Owner, other: Owner): boolean {
  return one.oauthClientId === other.oauthClientId && one.person === other.person
}

/** The same client for the same person; and a token with a limit sees nothing that goes beyond it. */
function maySee({ owner }: Job, who: Owner): boolean {
  if (!isSame(owner, who)) return false
  return who.lots === undefined || (owner.lots?.every((lotId) => who.lots?.includes(lotId)) ?? false)
}

/** Gives a result its place once all of it is on disk. */
async function keepResult(
  from: string,
  to: string,
  format: Format,
): Promise<{ bytes: number; sha256: string }> {
  const hash = createHash('sha256')
  let bytes = 0
  const count = (chunk: Buffer | string) => {
    hash.update(chunk)
    bytes += Buffer.byteLength(chunk)
  }
  let source = from
  if (format === 'csv-excel') {
    source = `${from}.excel`
    const target = createWriteStream(source)
    target.write(byteOrderMark)
    count(byteOrderMark)
    const counting = new Transform({
      transform(chunk: Buffer, _encoding, done) {
        count(chunk)
        done(null, chunk)
      },
    })
    await pipeline(createReadStream(from), counting, target)
  } else for await (const chunk of createReadStream(from, { highWaterMark: mb })) count(chunk as Buffer) // no encoding is set
  const handle = await open(source, 'r')
  await handle.sync().finally(() => handle.close())
  await rename(source, to)
  return { bytes, sha256: hash.digest('hex') }
}

function busy(safeDetail: string): FleetError {
  return new FleetError('system.busy', safeDetail, { safeDetail })
}
