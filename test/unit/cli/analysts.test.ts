import { createHash } from 'node:crypto'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { exportTo, sql } from '../../../cli/analysts.ts'
import type { Output } from '../../../cli/output.ts'
import type { Api, ApiRequest } from '../../../core/runtime/fetch.ts'
import { eventually, makeDataDir } from '../../kit/program.ts'

const content = 'time,occupied\nx,1\ny,2\n'
const sha256 = createHash('sha256').update(content).digest('hex')
const done = { id: 'e1', state: 'done', rows: 2, bytes: content.length, sha256, code: null, detail: null }

let folder: ReturnType<typeof makeDataDir>
let asked: { path: string; request: ApiRequest }[]
let said: string[]
const voice = { answer: (text: string) => void said.push(text), note: () => undefined }

beforeEach(() => {
  folder = makeDataDir()
  asked = []
  said = []
})
afterEach(() => folder.remove())

/** Answers by method and path; a function is asked each time. */
function api(answers: Record<string, unknown>): Api {
  const answer = (path: string, request: ApiRequest = {}) => {
    asked.push({ path, request })
    const found = answers[`${request.method ?? 'GET'} ${path}`]
    return typeof found === 'function' ? found(request) : found
  }
  return {
    json: async <Answer>(path: string, request?: ApiRequest) => answer(path, request) as Answer,
    response: async (path, request) => answer(path, request) as Response,
  }
}

/** The file, or the part of it that was asked for; the first time it breaks off. */
function file({ breaksOffAt }: { breaksOffAt?: number } = {}) {
  let isFirst = true
  return ({ headers = {} }: ApiRequest) => {
    const from = Number(/^bytes=(\d+)-$/.exec(headers.range ?? '')?.[1] ?? 0)
    const broken = isFirst ? breaksOffAt : undefined
    isFirst = false
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        controller.enqueue(Buffer.from(content.slice(from, broken)))
      },
      async pull(controller) {
        if (broken === undefined) return controller.close()
        await eventually(() => statSync(join(folder.path, 'out.csv.part')).size === broken)
        controller.error(new Error('the connection broke off'))
      },
    })
    return new Response(body, { status: from === 0 ? 200 : 206 })
  }
}

describe('lotctl sql', () => {
  const answer = {
    columns: [
      { name: 'lotId', type: 'VARCHAR' },
      { name: 'n', type: 'BIGINT' },
    ],
    rowCount: 2,
    rows: [
      { lotId: 'north', n: 3 },
      { lotId: null, n: 12 },
    ],
  }
  const ask = (output: Output) =>
    sql(api({ 'POST /v1/sql': answer }), 'SELECT 1', { output, tz: 'Europe/London', voice })

  it('shows rows as a table, what is null as a dash, and sends the zone along', async () => {
    await ask('table')
    expect(stripVTControlCharacters(said.join())).toMatch(/lotId +n\nnorth +3\n– +12/)
    expect(asked[0]?.request.body).toEqual({ sql: 'SELECT 1', format: 'json', tz: 'Europe/London' })
  })

  it('gives programs a row a line', async () => {
    await ask('ndjson')
    expect(said).toEqual(['{"lotId":"north","n":3}\n{"lotId":null,"n":12}'])
  })
})

describe('lotctl export', () => {
  const target = () => join(folder.path, 'out.csv')
  const run = (answers: Record<string, unknown>, keeps = false) =>
    exportTo(api(answers), { lot: ['north'] }, { file: target(), keeps, voice, timeoutMs: 1000 })
  const made = { 'POST /v1/exports': done, 'DELETE /v1/exports/e1': new Response(null, { status: 204 }) }

  it('fetches the file, checks it, and frees its place on the server', async () => {
    await run({ ...made, 'GET /v1/exports/e1/file': file() })

    expect(readFileSync(target(), 'utf8')).toBe(content)
    expect(said[0]).toContain(`2 rows  ${content.length} bytes  sha256 ${sha256}`)
    expect(asked.at(-1)).toMatchObject({ path: '/v1/exports/e1', request: { method: 'DELETE' } })
  })

  it('leaves it on the server where that is wanted', async () => {
    await run({ ...made, 'GET /v1/exports/e1/file': file() }, true)
    expect(asked.some(({ request }) => request.method === 'DELETE')).toBe(false)
  })

  it('goes on where the connection broke off', async () => {
    await run({ ...made, 'GET /v1/exports/e1/file': file({ breaksOffAt: 6 }) })

    expect(readFileSync(target(), 'utf8')).toBe(content)
    expect(asked.filter(({ path }) => path.endsWith('/file')).map(({ request }) => request.headers)).toEqual([
      {},
      { range: 'bytes=6-' },
    ])
  })

  it('gives no name to a file that is not what the checksum says', async () => {
    const wrong = { ...made, 'POST /v1/exports': { ...done, sha256: '00' } }
    await expect(run({ ...wrong, 'GET /v1/exports/e1/file': file() })).rejects.toThrow(/checksum/)
    expect(() => readFileSync(target())).toThrow()
  })

  it('replaces nothing, and asks for nothing then', async () => {
    writeFileSync(target(), 'mine')
    await expect(run(made)).rejects.toMatchObject({ code: 'request.conflict' })
    expect([readFileSync(target(), 'utf8'), asked]).toEqual(['mine', []])
  })

  it('says why there is no file', async () => {
    const failed = { ...done, state: 'failed', bytes: null, code: 'query.limit', detail: 'too much' }
    await expect(run({ 'POST /v1/exports': failed })).rejects.toThrow(/too much/)
  })
})
