/**
 * An answer on its way to the client, in the form that was asked for. Rows go out as they are read: a client that is slow
 * makes them wait, one that has left ends the question. Parquet is a file first, since its end says where its rows are.
 */
import { createReadStream, mkdirSync, rmSync } from 'node:fs'
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import type { FastifyReply } from 'fastify'
import type { Completeness, Gap } from '../core/contract/completeness.ts'
import { FleetError } from '../core/contract/errors.ts'
import type { Format } from '../core/contract/query.ts'
import { mediaTypes, textPages } from './formats/formats.ts'
import { writeParquet } from './formats/parquet.ts'
import type { Column, Pages } from './formats/table.ts'

/** Rows with what is known to be missing in them. */
export interface Found<Row extends object> {
  /** All of them, or some at a time as they are made or come. */
  readonly rows: readonly Row[] | Iterable<readonly Row[]> | AsyncIterable<readonly Row[]>
  /** How many there are, where that is known before they are. */
  readonly rowCount?: number | undefined
  readonly gaps: readonly Gap[]
  readonly completeness?: Completeness | undefined
  /** Length of the windows. */
  readonly resolution?: string | undefined
  /** Where to go on, as an opaque text. */
  readonly nextCursor?: string | undefined
}

export interface Form {
  readonly format: Format
  readonly columns: readonly Column[]
  readonly tz: string
  readonly signal: AbortSignal
}

/** What an answer that is longer leaves in parts of; a shorter one leaves as a whole. */
const partChars = 128 * 1024
export interface SenderOptions {
  /** Of its own, for Parquet files; what is in it goes at the start. */
  readonly folder: string
  /** Parquet files made at once: each takes some memory, a place on the disk, and a thread of Node's pool. */
  readonly filesMax: number
}

/** @param poolThreads four, as Node has them, unless somebody says otherwise: questions and commits need most of these */
export function parquetFilesFor(poolThreads = 4): number {
  return poolThreads < 8 ? 1 : 4
}

export function createSender({
  folder: parent,
  filesMax,
}: SenderOptions): (reply: FastifyReply, found: Found<object>, form: Form) => Promise<FastifyReply> {
  let files = 0
  rmSync(parent, { recursive: true, force: true })
  mkdirSync(parent, { recursive: true, mode: 0o700 })

  async function sendParquet(reply: FastifyReply, found: Found<object>, form: Form): Promise<FastifyReply> {
    if (files >= filesMax)
      throw new FleetError('system.busy', 'too many Parquet files at once', {
        safeDetail: 'too many Parquet files are being made: come back, or ask for CSV',
      })
    files++
    const folder = await mkdtemp(join(parent, 'answer-'))
    const remove = () => rm(folder, { recursive: true, force: true })
    try {
      const file = join(folder, 'answer.parquet')
      const metadata = Object.fromEntries(
        Object.entries(frameOf(found, form)).map(([name, value]) => [
          `lotwatch.${name}`,
          typeof value === 'string' ? value : JSON.stringify(value),
        ]),
      )
      await writeParquet(pagesOf(found), form.columns, { file, metadata, signal: form.signal })
      const { size } = await stat(file)
      const stream = createReadStream(file)
      stream.once('close', () => void remove())
      return reply.header('content-length', size).send(stream)
    } catch (error) {
      await remove()
      throw error
    } finally {
      files--
    }
  }

  return async (reply, found, form) => {
    void reply.header('content-type', mediaTypes[form.format]).header('vary', 'accept')
    // JSON says it itself.
    if (form.format !== 'json')
      for (const [name, value] of headersOf(found, form)) void reply.header(name, value)
    if (form.format === 'parquet') return sendParquet(reply, found, form)
    const { format, columns } = form
    const text = textPages(pagesOf(found), { format, columns, frame: frameOf(found, form) })
    const { head, rest } = await begun(text)
    if (rest === undefined) return reply.send(head)
    return reply.send(Readable.from(rest, { objectMode: false, highWaterMark: partChars }))
  }
}

/** What JSON says beside the rows. */
function frameOf(found: Found<object>, { tz }: Form) {
  const { gaps, completeness, resolution, nextCursor } = found
  return {
    tz,
    ...(resolution === undefined ? {} : { resolution }),
    complete: isComplete(found),
    ...(completeness === undefined ? {} : { completeness }),
    gaps,
    ...(nextCursor === undefined ? {} : { nextCursor }),
  }
}

/** The same for forms that have nothing but rows. */
function headersOf(found: Found<object>, { tz }: Form): [string, string][] {
  const { rows, gaps, completeness, resolution, nextCursor } = found
  const rowCount = isList(rows) ? rows.length : found.rowCount
  const headers: [string, string | undefined][] = [
    ['lotwatch-tz', tz],
    // Of a stream nobody knows before its end.
    ['lotwatch-rows', rowCount === undefined ? undefined : String(rowCount)],
    ['lotwatch-complete', String(isComplete(found))],
    ['lotwatch-gaps', String(gaps.length)],
    ['lotwatch-completeness', completeness && dictionaryOf(completeness)],
    ['lotwatch-resolution', resolution],
    ['lotwatch-next-cursor', nextCursor],
  ]
  return headers.filter((header): header is [string, string] => header[1] !== undefined)
}

function isComplete({ gaps, completeness }: Found<object>): boolean {
  return gaps.length === 0 && (completeness?.missing ?? 0) === 0 && (completeness?.dropped ?? 0) === 0
}

/** A dictionary of structured fields (RFC 9651), without what is not known. */
function dictionaryOf(completeness: Completeness): string {
  return Object.entries(completeness)
    .filter(([, count]) => count !== null)
    .map(([name, count]) => `${name}=${count}`)
    .join(', ')
}

function pagesOf({ rows }: Found<object>): Pages {
  return isList(rows) ? [rows] : rows
}

/**
 * The first part is there before anything is said: until then a question can fail with an answer that says so. What
 * comes in pieces leaves in parts of some length, each of which costs a chunk on the wire.
 * @returns no `rest` when that is all
 */
async function begun(
  text: AsyncGenerator<string>,
): Promise<{ head: string; rest: AsyncGenerator<string> | undefined }> {
  const part = async () => {
    let chars = ''
    while (chars.length < partChars) {
      const next = await text.next()
      if (next.done === true) return { chars, isLast: true }
      chars += next.value
    }
    return { chars, isLast: false }
  }
  const { chars: head, isLast } = await part()
  if (isLast) return { head, rest: undefined }
  const rest = async function* () {
    try {
      yield head
      for (;;) {
        const { chars, isLast } = await part()
        if (chars !== '') yield chars
        if (isLast) return
      }
    } finally {
      await text.return(undefined)
    }
  }
  return { head, rest: rest() }
}

/** What is made some at a time is never an array itself. */
function isList<Row extends object>(rows: Found<Row>['rows']): rows is readonly Row[] {
  return Array.isArray(rows)
}
