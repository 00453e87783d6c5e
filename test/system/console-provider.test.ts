/** People of an OpenID Connect provider sign in to the console: a real provider (oidc-provider), with its own pages. */
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import Provider from 'oidc-provider'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Me } from '../../console/wire.ts'
import { cookieOf, type RunningConsole, startConsole, visitor } from '../kit/console.ts'
import { freePort, makeDataDir } from '../kit/program.ts'
import { type Provisioning, startProvisioning } from '../kit/provisioning.ts'

const oauthClientId = 'lotwatch-console'
const clientSecret = 'a secret between the two of them'
/** What the provider knows of its people. */
const people: Readonly<Record<string, object>> = {
  maria: { preferred_username: 'maria', lotwatch_role: ['staff', 'operator'] },
  guest: { preferred_username: 'guest' },
  lina: { preferred_username: 'lina', lotwatch_role: 'analyst', lotwatch_lots: ['north'] },
  otto: { preferred_username: 'otto', lotwatch_role: 'operator', lotwatch_lots: ['north'] },
}

describe('an OpenID Connect provider', () => {
  const data = makeDataDir()
  let provisioning: Provisioning
  let console: RunningConsole
  let provider: Server
  let issuer: string

  beforeAll(async () => {
    const port = await freePort()
    issuer = `http://127.0.0.1:${port}`
    provisioning = await startProvisioning(data.path)
    const nobody = `http://127.0.0.1:${await freePort()}`
    console = await startConsole(
      { data: data.path, issuer: provisioning.url, ingestUrl: nobody, brokerUrl: nobody },
      {
        LOTWATCH_CONSOLE_OIDC_ISSUER: issuer,
        LOTWATCH_CONSOLE_OIDC_CLIENT_ID: oauthClientId,
        LOTWATCH_CONSOLE_OIDC_CLIENT_SECRET: clientSecret,
      },
    )
    const oidc = new Provider(issuer, {
      clients: [
        {
          client_id: oauthClientId,
          client_secret: clientSecret,
          redirect_uris: [`${console.url}/sign-in/return`],
        },
      ],
      claims: { openid: ['sub'], profile: ['preferred_username', 'lotwatch_role', 'lotwatch_lots'] },
      conformIdTokenClaims: false,
      findAccount: (_context: unknown, id: string) => ({
        accountId: id,
        claims: async () => ({ sub: id, ...people[id] }),
      }),
      cookies: { keys: ['for tests alone'] },
    })
    provider = createServer(oidc.callback()).listen(port, '127.0.0.1')
    await once(provider, 'listening')
  }, 60_000)
  afterAll(async () => {
    provider.close()
    await console.program.stop()
    await provisioning.program.stop()
    data.remove()
  })

  /** Goes to the provider, says who they are, agrees. @returns what the provider sends back */
  async function agree(name: string, start: string): Promise<string> {
    const cookies = new Map<string, string>()
    let address = start
    let form: string | undefined
    for (let steps = 0; steps < 12; steps++) {
      const answer = await fetch(address, {
        method: form === undefined ? 'GET' : 'POST',
        redirect: 'manual',
        headers: {
          cookie: [...cookies].map((pair) => pair.join('=')).join('; '),
          ...(form === undefined ? {} : { 'content-type': 'application/x-www-form-urlencoded' }),
        },
        ...(form === undefined ? {} : { body: form }),
      })
      form = undefined
      for (const cookie of answer.headers.getSetCookie()) {
        const [, key = '', value = ''] = /^([^=]+)=([^;]*)/.exec(cookie) ?? []
        cookies.set(key, value)
      }
      const location = answer.headers.get('location')
      if (location !== null) {
        address = new URL(location, address).href
        if (address.startsWith(console.url)) return new URL(address).search
        await answer.body?.cancel()
        continue
      }
      const page = await answer.text()
      address = /action="([^"]+)"/.exec(page)?.[1] ?? address
      form = page.includes('value="login"') ? `prompt=login&login=${name}&password=any` : 'prompt=consent'
    }
    throw new Error('the provider never came to an end')
  }

  const begin = async () => {
    const answer = await visitor(console.url, '').ask('POST', '/api/sign-in/provider')
    const { url } = (await answer.json()) as { url: string }
    return { url, cookie: cookieOf(answer) }
  }
  const finish = (cookie: string, search: string) =>
    visitor(console.url, cookie).ask('POST', '/api/sign-in/provider/return', { search })

  it('is asked with PKCE, state and nonce, and lets in whom it names, with the role it gives', async () => {
    const { url, cookie } = await begin()
    const asked = Object.fromEntries(new URL(url).searchParams)
    expect(asked).toMatchObject({
      response_type: 'code',
      code_challenge_method: 'S256',
      state: expect.any(String),
      nonce: expect.any(String),
      redirect_uri: `${console.url}/sign-in/return`,
    })
    const search = await agree('maria', url)
    const answer = await finish(cookie, search)
    expect(answer.status).toBe(204)
    const me = await visitor(console.url, cookieOf(answer)).json<Me>('GET', '/api/me')
    expect(me).toMatchObject({ person: 'oidc:maria', role: 'operator', by: 'provider' })
    expect((await finish(cookie, search)).status).toBe(401)
  })

  it('lets nobody in by an answer that another browser asked for', async () => {
    const [mine, theirs] = [await begin(), await begin()]
    const search = await agree('maria', theirs.url)
    expect((await finish(mine.cookie, search)).status).toBe(401)
    expect((await finish('', search)).status).toBe(401)
  })

  it('lets nobody in whom it gives no role', async () => {
    const { url, cookie } = await begin()
    const answer = await finish(cookie, await agree('guest', url))
    expect(answer.status).toBe(401)
    expect(await answer.json()).toMatchObject({ detail: expect.stringContaining('no role') })
  })

  it('limits an analyst to the lots it names, and lets nobody in whose role has no such limit', async () => {
    const signInAs = async (name: string) => {
      const { url, cookie } = await begin()
      return finish(cookie, await agree(name, url))
    }
    const answer = await signInAs('lina')
    const me = await visitor(console.url, cookieOf(answer)).json<Me>('GET', '/api/me')
    expect(me).toMatchObject({ person: 'oidc:lina', role: 'analyst', lots: ['north'] })
    expect((await signInAs('otto')).status).toBe(401)
  })

  it('is named on the sign-in page, and its secret nowhere', async () => {
    expect(await visitor(console.url, '').json('GET', '/api/sign-in')).toMatchObject({
      provider: new URL(issuer).host,
    })
    expect(console.program.lines.join('\n')).not.toContain(clientSecret)
  })
})
