import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import { afterEach, describe, expect, it } from 'vitest'
import { createHttpSensor } from '../../../../agent/sensors/http.ts'
import { createFetch } from '../../../../core/runtime/fetch.ts'
import { asking, gaugeOptions } from './gauges.ts'

const cleanups: (() => Promise<void> | void)[] = []
afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean()
})

async function answering(answer: RequestListener, options: { pointer?: string; timeoutMs?: number } = {}) {
  const server = createServer(answer).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  const sensor = asking(
    createHttpSensor({
      ...gaugeOptions,
      capacity: 40,
      url: `http://127.0.0.1:${address.port}/count`,
      pointer: '',
      fetch: createFetch(),
      ...options,
    }),
  )
  cleanups.push(() => {
    server.closeAllConnections()
    server.close()
  }, sensor.stop)
  return { sensor, server }
}

describe('http sensor', () => {
  it('finds the count where the pointer says', async () => {
    const body = JSON.stringify({ 'a/b': [{ cars: 12 }] })
    const { sensor } = await answering((_, response) => response.end(body), { pointer: '/a~1b/0/cars' })
    expect(await sensor.ask()).toEqual({ timestampMs: 1_000_000, occupied: 12, capacity: 40, sensor: 'ok' })
  })

  it.each<[string, RequestListener]>([
    ['an error', (_, response) => response.writeHead(500).end('5')],
    ['a redirect', (_, response) => response.writeHead(302, { location: '/other' }).end('5')],
    ['what is not JSON', (_, response) => response.end('<b>5</b>')],
    ['JSON without a count', (_, response) => response.end('{"cars":5}')],
    ['more than it may', (_, response) => response.end(`${' '.repeat(70_000)}5`)],
    ['nothing', (_, response) => response.destroy()],
    ['half an answer', (_, response) => response.writeHead(200, { 'content-length': 9 }).write('5')],
  ])('is silent, not zero, at %s', async (_, answer) => {
    const { sensor } = await answering(answer, { timeoutMs: 300 })
    expect(await sensor.ask()).toMatchObject({ occupied: null, sensor: 'silent' })
  })

  it('counts again as soon as there is an answer', async () => {
    let isAway = true
    const { sensor } = await answering((_, response) => (isAway ? response.destroy() : response.end('0')))
    expect(await sensor.ask()).toMatchObject({ occupied: null, sensor: 'silent' })
    isAway = false
    expect(await sensor.ask()).toMatchObject({ occupied: 0, sensor: 'ok' })
  })

  it('says so when the count has been the same for too long', async () => {
    let cars = 3
    const { sensor } = await answering((_, response) => response.end(String(cars)))
    expect(await sensor.ask()).toMatchObject({ occupied: 3, sensor: 'ok' })
    sensor.clock.set(1_000_000 + 3600_000)
    expect(await sensor.ask()).toMatchObject({ occupied: 3, sensor: 'stuck' })
    cars = 4
    expect(await sensor.ask()).toMatchObject({ occupied: 4, sensor: 'ok' })
  })
})
