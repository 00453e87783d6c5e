import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import fc from 'fast-check'
import { Type } from 'typebox'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Format } from '../../../../core/contract/query.ts'
import { formatOf, textPages } from '../../../../ingest/formats/formats.ts'
import { writeParquet } from '../../../../ingest/formats/parquet.ts'
import { columnsOf } from '../../../../ingest/formats/table.ts'
import { makeDataDir } from '../../../kit/program.ts'

const Row = Type.Object({
  time: Type.String({ format: 'date-time' }),
  text: Type.Union([Type.String(), Type.Null()]),
  count: Type.Union([Type.Integer(), Type.Null()]),
  mean: Type.Union([Type.Number(), Type.Null()]),
  flags: Type.Array(Type.String()),
  reasons: Type.Object({}),
  filled: Type.Optional(Type.Boolean()),
  state: Type.Enum(['up', 'down']),
})
const columns = columnsOf(Row)
const rows = [
  {
    time: '2026-03-29T03:00:00+02:00',
    text: 'x,"y"',
    count: 0,
    mean: 1.5,
    flags: ['late', 'stuck'],
    reasons: { unexplained: 2, device_offline: 1 },
    filled: false,
    state: 'up',
  },
  {
    time: '2026-03-29T00:00:00.250Z',
    text: null,
    count: null,
    mean: null,
    flags: [],
    reasons: {},
    state: 'down',
  },
]

/** Members in the order of the columns. */
function inOrder(row: object): object {
  const entries = new Map(Object.entries(row))
  return Object.fromEntries(
    columns.flatMap(({ name }) => (entries.has(name) ? [[name, entries.get(name)]] : [])),
  )
}

async function textOf(
  format: Exclude<Format, 'parquet'>,
  pages: readonly (readonly object[])[],
  of = columns,
) {
  let text = ''
  for await (const part of textPages(pages, { format, columns: of, frame: { tz: 'UTC' } })) text += part
  return text
}

describe('an answer as text', () => {
  test('is the JSON that any writer would write, whatever is in it', async () => {
    const cell = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.double(),
      fc.integer(),
      fc.constant(null),
      fc.boolean(),
    )
    const drawn = fc.array(fc.record({ text: cell, count: cell, filled: cell }, { requiredKeys: [] }), {
      maxLength: 3,
    })
    await fc.assert(
      fc.asyncProperty(drawn, async (some) => {
        expect(await textOf('json', [some])).toBe(JSON.stringify({ tz: 'UTC', rows: some.map(inOrder) }))
        expect(await textOf('ndjson', [some])).toBe(
          some.map((row) => `${JSON.stringify(inOrder(row))}\n`).join(''),
        )
      }),
    )
  })

  test('is CSV with quotes where they are needed, and nothing where nothing was measured', async () => {
    expect((await textOf('csv', [rows.slice(0, 1), [], rows.slice(1)])).split('\r\n')).toEqual([
      'time,text,count,mean,flags,reasons,filled,state',
      '2026-03-29T03:00:00+02:00,"x,""y""",0,1.5,late stuck,unexplained:2 device_offline:1,false,up',
      '2026-03-29T00:00:00.250Z,,,,,,,down',
      '',
    ])
  })

  test('has nothing that Excel takes for a formula, and numbers stay numbers', async () => {
    const cells = columnsOf(Type.Object({ text: Type.String(), count: Type.Integer() }))
    const risky = ['=1+1', '+1', '-1', '@x', '\tx', '=say("a")', 'a=b'].map((text) => ({ text, count: -1 }))

    const text = await textOf('csv-excel', [risky], cells)

    expect(text.startsWith('\ufefftext,count\r\n')).toBe(true)
    expect(text.split('\r\n').slice(1, -1)).toEqual([
      "'=1+1,-1",
      "'+1,-1",
      "'-1,-1",
      "'@x,-1",
      "'\tx,-1",
      `"'=say(""a"")",-1`,
      'a=b,-1',
    ])
  })

  test('is JSON in its frame whatever the pages, and a row a line as NDJSON', async () => {
    for (const pages of [[rows], [[], rows.slice(0, 1), rows.slice(1)], rows.map((row) => [row])]) {
      expect(JSON.parse(await textOf('json', pages))).toEqual({ tz: 'UTC', rows })
      const lines = (await textOf('ndjson', pages)).trimEnd().split('\n')
      expect(lines.map((line) => JSON.parse(line))).toEqual(rows)
    }
    expect(JSON.parse(await textOf('json', []))).toEqual({ tz: 'UTC', rows: [] })
  })

  test.each<[Format | undefined, string | undefined, Format]>([
    [undefined, undefined, 'json'],
    [undefined, '*/*', 'json'],
    [undefined, 'text/csv', 'csv'],
    [undefined, 'application/x-ndjson', 'ndjson'],
    [undefined, 'application/vnd.apache.parquet', 'parquet'],
    ['json', 'text/csv', 'json'],
  ])('asked for by %s and accepted as %s is %s', (asked, accept, format) => {
    expect(formatOf(asked, accept)).toBe(format)
  })
})

describe('an answer as Parquet', () => {
  let folder: ReturnType<typeof makeDataDir>
  beforeEach(() => {
    folder = makeDataDir()
  })
  afterEach(() => folder.remove())

  async function read(sql: string) {
    const database = await DuckDBInstance.create(':memory:')
    const connection = await database.connect()
    try {
      return (await connection.runAndReadAll(sql)).getRowObjectsJson()
    } finally {
      connection.closeSync()
      database.closeSync()
    }
  }

  test('has instants as instants, null where nothing was measured, and says what it is', async () => {
    const file = join(folder.path, "it's.parquet")

    const count = await writeParquet([rows.slice(0, 1), rows.slice(1)], columns, {
      file,
      metadata: { 'lotwatch.tz': "O'Clock" },
    })

    const quoted = `'${file.replace("'", "''")}'`
    expect(count).toBe(2)
    expect(
      await read(`SELECT * REPLACE (epoch_ms(time)::BIGINT AS time) FROM read_parquet(${quoted})`),
    ).toEqual([
      {
        ...rows[0],
        time: String(Date.parse(rows[0]?.time ?? '')),
        count: '0',
        reasons: 'unexplained:2 device_offline:1',
      },
      { ...rows[1], time: String(Date.parse(rows[1]?.time ?? '')), reasons: '', filled: null },
    ])
    expect(await read(`SELECT decode(value) AS value FROM parquet_kv_metadata(${quoted})`)).toEqual([
      { value: "O'Clock" },
    ])
  })

  test('keeps the order of many rows, and leaves nothing else behind', async () => {
    const many = Array.from({ length: 5000 }, (_, i) => ({ n: i }))
    const of = columnsOf(Type.Object({ n: Type.Integer() }))
    const file = join(folder.path, 'many.parquet')
    await writeParquet([many.slice(0, 3000), many.slice(3000)], of, { file, metadata: {} })

    const found = await read(`SELECT n FROM read_parquet('${file}')`)

    expect(found.map(({ n }) => Number(n))).toEqual(many.map(({ n }) => n))
    expect(await read(`SELECT file FROM glob('${folder.path}/*')`)).toEqual([{ file }])
  })

  test('whose rows break off is no file', async () => {
    const file = join(folder.path, 'broken.parquet')
    async function* breaking() {
      yield rows
      throw new Error('the store is gone')
    }

    await expect(writeParquet(breaking(), columns, { file, metadata: {} })).rejects.toThrow('is gone')

    expect(await read(`SELECT file FROM glob('${folder.path}/*')`)).toEqual([])
  })
})
