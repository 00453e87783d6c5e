/** The console beside a real system: who gets in, what each role may reach, and what never leaves the server. */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { type IncomingMessage, request } from 'node:http'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Role, roles } from '../../console/roles.ts'
import { allowed, programs } from '../../console/server/allowed.ts'
import type { Me } from '../../console/wire.ts'
import { cookieOf, type RunningConsole, startConsole, type Visitor, visitor } from '../kit/console.ts'
import { runLotctl } from '../kit/lotctl.ts'
import { eventually } from '../kit/program.ts'
import { System } from '../kit/system.ts'

const password = 'correct horse battery'

describe('the console', () => {
  let system: System
  let console: RunningConsole
  const people = new Map<Role, Visitor>()
  const as = (role: Role): Visitor => {
    const person = people.get(role)
    if (person === undefined) throw new Error(`nobody is ${role}`)
    return person
  }

  beforeAll(async () => {
    system = await System.start()
    console = await startConsole(system)
    people.set('admin', await console.person())
    for (const role of ['operator', 'analyst'] as const) {
      await as('admin').json('PUT', `/api/accounts/some-${role}`, { role, password })
      people.set(role, await console.person(`some-${role}`))
    }
  }, 60_000)
  afterAll(async () => {
    await console.program.stop()
    await system.stop()
  })

  it('lets the owner of the data folder in by the link that lotctl prints, once', async () => {
    const env = { LOTWATCH_DATA: system.data, LOTWATCH_CONSOLE_PORT: new URL(console.url).port }
    const { stdout } = await runLotctl(['login-link'], env)
    expect(stdout).toMatch(new RegExp(`^${console.url}/sign-in#[\\w-]{43}\\n$`))
    const use = () =>
      visitor(console.url, '').ask('POST', '/api/sign-in/link', { token: stdout.trim().split('#')[1] })
    const first = await use()
    expect(first.status).toBe(204)
    const me = await visitor(console.url, cookieOf(first)).json<Me>('GET', '/api/me')
    expect(me).toMatchObject({ person: 'admin', role: 'admin' })
    expect((await use()).status).toBe(401)
  })

  it('gives a cookie that no script reads and no other site sends, and keeps only its hash', async () => {
    const { cookie } = as('admin')
    expect(readFileSync(join(system.data, 'console.db')).includes(cookie.split('=')[1] ?? cookie)).toBe(false)
    const setCookie = (
      await visitor(console.url, '').ask('POST', '/api/sign-in/password', { name: 'some-analyst', password })
    ).headers.getSetCookie()
    expect(setCookie).toEqual([
      expect.stringMatching(/^lotwatch=[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict$/),
    ])
  })

  it('gives nothing to who is not signed in', async () => {
    const stranger = visitor(console.url, '')
    const paths = ['/api/me', '/api/services', '/api/accounts', '/api/events', '/api/ingest/v1/latest']
    for (const path of paths) expect((await stranger.ask('GET', path)).status, path).toBe(401)
    for (const cookie of ['lotwatch=', 'lotwatch=x', `lotwatch=${'A'.repeat(43)}`])
      expect((await visitor(console.url, cookie).ask('GET', '/api/me')).status).toBe(401)
  })

  it.each(roles)('lets %s reach what the table says, and nothing else', async (role) => {
    const person = as(role)
    for (const program of programs)
      for (const [least, method, pattern] of allowed[program]) {
        const may = roles.indexOf(role) >= roles.indexOf(least)
        // What is allowed is only asked where it changes nothing.
        if (may && method !== 'GET') continue
        const path = pattern.replace(/\{\w+\}/g, 'none-1')
        const { status } = await person.ask(
          method,
          `/api/${program}${path}`,
          method === 'GET' ? undefined : {},
        )
        const name = `${role} ${method} ${program}${path}`
        if (may) expect([401, 403, 500, 502], name).not.toContain(status)
        else expect(status, name).toBe(403)
      }
    for (const path of ['/api/accounts', '/api/events'])
      expect((await person.ask('GET', path)).status, path).toBe(role === 'admin' ? 200 : 403)
    for (const path of ['/api/provisioning/v1/feed', '/api/ingest/v1/nothing'])
      expect((await person.ask('GET', path)).status, path).toBe(404)
  })

  it.each(['/v1/devices/../clients', '/v1/devices/%2e%2e/clients', '/v1/devices/..%2fclients'])(
    'passes on no address that means another: %s',
    async (path) => {
      // Not by fetch, which would follow the steps upwards itself.
      const { hostname, port } = new URL(console.url)
      const sent = request({
        hostname,
        port,
        path: `/api/provisioning${path}`,
        headers: { cookie: as('analyst').cookie },
      }).end()
      const [answer] = (await once(sent, 'response')) as [IncomingMessage]
      answer.resume()
      expect([403, 404]).toContain(answer.statusCode)
    },
  )

  it('passes answers on as they are: status, problem, entity tag and precondition', async () => {
    const lot = { name: 'North', capacities: [] }
    const admin = as('admin')
    const put = (headers: Record<string, string>) =>
      admin.ask('PUT', '/api/provisioning/v1/lots/north', lot, headers)
    const made = await put({ 'if-none-match': '*' })
    expect(made.status).toBe(200)
    expect(made.headers.get('etag')).toMatch(/^"/)
    expect((await put({ 'if-none-match': '*' })).status).toBe(412)
    const missing = await admin.ask('GET', '/api/provisioning/v1/lots/none')
    expect(missing.headers.get('content-type')).toContain('application/problem+json')
    expect(await missing.json()).toMatchObject({ code: 'request.not_found', status: 404 })
  })

  it('names the person in the audit log of provisioning and in its own', async () => {
    await as('operator').json('PUT', '/api/provisioning/v1/lots/south', { name: 'South', capacities: [] })
    const { entries } = await as('operator').json<{ entries: { actor: string }[] }>(
      'GET',
      '/api/provisioning/v1/audit?subject=south',
    )
    expect(entries).toMatchObject([{ actor: 'console/some-operator' }])
    const { events } = await as('admin').json<{ events: object[] }>('GET', '/api/events?limit=1')
    expect(events).toMatchObject([{ person: 'some-operator', subject: 'provisioning/v1/lots/south' }])
  })

  it('takes changes from its own pages alone', async () => {
    const admin = as('admin')
    const body = { role: 'admin' }
    for (const headers of [
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
      { origin: 'http://evil.example' },
    ] as Record<string, string>[])
      expect((await admin.ask('PUT', '/api/accounts/mallory', body, headers)).status).toBe(403)
    const form = await fetch(`${console.url}/api/accounts/mallory`, {
      method: 'PUT',
      headers: { cookie: admin.cookie, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
    expect(form.status).toBe(403)
    expect(await form.json()).toMatchObject({ code: 'request.foreign' })
  })

  it('sends no token and no secret of its own to anybody, and logs none', async () => {
    const secret = JSON.parse(readFileSync(join(system.data, 'services/console.json'), 'utf8')).client_secret
    const answers = await Promise.all(
      ['/', '/api/me', '/api/services', '/api/provisioning/v1/status', '/api/ingest/v1/latest'].map(
        async (path) => {
          const answer = await as('admin').ask('GET', path)
          return JSON.stringify([...answer.headers]) + (await answer.text())
        },
      ),
    )
    const all = [...answers, ...console.program.lines].join('\n')
    expect(all).not.toContain(secret)
    expect(all).not.toMatch(/eyJ[\w-]{8,}\./)
  })

  it('lets a page load from here alone, and be framed by nobody', async () => {
    const { headers } = await fetch(console.url)
    expect(headers.get('content-security-policy')).toBe(
      "default-src 'self';base-uri 'none';form-action 'self';frame-ancestors 'none';object-src 'none'",
    )
    expect(headers.get('x-frame-options')).toBe('DENY')
    expect(headers.get('referrer-policy')).toBe('no-referrer')
  })

  it('says which program is away, and goes on with the others', async () => {
    await system.kill('ingest')
    const { services } = await as('analyst').json<{ services: object[] }>('GET', '/api/services')
    expect(services).toMatchObject([
      { name: 'provisioning', state: 'ready' },
      { name: 'ingest', state: 'away' },
      { name: 'broker' },
    ])
    const away = await as('analyst').ask('GET', '/api/ingest/v1/latest')
    expect(away.status).toBe(503)
    expect(await away.json()).toMatchObject({ code: 'ingest.unavailable', detail: 'ingest does not answer' })
    await system.restart('ingest')
    await eventually(async () => (await as('analyst').ask('GET', '/api/ingest/v1/latest')).status === 200)
  })

  it('forgets who leaves', async () => {
    const leaver = await console.person('some-analyst')
    await leaver.json('POST', '/api/sign-out')
    expect((await leaver.ask('GET', '/api/me')).status).toBe(401)
  })
})
