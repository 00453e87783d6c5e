/** The console beside a real system: who gets in, what each role may reach, and what never leaves the server. */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { type IncomingMessage, request } from 'node:http'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Role, roles } from '../../console/roles.ts'
import { allowed, programs } from '../../console/server/allowed.ts'
import type { Me } from '../../console/wire.ts'
import { audiences } from '../../core/contract/principal.ts'
import { readCredentialFile } from '../../core/runtime/credential.ts'
import { cookieOf, type RunningConsole, startConsole, type Visitor, visitor } from '../kit/console.ts'
import { handoverOf, postHandover } from '../kit/handover.ts'
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

  describe('an analyst who is limited to lots', () => {
    let limited: Visitor
    const ingest = '/api/ingest/v1'
    const lotsSeen = async (person: Visitor, path = 'readings?from=-1h') => {
      const { rows } = await person.json<{ rows: { lotId: string }[] }>('GET', `${ingest}/${path}`)
      return [...new Set(rows.map(({ lotId }) => lotId))]
    }
    let seq = 0
    /** As the broker hands them over. */
    const store = async (deviceIds: readonly string[]) => {
      const tokens = system.tokensOf(
        readCredentialFile(join(system.data, 'services/broker.json')),
        audiences.ingest,
      )
      const messages = deviceIds.map((deviceId) => ({
        deviceId,
        payload: {
          v: 1,
          epoch: '9f0c3a77d1e2b465',
          readings: [{ seq: ++seq, timestampMs: Date.now() - 60_000 + seq, occupied: 3 }],
        },
      }))
      const answer = await postHandover(system.ingestUrl, (await tokens.get()).token, handoverOf(messages))
      expect(answer.verdicts).toEqual(deviceIds.map(() => 's'))
    }
    beforeAll(async () => {
      for (const deviceId of ['seen', 'unseen']) await system.register(deviceId)
      await store(['seen', 'unseen'])
      await eventually(async () => (await lotsSeen(as('analyst'))).includes('unseen'))
      await as('admin').json('PUT', '/api/accounts/some-guest', { role: 'analyst', lots: ['seen'] })
      limited = await console.person('some-guest')
    }, 30_000)

    it('is shown those alone, by every question', async () => {
      expect(await limited.json('GET', '/api/me')).toMatchObject({ role: 'analyst', lots: ['seen'] })
      for (const path of [
        'lots',
        'latest',
        'series?from=-1h',
        'readings?from=-1h',
        'completeness',
        'profile',
      ])
        expect(await lotsSeen(limited, path), path).toEqual(['seen'])
      const { rows } = await limited.json<{ rows: object[] }>('GET', `${ingest}/devices`)
      expect(rows).toMatchObject([{ deviceId: 'seen' }])
      const sql = 'SELECT DISTINCT lotId FROM readings'
      expect((await limited.json<{ rows: object[] }>('POST', `${ingest}/sql`, { sql })).rows).toEqual([
        { lotId: 'seen' },
      ])
      const all = await as('analyst').json<{ rows: object[] }>('POST', `${ingest}/sql`, { sql })
      expect(all.rows.length).toBeGreaterThan(1)
    })

    it('is refused the others, whatever is sent along', async () => {
      for (const path of ['latest?lot=unseen', 'series?from=-1h&lot=unseen', 'live?lot=unseen'])
        expect((await limited.ask('GET', `${ingest}/${path}`)).status, path).toBe(404)
      const forged = { 'lotwatch-lots': 'unseen', 'lotwatch-person': 'admin' }
      const answer = await limited.ask('GET', `${ingest}/readings?from=-1h`, undefined, forged)
      expect(((await answer.json()) as { rows: object[] }).rows).toMatchObject([{ lotId: 'seen' }])
      for (const path of [
        '/api/provisioning/v1/devices',
        '/api/broker/v1/connections',
        '/api/ingest/metrics',
      ])
        expect((await limited.ask('GET', path)).status, path).toBe(403)
    })

    it('hears live of those alone, and no longer once they are limited to others', async () => {
      const stream = await limited.ask('GET', `${ingest}/live`, undefined, { accept: 'text/event-stream' })
      const reader = stream.body?.pipeThrough(new TextDecoderStream()).getReader()
      let heard = ''
      const hear = async () => {
        const { value = '', done } = (await reader?.read().catch(() => undefined)) ?? { done: true }
        heard += value
        return done
      }
      await store(['unseen', 'seen'])
      while (!heard.includes('"seen"')) if (await hear()) throw new Error(`the stream has ended: ${heard}`)
      expect(heard).not.toContain('unseen')
      await as('admin').json('PUT', '/api/accounts/some-guest', { role: 'analyst', lots: ['unseen'] })
      // Nobody else ends it.
      while (!(await hear()));
      expect(heard).not.toContain('unseen')
      expect(await lotsSeen(limited, 'latest')).toEqual(['unseen'])
    })
  })

  it('keeps long exports of one person from another', async () => {
    const path = '/api/ingest/v1/exports'
    const { id } = await as('analyst').json<{ id: string }>('POST', path, { sql: 'SELECT 1', format: 'csv' })
    const mine = await as('analyst').json<{ exports: object[] }>('GET', path)
    expect(mine.exports).toMatchObject([{ id }])
    expect(await as('admin').json('GET', path)).toEqual({ exports: [] })
    for (const [method, what] of [
      ['GET', `${path}/${id}`],
      ['GET', `${path}/${id}/file`],
      ['DELETE', `${path}/${id}`],
    ] as const)
      expect((await as('admin').ask(method, what)).status, what).toBe(404)
    await eventually(async () => (await as('analyst').ask('GET', `${path}/${id}/file`)).ok)
    await as('analyst').json('DELETE', `${path}/${id}`)
  })

  it('makes a backup for operators, and shows those there are', async () => {
    const path = '/api/ingest/v1/backups'
    const made = await as('operator').json<{ name: string }>('POST', path)
    expect(await as('operator').json('GET', path)).toMatchObject({ backups: [{ name: made.name }] })
    const metrics = await (await as('operator').ask('GET', '/api/ingest/metrics')).text()
    expect(metrics).toMatch(/^lotwatch_ingest_disk_bytes\{use="backups"\} [1-9]/m)
    expect(metrics).toMatch(/^lotwatch_ingest_disk_free_bytes [1-9]/m)
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
