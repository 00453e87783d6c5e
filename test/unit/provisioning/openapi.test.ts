import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { FleetError } from '../../../core/contract/errors.ts'
import { scopesOf } from '../../../core/contract/principal.ts'
import { createServer } from '../../../core/runtime/http.ts'
import { createLog } from '../../../core/runtime/log.ts'
import { registerRoutes } from '../../../provisioning/routes.ts'

interface Operation {
  readonly summary?: string
  readonly tags?: readonly string[]
  readonly security?: readonly { oauth2?: readonly string[] }[]
  readonly responses: Readonly<Record<string, unknown>>
}
interface Description {
  readonly openapi: string
  readonly tags: readonly { name: string }[]
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
}

/** Asked without a token: who may ask is decided otherwise, or everybody may. */
const publicRoutes = [
  'GET /.well-known/jwks.json',
  'GET /.well-known/oauth-authorization-server',
  'GET /.well-known/openid-configuration',
  'POST /oauth/introspect',
  'POST /oauth/revoke',
  'POST /oauth/token',
  'POST /v1/enrol',
]

describe('the description of the HTTP API', () => {
  const server = createServer({ log: createLog({ program: 'test', level: 'silent' }) })
  let description: Description
  let operations: (readonly [route: string, operation: Operation])[]

  beforeAll(async () => {
    const parts = () => {
      throw new FleetError('system.busy', 'starting')
    }
    registerRoutes(server, { version: '1.2.3', parts })
    description = (await server.inject('/openapi.json')).json()
    operations = Object.entries(description.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(
        ([method, operation]) => [`${method.toUpperCase()} ${path}`, operation] as const,
      ),
    )
  })
  afterAll(() => server.close())

  it('is OpenAPI 3.1 of this version', () => {
    expect(description).toMatchObject({ openapi: '3.1.0', info: { version: '1.2.3' } })
    expect(operations.length).toBeGreaterThan(15)
  })

  it('says in words what every route does, under a heading that exists', () => {
    const headings = description.tags.map(({ name }) => name)
    for (const [route, { summary, tags }] of operations) {
      expect(summary, route).toMatch(/^[A-Z].{8,}/)
      expect(tags, route).toHaveLength(1)
      expect(headings, route).toContain(tags?.[0])
    }
  })

  it('says which scope every route needs, but those that anybody may ask', () => {
    const known = Object.keys(scopesOf['urn:lotwatch:provisioning'])
    const open: string[] = []
    for (const [route, { security = [] }] of operations) {
      const [first] = security
      if (first === undefined) open.push(route)
      else if (route !== 'GET /v1/whoami') {
        expect(first.oauth2, route).toHaveLength(1)
        expect(known, route).toContain(first.oauth2?.[0])
      }
    }
    expect(publicRoutes).toEqual(expect.arrayContaining(open))
  })

  it('says what every route answers, and how it fails', () => {
    for (const [route, { responses }] of operations) {
      expect(Object.keys(responses), route).toContain('default')
      expect(
        Object.keys(responses).some((status) => status.startsWith('2')),
        route,
      ).toBe(true)
    }
  })

  it('names the headers of conditional and repeated requests', () => {
    const text = JSON.stringify(description.paths['/v1/clients']?.post)
    expect(text).toContain('idempotency-key')
    expect(JSON.stringify(description.paths['/v1/apis/{audience}']?.put)).toContain('if-match')
  })

  it('is shown by pages that load nothing from elsewhere', async () => {
    const page = await server.inject('/docs/')

    expect(page.statusCode).toBe(200)
    expect(page.headers['content-security-policy']).toMatch(/default-src 'self'/)
    const addresses = [...page.body.matchAll(/(?:src|href)="([^"]+)"/g)].map((match) => match[1])
    expect(addresses.length).toBeGreaterThan(3)
    expect(addresses.filter((address) => /^(https?:)?\/\//.test(address ?? ''))).toEqual([])
    for (const address of addresses)
      expect((await server.inject(new URL(address ?? '', 'http://x/docs/').pathname)).statusCode).toBe(200)
  })

  it('is what the pages show', async () => {
    expect((await server.inject('/docs/json')).json()).toEqual(description)
  })

  it('does not check what it only describes: a route without a token is refused before anything else', async () => {
    const answer = await server.inject({ method: 'POST', url: '/v1/clients', payload: { nonsense: true } })
    expect(answer.statusCode).toBe(503)
  })
})
