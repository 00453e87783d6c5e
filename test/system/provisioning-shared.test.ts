/** Two provisioning processes on one PostgreSQL: what must hold across both. */
import { randomBytes, randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { IssuedCredential } from '../../core/contract/client.ts'
import type { CredentialFile } from '../../core/contract/credential.ts'
import type { IssuedEnrolKey } from '../../core/contract/enrolment.ts'
import { audiences } from '../../core/contract/principal.ts'
import type { Lot } from '../../core/contract/registry.ts'
import { readCredentialFile } from '../../core/runtime/credential.ts'
import { followEvents } from '../../core/runtime/fetch.ts'
import { describeWithCommand } from '../kit/needs.ts'
import { type Postgres, startPostgres } from '../kit/postgres.ts'
import { eventually, freePort, makeDataDir } from '../kit/program.ts'
import { apiOf, type Provisioning, startProvisioning } from '../kit/provisioning.ts'

describeWithCommand('initdb')('two provisioning processes on one PostgreSQL', () => {
  const folders = [makeDataDir(), makeDataDir()]
  let postgres: Postgres
  let both: [Provisioning, Provisioning]

  beforeAll(async () => {
    postgres = await startPostgres()
    const env = {
      LOTWATCH_PROVISIONING_DATABASE_URL: await postgres.createDatabase(),
      LOTWATCH_PROVISIONING_PEPPER: randomBytes(32).toString('base64url'),
      // One name for both, as behind a load balancer; each has its own port.
      LOTWATCH_PROVISIONING_ISSUER_URL: `http://127.0.0.1:${await freePort()}`,
    }
    const [one, other] = await Promise.all(folders.map(({ path }) => startProvisioning(path, env)))
    if (one === undefined || other === undefined) throw new Error('two were started')
    both = [one, other]
  })
  afterAll(async () => {
    await Promise.all(both.map(({ program }) => program.stop()))
    await postgres.stop()
    for (const folder of folders) folder.remove()
  })

  /** A token from one of the processes, whatever its credential says of where to ask. */
  const ask = async (at: Provisioning, parameters: Record<string, string>) => {
    const response = await fetch(`${at.url}/oauth/token`, {
      method: 'POST',
      body: new URLSearchParams({ grant_type: 'client_credentials', ...parameters }),
    })
    const body = (await response.json()) as { access_token?: string; error?: string }
    return { status: response.status, token: body.access_token, error: body.error }
  }
  const withSecret = (credential: CredentialFile) => ({
    client_id: credential.client_id,
    client_secret: credential.client_secret ?? '',
  })
  /** At one of the processes, with the credential it wrote into its folder. */
  const apiAt = (i: number, file: string) => {
    const { url } = both[i as 0 | 1]
    const credential = readCredentialFile(join((folders[i] as { path: string }).path, file))
    return apiOf(url, { ...credential, token_endpoint: `${url}/oauth/token` })
  }
  const operatorAt = (i: number) => apiAt(i, 'operator.json')
  const register = async (body: object): Promise<CredentialFile> => {
    const path = '/v1/clients'
    const answer = await operatorAt(0).json<IssuedCredential>(path, { method: 'POST', body })
    return answer.credential
  }
  const grants = [{ audience: audiences.provisioning, scopes: ['read:devices', 'read:feed'] }]

  it('sign with the same keys, so that a token of one is good at the other', async () => {
    const credential = await register({ oauthClientId: 'reader', kind: 'service', grants })

    const { token = '' } = await ask(both[0], withSecret(credential))
    const answer = await fetch(`${both[1].url}/v1/devices`, { headers: { authorization: `Bearer ${token}` } })

    expect(answer.status).toBe(200)
    const sets = await Promise.all(
      both.map(async ({ url }) => (await fetch(`${url}/.well-known/jwks.json`)).json()),
    )
    expect(sets[1]).toEqual(sets[0])
  })

  it('count a quota together, exactly', async () => {
    const credential = await register({
      oauthClientId: 'counted',
      kind: 'service',
      grants,
      quota: { perDay: 7 },
    })

    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, i) => ask(both[(i % 2) as 0 | 1], withSecret(credential))),
    )

    expect(answers.filter(({ status }) => status === 200)).toHaveLength(7)
    expect(answers.filter(({ status }) => status === 429)).toHaveLength(13)
  })

  it('take an assertion once between them', async () => {
    const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true })
    await register({ oauthClientId: 'keyed', kind: 'service', grants, publicKey: await exportJWK(publicKey) })
    const assertion = await new SignJWT()
      .setProtectedHeader({ alg: 'ES256' })
      .setIssuer('keyed')
      .setSubject('keyed')
      .setAudience(String(both[0].program.ready.issuer))
      .setJti('once')
      .setExpirationTime('1m')
      .sign(privateKey)
    const parameters = {
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion: assertion,
    }

    const answers = await Promise.all([0, 1, 0, 1].map((i) => ask(both[i as 0 | 1], parameters)))

    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1)
  })

  it('let in as many boards by an enrolment key as it says, wherever they come', async () => {
    const { key } = await operatorAt(0).json<IssuedEnrolKey>('/v1/enrol-keys', {
      method: 'POST',
      body: { usesMax: 3 },
    })
    const enrol = async (i: number) => {
      const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true })
      const proof = await new SignJWT({ aud: String(both[0].program.ready.issuer), jti: randomUUID() })
        .setProtectedHeader({ alg: 'ES256', typ: 'enrol+jwt' })
        .setExpirationTime('1m')
        .sign(privateKey)
      const response = await fetch(`${both[(i % 2) as 0 | 1].url}/v1/enrol`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ key, deviceId: `board-${i}`, publicKey: await exportJWK(publicKey), proof }),
      })
      return response.status
    }

    const statuses = await Promise.all(Array.from({ length: 8 }, (_, i) => enrol(i)))

    expect(statuses.toSorted()).toEqual([201, 201, 201, 403, 403, 403, 403, 403])
  })

  it('refuse at once what was revoked at the other', async () => {
    const credential = await register({ oauthClientId: 'leaver', kind: 'service', grants })
    expect((await ask(both[1], withSecret(credential))).status).toBe(200)

    const path = `/v1/clients/leaver/credentials/${credential.credentialId}`
    await operatorAt(0).json(path, { method: 'DELETE' })

    expect(await ask(both[1], withSecret(credential))).toMatchObject({ status: 401 })
  })

  it('tell followers of either the same events in the same order', async () => {
    const followed = [0, 1].map((i) => {
      const heard: string[] = []
      const stream = followEvents({
        api: apiAt(i, 'services/ingest.json'),
        path: '/v1/feed',
        silentMs: 15_000,
        random: Math.random,
        onEvent: ({ type, data }) => void heard.push(type === 'snapshot' ? type : data),
      })
      return { heard, stream }
    })
    // What comes before somebody listens is part of their snapshot.
    await eventually(() => followed.every(({ heard }) => heard.length === 1))

    await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        operatorAt(i % 2).json(`/v1/lots/lot-${i}`, {
          method: 'PUT',
          body: { name: `Lot ${i}`, capacities: [] },
        }),
      ),
    )

    await eventually(() => followed.every(({ heard }) => heard.length === 21))
    expect(followed[1]?.heard).toEqual(followed[0]?.heard)
    for (const { stream } of followed) stream.stop()
  })

  it('go on by themselves when the database cuts their connections', async () => {
    await postgres.cutConnections()

    const lots = await eventually(async () => {
      const { status } = await fetch(`${both[0].url}/readyz`)
      const answer = await operatorAt(0).json<{ lots: Lot[] }>('/v1/lots')
      return status === 200 && answer
    })
    await operatorAt(1).json('/v1/lots/after', { method: 'PUT', body: { name: 'After', capacities: [] } })
    expect((await operatorAt(0).json<{ lots: Lot[] }>('/v1/lots')).lots).toHaveLength(lots.lots.length + 1)
  })
})
