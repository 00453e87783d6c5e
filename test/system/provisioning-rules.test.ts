/** Rules at token time, as clients and operators of a real process meet them. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { decodeJwt } from 'jose'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { IssuedCredential } from '../../core/contract/client.ts'
import type { DecisionRecord, Explanation } from '../../core/contract/decision.ts'
import { runLotctl } from '../kit/lotctl.ts'
import { eventually, makeDataDir } from '../kit/program.ts'
import { type Provisioning, startProvisioning } from '../kit/provisioning.ts'

const audience = 'urn:lotwatch:ingest'
const data = makeDataDir()
const folder = join(data.path, 'rules')
const write = (name: string, source: string) => writeFileSync(join(folder, name), source)
const wellKnown = `function (user, context, callback) {
  if (context.clientID === "BANNED_CLIENT_ID") {
    return callback(new UnauthorizedError('Access to this application has been temporarily revoked'));
  }
  callback(null, user, context);
}`
const secrets: Record<string, string> = {}
let provisioning: Provisioning

beforeAll(async () => {
  mkdirSync(folder)
  write('10-banned.js', wellKnown)
  write(
    '20-site.js',
    `exports.onExecuteCredentialsExchange = async (event, api) => {
      if (event.client.metadata.site) api.accessToken.setCustomClaim('https://lots.example/site', event.client.metadata.site)
      if (event.client.client_id === 'reader') api.transaction.removeTargetScope('query:sql')
      if (event.client.client_id === 'stuck') for (;;) {}
    }`,
  )
  provisioning = await startProvisioning(data.path, { LOTWATCH_PROVISIONING_RULE_TIME_MS: '1500' })
  for (const oauthClientId of ['BANNED_CLIENT_ID', 'reader', 'stuck']) {
    const grants = [{ audience, scopes: ['read:readings', 'query:sql'] }]
    const metadata = { site: 'north' }
    const { credential } = await provisioning.operator.json<IssuedCredential>('/v1/clients', {
      method: 'POST',
      body: { oauthClientId, kind: 'service', grants, metadata },
    })
    secrets[oauthClientId] = credential.client_secret ?? ''
  }
})
afterAll(async () => {
  await provisioning.program.stop()
  data.remove()
})

async function ask(oauthClientId: string) {
  const answer = await fetch(`${provisioning.url}/oauth/token`, {
    method: 'POST',
    headers: {
      authorization: `Basic ${Buffer.from(`${oauthClientId}:${secrets[oauthClientId]}`).toString('base64')}`,
    },
    body: new URLSearchParams({ grant_type: 'client_credentials', audience }),
  })
  const body = (await answer.json()) as Record<string, string>
  const decisionId = answer.headers.get('lotwatch-decision') ?? ''
  const decision = await provisioning.operator.json<DecisionRecord>(`/v1/decisions/${decisionId}`)
  return { status: answer.status, body, decision }
}

const explain = (oauthClientId: string) =>
  provisioning.operator.json<Explanation>('/v1/explain', {
    method: 'POST',
    body: { oauthClientId, audience },
  })

const lotctl = (...args: string[]) =>
  runLotctl(args, {
    LOTWATCH_DATA: data.path,
    LOTWATCH_PROVISIONING_PORT: new URL(provisioning.url).port,
  })

describe('rules at token time', () => {
  it('deny in their own words, and the record names the rule', async () => {
    const { status, body, decision } = await ask('BANNED_CLIENT_ID')
    expect([status, body]).toEqual([
      403,
      {
        error: 'access_denied',
        error_description: 'Access to this application has been temporarily revoked',
      },
    ])
    expect(decision).toMatchObject({
      outcome: 'refused',
      error: 'access_denied',
      reason: { refusedBy: 'rules', rule: '10-banned.js', why: expect.stringContaining('temporarily') },
    })
    const { issues, steps } = await explain('BANNED_CLIENT_ID')
    expect(issues).toBe(false)
    expect(steps.at(-1)).toMatchObject({ step: 'rules', passes: false, facts: { rule: '10-banned.js' } })
  })

  it('narrow scopes and add claims, and the record says which ran', async () => {
    const { body, decision } = await ask('reader')
    expect(decodeJwt(body.access_token ?? '')).toMatchObject({
      scope: 'read:readings',
      'https://lots.example/site': 'north',
      client_id: 'reader',
    })
    expect(body.scope).toBe('read:readings')
    expect(decision.reason).toMatchObject({
      scopes: ['read:readings'],
      rules: ['10-banned.js', '20-site.js'],
    })
    expect(await explain('reader')).toMatchObject({
      issues: true,
      scopes: ['read:readings'],
      claims: { 'https://lots.example/site': 'north' },
    })
  })

  it('that hang deny that request alone, while the server serves all others', async () => {
    const stuck = ask('stuck')
    const { status } = await ask('reader')
    const health = await fetch(`${provisioning.url}/livez`)
    expect([status, health.ok]).toEqual([200, true])
    expect(await stuck).toMatchObject({
      status: 500,
      body: { error: 'server_error', error_description: 'a rule could not be asked' },
      decision: { reason: { rule: '20-site.js', why: 'it took longer than 1500 ms' } },
    })
  })

  it('are listed, shown and tried with lotctl', async () => {
    const listed = await lotctl('rules', 'list', '-o', 'json')
    expect(JSON.parse(listed.stdout).rules).toMatchObject([
      { name: '10-banned.js', shape: 'rule', state: 'active' },
      { name: '20-site.js', shape: 'action', state: 'active' },
    ])
    expect((await lotctl('rules', 'show', '10-banned.js')).stdout.trim()).toBe(wellKnown)

    const file = join(data.path, 'tried.js')
    writeFileSync(
      file,
      `function (user, context, callback) { console.log(context.clientMetadata.site); context.accessToken.scope = [];
        callback(null, user, context) }`,
    )
    const tried = await lotctl(
      'rules',
      'test',
      file,
      '--client',
      'reader',
      '--audience',
      'ingest',
      '-o',
      'json',
    )
    expect(JSON.parse(tried.stdout)).toMatchObject({
      outcome: 'allowed',
      granted: ['read:readings', 'query:sql'],
      scopes: [],
      console: ['north'],
    })
    const unknown = await lotctl('rules', 'test', file, '--client', 'nobody', '-o', 'json')
    expect([unknown.exit, unknown.stderr]).toEqual([4, expect.stringContaining('nobody')])
    expect((await ask('reader')).body.scope).toBe('read:readings')
  }, 60_000)

  it('that are broken deny everybody until they are corrected, and the log says which', async () => {
    const { operator } = provisioning
    await operator.json('/v1/rules') // while it still gets a token
    write('30-half.js', `function (user, context, callback) {`)
    await eventually(async () => {
      const { rules } = await operator.json<{ rules: { name: string; state: string }[] }>('/v1/rules')
      return rules.some(({ name, state }) => name === '30-half.js' && state === 'broken')
    })
    const { status, decision } = await ask('reader')
    expect([status, decision.reason]).toEqual([
      500,
      expect.objectContaining({ rule: '30-half.js', why: expect.stringContaining('SyntaxError') }),
    ])
    const lines = provisioning.program.lines.filter((line) => line.includes('rule.broken'))
    expect(lines).toEqual([expect.stringContaining('30-half.js')])
    rmSync(join(folder, '30-half.js'))
    await eventually(async () => (await ask('reader')).status === 200)
  })
})
