/** Quotas, the brake and the record of decisions, as clients and operators of a real process meet them. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { IssuedCredential } from '../../core/contract/client.ts'
import type { CredentialFile } from '../../core/contract/credential.ts'
import type { DecisionPage, DecisionRecord, Explanation } from '../../core/contract/decision.ts'
import { makeDataDir } from '../kit/program.ts'
import { type Provisioning, startProvisioning } from '../kit/provisioning.ts'

const audience = 'urn:lotwatch:ingest'
const folder = makeDataDir()
let provisioning: Provisioning

beforeAll(async () => {
  provisioning = await startProvisioning(folder.path)
})
afterAll(async () => {
  await provisioning.program.stop()
  folder.remove()
})

async function newClient(oauthClientId: string, quota?: { perHour: number }): Promise<CredentialFile> {
  const body = {
    oauthClientId,
    kind: 'service',
    grants: [{ audience, scopes: ['read:readings'] }],
    ...(quota === undefined ? {} : { quota }),
  }
  const issued = await provisioning.operator.json<IssuedCredential>('/v1/clients', { method: 'POST', body })
  return issued.credential
}

function ask(oauthClientId: string, secret: string | undefined): Promise<Response> {
  return fetch(`${provisioning.url}/oauth/token`, {
    method: 'POST',
    headers: { authorization: `Basic ${Buffer.from(`${oauthClientId}:${secret}`).toString('base64')}` },
    body: new URLSearchParams({ grant_type: 'client_credentials', audience }),
  })
}

describe('a decision', () => {
  it('has an id in the answer, by which an operator finds at once what decided', async () => {
    const credential = await newClient('reports')
    const answer = await ask('reports', credential.client_secret)
    const decisionId = answer.headers.get('lotwatch-decision')
    const decision = await provisioning.operator.json<DecisionRecord>(`/v1/decisions/${decisionId}`)
    expect(decision).toMatchObject({
      decisionId,
      outcome: 'issued',
      oauthClientId: 'reports',
      reason: { credentialId: credential.credentialId, audience, scopes: ['read:readings'] },
    })

    const refused = (await ask('reports', 'lotsec_wrong')).headers.get('lotwatch-decision')
    const { decisions } = await provisioning.operator.json<DecisionPage>('/v1/decisions', {
      query: { oauthClientId: 'reports', outcome: 'refused' },
    })
    expect(decisions.map((one) => [one.decisionId, one.error])).toEqual([[refused, 'invalid_client']])
    expect(JSON.stringify([decision, decisions])).not.toContain(credential.client_secret)
  })
})

describe('a quota', () => {
  it('gives as many tokens as it says, then 429 with when to come back, and explain says why', async () => {
    const { client_secret } = await newClient('billing', { perHour: 2 })
    const answers = [await ask('billing', client_secret), await ask('billing', client_secret)]
    expect(answers.map(({ status }) => status)).toEqual([200, 200])
    expect(answers[1]?.headers.get('ratelimit')).toMatch(/^"client-hour";r=0;t=\d+$/)
    const over = await ask('billing', client_secret)
    expect(over.status).toBe(429)
    expect(Number(over.headers.get('retry-after'))).toBeGreaterThan(0)

    const explanation = await provisioning.operator.json<Explanation>('/v1/explain', {
      method: 'POST',
      body: { oauthClientId: 'billing', audience },
    })
    expect(explanation.issues).toBe(false)
    expect(explanation.steps.at(-1)).toMatchObject({ step: 'quota', passes: false })
  })
})

describe('the brake', () => {
  it('holds back who guesses, and never who knows the secret', async () => {
    const { client_secret } = await newClient('guessed')
    let held = 0
    const guesses = Array.from({ length: 40 }, async () => {
      const { status } = await ask('guessed', 'lotsec_wrong')
      held--
      return status
    })
    held = guesses.length
    const right = await ask('guessed', client_secret)
    expect(right.status).toBe(200)
    expect(held).toBeGreaterThan(0)
    expect(new Set(await Promise.all(guesses))).toEqual(new Set([401, 429]))
  })
})
