import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { readersFor } from '../../../../ingest/store/duckdb.ts'
import { openReaders, type Readers } from '../../../../ingest/store/duckdb-readers.ts'

/** Counts for longer than anybody waits. */
const endless = 'SELECT count(*) FROM range(1000000000) a, range(1000000000) b'
const short = 'SELECT 42'

let database: DuckDBInstance
let writer: DuckDBConnection
let readers: Readers
beforeEach(async () => {
  database = await DuckDBInstance.create(':memory:', { threads: '1' })
  writer = await database.connect()
  readers = await openReaders(database, readersFor())
})
afterEach(() => {
  readers.close()
  writer.closeSync()
  database.closeSync()
})

function ask(sql: string) {
  const client = new AbortController()
  const answer = readers.ask(sql, {}, client.signal)
  let isSettled = false
  const settled = answer.then(
    () => 'an answer',
    (reason: unknown) => reason,
  )
  void settled.then(() => {
    isSettled = true
  })
  return { settled, isSettled: () => isSettled, leave: () => client.abort('left') }
}

describe('connections for questions', () => {
  test('a question ends with its client, at whatever moment that leaves, and who waited is answered', async () => {
    for (let moment = 0; moment < 20; moment++) {
      const asked = Array.from({ length: readersFor() }, () => ask(endless))
      const waiting = readers.ask(short, {})
      await new Promise((resolve) => setTimeout(resolve, moment))

      for (const { leave } of asked) leave()

      expect(await Promise.all(asked.map(({ settled }) => settled))).toEqual(asked.map(() => 'left'))
      expect(await waiting).toEqual([[42]])
    }
  }, 60_000)

  test('a client that leaves while it waits takes nobody’s place', async () => {
    const running = Array.from({ length: readersFor() }, () => ask(endless))
    for (let more = 0; more < 3; more++) {
      const waiting = Array.from({ length: 64 }, () => ask(short))
      await expect(readers.ask(short, {})).rejects.toMatchObject({ code: 'system.busy' })
      for (const { leave } of waiting) leave()
      expect(await Promise.all(waiting.map(({ settled }) => settled))).toEqual(waiting.map(() => 'left'))
    }
    const last = readers.ask(short, {})
    for (const { leave } of running) leave()
    expect(await last).toEqual([[42]])
  })

  test('leave a thread to whoever writes, however many questions there are', async () => {
    await writer.run('CREATE TABLE written (number INTEGER)')
    const asked = Array.from({ length: 10 }, () => ask(endless))

    for (let number = 0; number < 20; number++) await writer.run(`INSERT INTO written VALUES (${number})`)

    expect(asked.some(({ isSettled }) => isSettled())).toBe(false)
    for (const { leave } of asked) leave()
    await Promise.all(asked.map(({ settled }) => settled))
  })

  test('are as many as Node has threads for', () => {
    expect([1, 2, 4, 5, 16].map(readersFor)).toEqual([1, 1, 2, 3, 4])
  })
})
