import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import { describe, expect, it } from 'vitest'
import { type QuestionOutput, verbs } from '../../../cli/queries.ts'
import type { Answer, LatestRow, SeriesRow } from '../../../core/contract/query.ts'
import type { Api, ApiRequest } from '../../../core/runtime/fetch.ts'
import { makeDataDir } from '../../kit/program.ts'

const row: LatestRow = {
  lotId: 'north',
  name: 'North',
  time: '2024-03-01T08:00:00+00:00',
  ageSec: 720,
  state: 'stale',
  occupied: null,
  capacity: 80,
  free: null,
  lastOccupied: 39,
}
const whole: Answer<LatestRow> = { tz: 'UTC', rows: [row], complete: true, gaps: [] }

/** Ingest, as far as a verb sees it. */
function ingestWith(answer: unknown, csv: { body: string; headers?: Record<string, string> } = { body: '' }) {
  const asked: (ApiRequest | undefined)[] = []
  const api: Api = {
    async json<T>(_: string, request?: ApiRequest) {
      asked.push(request)
      return answer as T
    },
    async response(_, request) {
      asked.push(request)
      return new Response(csv.body, csv.headers === undefined ? {} : { headers: csv.headers })
    },
  }
  return { api, asked }
}

async function say(verb: keyof typeof verbs, api: Api, output: QuestionOutput, file?: string) {
  const said = { answer: '', note: '' }
  await verbs[verb](api, {
    query: { tz: 'UTC' },
    output,
    ...(file === undefined ? {} : { file }),
    timeoutMs: 1000,
    voice: {
      answer: (text) => {
        said.answer += stripVTControlCharacters(text)
      },
      note: (text) => {
        said.note += text
      },
    },
  })
  return said
}

describe('an answer', () => {
  it('never shows what is not known as a number: a dash, with what was last known in brackets', async () => {
    const { answer, note } = await say('latest', ingestWith(whole).api, 'table')
    expect(answer.split('\n')[1]).toMatch(/^north +North +stale +– \(last 39\) +– +80 +12 min$/)
    expect(note).toBe('')
  })

  it('is the whole document as JSON, and one row a line as NDJSON', async () => {
    expect(JSON.parse((await say('latest', ingestWith(whole).api, 'json')).answer)).toEqual(whole)
    const two = { ...whole, rows: [row, row] }
    const lines = (await say('latest', ingestWith(two).api, 'ndjson')).answer.split('\n')
    expect(lines.map((line) => JSON.parse(line))).toEqual([row, row])
  })

  it('has a column for each aggregate that was asked for, and no other', async () => {
    const rows: SeriesRow[] = [{ lotId: 'north', start: 'a', end: 'b', max: 7, mean: null }]
    const { answer } = await say('series', ingestWith({ ...whole, rows }).api, 'table')
    const [head, values] = answer.split('\n')
    expect(head).toMatch(/^lot +start +mean +max$/)
    expect(values).toMatch(/^north +a +– +7$/)
  })

  it('is CSV as ingest made it', async () => {
    const { api, asked } = ingestWith(undefined, { body: 'lotId,occupied\r\nnorth,\r\n' })
    expect((await say('latest', api, 'csv')).answer).toBe('lotId,occupied\r\nnorth,')
    expect(asked[0]?.query).toEqual({ tz: 'UTC', format: 'csv' })
  })

  it.each(['table', 'json', 'ndjson', 'csv'] as const)(
    'says beside it, in %s, that readings are missing and that there is more',
    async (output) => {
      const gap = {
        deviceId: 'gate-1',
        readings: 3,
        from: null,
        reason: 'outbox_limit',
        detail: 'outbox_full',
      }
      const { api } = ingestWith(
        { ...whole, complete: false, gaps: [gap], nextCursor: 'abc' },
        { body: 'lotId\r\n', headers: { 'lotwatch-complete': 'false', 'lotwatch-next-cursor': 'abc' } },
      )
      const { answer, note } = await say('latest', api, output)
      expect(note).toContain('incomplete')
      expect(note).toContain('--cursor abc')
      if (output !== 'csv') expect(note).toContain('gate-1 3 missing (outbox_full)')
      expect(answer).not.toContain('incomplete')
    },
  )

  it('that is empty leaves standard output empty', async () => {
    const said = await say('latest', ingestWith({ ...whole, rows: [] }).api, 'table')
    expect(said).toEqual({ answer: '', note: 'nothing there' })
  })

  it.each(['csv', 'parquet', 'ndjson'] as const)(
    'goes to a file as %s, all of it and as ingest made it',
    async (output) => {
      const folder = makeDataDir()
      const file = join(folder.path, 'answer')
      try {
        const { api, asked } = ingestWith(undefined, { body: 'made by ingest' })
        const said = await say('readings', api, output, file)
        expect(readFileSync(file, 'utf8')).toBe('made by ingest')
        expect(asked[0]?.query).toEqual({ tz: 'UTC', format: output })
        expect(said.answer).toBe('')
      } finally {
        folder.remove()
      }
    },
  )

  it('as Parquet is not for a terminal', async () => {
    await expect(say('readings', ingestWith(whole).api, 'parquet')).rejects.toThrow('--file')
  })

  it('has an end where it is printed', async () => {
    const { api, asked } = ingestWith({ ...whole, rows: [] })
    await say('readings', api, 'table')
    expect(asked[0]?.query).toEqual({ tz: 'UTC', limit: 1000 })
  })

  it('says why readings are missing, and what nobody knows as a dash', async () => {
    const counts = { received: 4, silent: 0, late: 0, duplicate: 0, dropped: 0, quarantined: 0 }
    const rows = [
      {
        lotId: 'north',
        start: 'a',
        end: 'b',
        expected: 9,
        missing: 5,
        unknown: 0,
        ...counts,
        reasons: { device_offline: 4, unexplained: 1 },
      },
      {
        lotId: 'south',
        start: 'a',
        end: 'b',
        expected: null,
        missing: null,
        unknown: 1,
        ...counts,
        reasons: {},
      },
    ]
    const { answer } = await say('completeness', ingestWith({ ...whole, rows }).api, 'table')
    const lines = answer.split('\n')
    expect(lines[1]).toMatch(/^north +a +9 +4 +5 +0 +device offline 4, unexplained 1$/)
    expect(lines[2]).toMatch(/^south +a +– +4 +– +0 *$/)
  })
})
