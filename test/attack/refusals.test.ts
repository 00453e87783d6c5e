/** Every route of provisioning, as its own description lists them: closed to strangers, and to tokens without its scope. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { IssuedCredential } from '../../core/contract/client.ts'
import { audiences } from '../../core/contract/principal.ts'
import { readCredentialFile } from '../../core/runtime/credential.ts'
import { makeDataDir } from '../kit/program.ts'
import { type Provisioning, startProvisioning, tokensOf } from '../kit/provisioning.ts'

interface Route {
  readonly method: string
  readonly path: string
  /** Undefined: no token is asked for. */
  readonly scopes: readonly string[] | undefined
}

/** Anybody may ask these; what they answer is theirs to guard. */
const open = [
  'GET /.well-known/jwks.json',
  'GET /.well-known/oauth-authorization-server',
  'GET /.well-known/openid-configuration',
  'POST /oauth/introspect',
  'POST /oauth/revoke',
  'POST /oauth/token',
  'POST /v1/enrol',
]

describe('the routes of provisioning', () => {
  const data = makeDataDir()
  let provisioning: Provisioning
  let routes: readonly Route[]
  const nameOf = ({ method, path }: Route) => `${method} ${path}`

  const call = ({ method, path }: Route, authorization?: string) =>
    fetch(provisioning.url + path.replaceAll(/\{\w+\}/g, 'x'), {
      method,
      headers: authorization === undefined ? {} : { authorization },
    })

  /** A token of a client that has every scope of the audience but one. */
  async function tokenWithout(scope: string, all: readonly string[]): Promise<string> {
    const body = {
      oauthClientId: `without-${scope.replace(':', '-')}`,
      kind: 'service',
      grants: [{ audience: audiences.provisioning, scopes: all.filter((one) => one !== scope) }],
    }
    const { credential } = await provisioning.operator.json<IssuedCredential>('/v1/clients', {
      method: 'POST',
      body,
    })
    return (await tokensOf(credential, audiences.provisioning).get()).token
  }

  beforeAll(async () => {
    provisioning = await startProvisioning(data.path)
    const { paths } = (await (await fetch(`${provisioning.url}/openapi.json`)).json()) as {
      paths: Record<string, Record<string, { security: { oauth2: string[] }[] }>>
    }
    routes = Object.entries(paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, { security }]) => ({
        method: method.toUpperCase(),
        path,
        scopes: security[0]?.oauth2,
      })),
    )
  })
  afterAll(async () => {
    await provisioning.program.stop()
    data.remove()
  })

  it('are many, and those that ask for no token are known by name', () => {
    expect(routes.length).toBeGreaterThan(40)
    const unguarded = routes.filter(({ scopes }) => scopes === undefined).map(nameOf)
    expect(unguarded.toSorted()).toEqual(open)
  })

  it('are closed without a token, with one that is no good, and with one for another audience', async () => {
    const operator = readCredentialFile(`${data.path}/operator.json`)
    const { token: foreign } = await tokensOf(operator, audiences.ingest).get()
    for (const route of routes.filter(({ scopes }) => scopes !== undefined)) {
      for (const authorization of [undefined, 'Bearer x.y.z', `Bearer ${foreign}`, 'Basic eDp5']) {
        const answer = await call(route, authorization)
        expect([nameOf(route), answer.status]).toEqual([nameOf(route), 401])
        expect(answer.headers.get('content-type')).toContain('application/problem+json')
        expect(answer.headers.get('www-authenticate')).toMatch(/^Bearer/)
      }
    }
  })

  it('are closed with every scope but the one they need', async () => {
    const scopes = [...new Set(routes.flatMap((route) => route.scopes ?? []))]
    for (const scope of scopes) {
      const token = await tokenWithout(scope, scopes)
      for (const route of routes.filter((one) => one.scopes?.includes(scope))) {
        const answer = await call(route, `Bearer ${token}`)
        expect([nameOf(route), answer.status]).toEqual([nameOf(route), 403])
        expect(answer.headers.get('www-authenticate')).toBe('Bearer error="insufficient_scope"')
      }
    }
  })
})
