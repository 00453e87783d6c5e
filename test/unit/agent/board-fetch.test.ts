import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createBoardFetch } from '../../../agent/board-fetch.ts'
import { type Answer, json, type LocalServer, startServer } from '../core/kit.ts'

let server: LocalServer
let answer: Answer
const fetch = createBoardFetch()

beforeEach(async () => {
  server = await startServer((asked, response) => answer(asked, response))
})
afterEach(() => server.stop())

describe("a board's fetch", () => {
  it('sends method, headers and body, and reads status, headers and JSON', async () => {
    answer = (_, response) => {
      response.setHeader('retry-after', '7')
      json(response, { said: 'no' }, 503)
    }

    const answered = await fetch(`${server.url}/oauth/token?x=1`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: 'grant_type=client_credentials',
    })

    expect(server.asked).toEqual([
      expect.objectContaining({
        path: '/oauth/token?x=1',
        method: 'POST',
        body: 'grant_type=client_credentials',
      }),
    ])
    expect(answered.ok).toBe(false)
    expect(answered.status).toBe(503)
    expect(answered.headers.get('Retry-After')).toBe('7')
    expect(await answered.json()).toEqual({ said: 'no' })
  })

  it('does not follow where it is sent', async () => {
    answer = (_, response) => response.writeHead(302, { location: 'https://elsewhere.example/' }).end()

    await expect(fetch(server.url)).rejects.toThrow('302')
    expect(server.asked).toHaveLength(1)
  })

  it('ends when it is told to, before the answer and within it', async () => {
    answer = (_, response) => {
      response.writeHead(200)
      response.write('{')
    }
    const late = AbortSignal.timeout(200)
    const answered = await fetch(server.url, { signal: late })
    await expect(answered.json()).rejects.toThrow()

    answer = () => undefined
    await expect(fetch(server.url, { signal: AbortSignal.timeout(50) })).rejects.toThrow()
  })

  it('reads no more than a device can hold', async () => {
    answer = (_, response) => response.end('x'.repeat(1024 * 1024 + 1))

    const answered = await fetch(server.url)

    await expect(answered.text()).rejects.toThrow('more than')
  })

  it('says why a server is not trusted or not there', async () => {
    await server.stop()

    await expect(fetch(server.url)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  })
})
