/** A client that goes away in the middle of a long question, over a real socket: the question ends, and its place is free. */
import { once } from 'node:events'
import { type AddressInfo, connect } from 'node:net'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import type { FastifyInstance } from 'fastify'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Principal } from '../../core/contract/principal.ts'
import type { Door } from '../../core/runtime/door.ts'
import { createServer } from '../../core/runtime/http.ts'
import { createLog } from '../../core/runtime/log.ts'
import type { Answers, Asker } from '../../ingest/answers.ts'
import type { DeviceAnswers } from '../../ingest/device-answers.ts'
import { addQueryRoutes } from '../../ingest/routes.ts'
import type { SeriesAnswers } from '../../ingest/series-answers.ts'
import { openReaders, type Readers } from '../../ingest/store/duckdb-readers.ts'
import { eventually, makeDataDir } from '../kit/program.ts'

const endless = 'SELECT count(*) FROM range(1000000000) a, range(1000000000) b'

let data: ReturnType<typeof makeDataDir>
let database: DuckDBInstance
let readers: Readers
let server: FastifyInstance
let port: number
/** What became of endless questions. */
let ends: unknown[]
let begun: number
/** Who is looked at for so long that the client may have gone meanwhile. */
let admitted: Promise<Principal>
const somebody = {} as Principal // nothing asks who it is

beforeEach(async () => {
  ends = []
  begun = 0
  admitted = Promise.resolve(somebody)
  data = makeDataDir()
  database = await DuckDBInstance.create(':memory:', { threads: '1' })
  readers = await openReaders(database, 1)
  server = createServer({ log: createLog({ program: 'test', level: 'silent' }) })
  addQueryRoutes(server, {
    now: Date.now,
    door: { admit: () => admitted } as unknown as Door, // the only thing routes ask of it
    // One question that never ends, and one that does, on the only connection there is.
    answers: {
      async readings(_request: unknown, { signal }: Asker) {
        begun++
        await readers.ask(endless, {}, signal).catch((error: unknown) => {
          ends.push(error)
          throw error
        })
        return { rows: [], gaps: [] }
      },
      async lots(_among: unknown, { signal }: Asker) {
        await readers.ask('SELECT 42', {}, signal)
        return { rows: [], gaps: [] }
      },
    } as unknown as Answers,
    series: {} as SeriesAnswers,
    devices: {} as DeviceAnswers,
    folder: join(data.path, 'answers'),
    filesMax: 1,
  })
  await server.listen({ host: '127.0.0.1', port: 0 })
  port = (server.server.address() as AddressInfo).port
})
afterEach(async () => {
  await server.close()
  readers.close()
  database.closeSync()
  data.remove()
})

async function send(path: string) {
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  socket.write(`GET ${path} HTTP/1.1\r\nhost: ingest\r\n\r\n`)
  return socket
}

function connections(): Promise<number> {
  return new Promise((resolve) => server.server.getConnections((_error, count) => resolve(count)))
}

test.each(['json', 'ndjson', 'csv', 'parquet'])(
  'ends a question for %s, and whoever waited for its place is answered',
  async (format) => {
    const leaving = await send(`/v1/readings?format=${format}`)
    await eventually(() => begun === 1)
    const waiting = fetch(`http://127.0.0.1:${port}/v1/lots`)

    leaving.destroy()

    expect((await waiting).status).toBe(200)
    expect(ends).toMatchObject([{ message: 'the client has left' }])
  },
)

test('ends a question whose client had gone before it began', async () => {
  let admit: (principal: Principal) => void = () => undefined
  admitted = new Promise((resolve) => {
    admit = resolve
  })
  const leaving = await send('/v1/readings')
  await eventually(async () => (await connections()) === 1)
  leaving.destroy()
  await eventually(async () => (await connections()) === 0)

  admit(somebody)

  await eventually(() => ends.length === 1)
  expect((await fetch(`http://127.0.0.1:${port}/v1/lots`)).status).toBe(200)
})
