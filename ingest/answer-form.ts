/**
 * An answer on its way to the client, in the form that was asked for. Rows go out as they are read: a client that is slow
 * makes them wait, one that has left ends the question. Parquet is a file first, since its end says where its rows are.
 */
import { createReadStream } from 'node:fs'
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
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
  /** All of them, or as they come. */
  readonly rows: readonly Row[] | AsyncIterable<readonly Row[]>
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

/** Files made at once: each takes some memory and a place on the disk. */
const parquetMax = 4

export function createSender(): (
  reply: FastifyReply,
  found: Found<object>,
  form: Form,
) => Promise<FastifyReply> {
  let files = 0

  async function sendParquet(reply: FastifyReply, found: Found<object>, form: Form): Promise<FastifyReply> {
    if (files >= parquetMax)
      throw new FleetError('system.busy', 'too many Parquet files at once', {
        safeDetail: 'too many Parquet files are being made: come back, or ask for CSV',
      })
    files++
    const folder = await mkdtemp(join(tmpdir(), 'lotwatch-answer-'))
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
    const text = textPages(await begun(pagesOf(found)), { format, columns, frame: frameOf(found, form) })
    return reply.send(Readable.from(text, { highWaterMark: 1 }))
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
  const headers: [string, string | undefined][] = [
    ['lotwatch-tz', tz],
    // Of a stream nobody knows before its end.
    ['lotwatch-rows', isList(rows) ? String(rows.length) : undefined],
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

/** The first page is there before anything is said: until then a question can fail with an answer that says so. */
async function begun(pages: Pages): Promise<Pages> {
  if (!(Symbol.asyncIterator in pages)) return pages
  const iterator = pages[Symbol.asyncIterator]()
  const first = await iterator.next()
  return (async function* rest() {
    try {
      for (let next = first; next.done !== true; next = await iterator.next()) yield next.value
    } finally {
      await iterator.return?.()
    }
  })()
}

function isList<Row>(rows: readonly Row[] | AsyncIterable<readonly Row[]>): rows is readonly Row[] {
  return Array.isArray(rows)
}
