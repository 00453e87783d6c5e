/** The console over TLS, with certificates as `lotctl tls init` makes them, beside a provisioning that speaks TLS too. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Me } from '../../console/wire.ts'
import { createFetch } from '../../core/runtime/fetch.ts'
import { type RunningConsole, startConsole, visitor } from '../kit/console.ts'
import { runLotctl } from '../kit/lotctl.ts'
import { freePort, makeDataDir, type Program, startProgram } from '../kit/program.ts'

describe('the console over TLS', () => {
  const data = makeDataDir()
  const file = (name: string) => join(data.path, 'tls', name)
  const certificate = (prefix: string) => ({
    [`${prefix}_TLS_CERT_FILE`]: file('localhost.pem'),
    [`${prefix}_TLS_KEY_FILE`]: file('localhost.key'),
    [`${prefix}_CA_FILE`]: file('ca.pem'),
  })
  let provisioning: Program
  let console: RunningConsole
  let trusting: ReturnType<typeof createFetch>

  beforeAll(async () => {
    await runLotctl(['tls', 'init', file(''), '--server', 'localhost:127.0.0.1'], {})
    trusting = createFetch({ ca: readFileSync(file('ca.pem'), 'utf8') })
    const port = String(await freePort())
    const issuer = `https://127.0.0.1:${port}`
    provisioning = await startProgram('provisioning', {
      env: {
        LOTWATCH_DATA: data.path,
        LOTWATCH_PROVISIONING_PORT: port,
        LOTWATCH_PROVISIONING_ISSUER_URL: issuer,
        ...certificate('LOTWATCH_PROVISIONING'),
      },
    })
    const nobody = `https://127.0.0.1:${await freePort()}`
    console = await startConsole(
      { data: data.path, issuer, ingestUrl: nobody, brokerUrl: nobody },
      certificate('LOTWATCH_CONSOLE'),
      { scheme: 'https', fetch: trusting },
    )
  }, 60_000)
  afterAll(async () => {
    await console?.program.stop()
    await provisioning?.stop()
    data.remove()
  })

  it('gives a cookie that goes over TLS alone, to this host alone', async () => {
    const token = console.link().split('#')[1]
    const answer = await visitor(console.url, '', trusting).ask('POST', '/api/sign-in/link', { token })
    expect(answer.headers.getSetCookie()).toEqual([
      expect.stringMatching(/^__Host-lotwatch=[\w-]{43}; Path=\/; HttpOnly; Secure; SameSite=Strict$/),
    ])
    expect(answer.headers.get('strict-transport-security')).toMatch(/^max-age=/)
  })

  it('signs people in, and asks others over TLS in their name', async () => {
    const admin = await console.person()
    expect(await admin.json<Me>('GET', '/api/me')).toMatchObject({ person: 'admin', role: 'admin' })
    expect(await admin.json('GET', '/api/provisioning/v1/lots')).toMatchObject({ lots: [] })
  })

  it('is believed by nobody who does not know the authority', async () => {
    await expect(fetch(console.url)).rejects.toThrow('fetch failed')
    await expect(trusting(console.url)).resolves.toMatchObject({ status: 200 })
  })

  it('takes no cookie of the plain console for its own', async () => {
    const admin = await console.person()
    const plain = admin.cookie.replace('__Host-', '')
    expect((await visitor(console.url, plain, trusting).ask('GET', '/api/me')).status).toBe(401)
  })
})
