import { describe, expect, it } from 'vitest'
import type { Api, Client } from '../../../../../core/contract/client.ts'
import {
  createExplain,
  type ExplainOptions,
  type RulesVerdict,
} from '../../../../../provisioning/oauth/guards/explain.ts'
import { createQuotas } from '../../../../../provisioning/oauth/guards/quotas.ts'
import type { ClientAccess } from '../../../../../provisioning/repository/repository.ts'

const nowMs = 1_700_000_000_000
const api: Api = {
  audience: 'urn:a',
  name: 'A',
  scopes: ['read:a', 'write:a'].map((scope) => ({ scope, description: scope })),
  alg: 'ES256',
  dialect: 'rfc9068',
  builtIn: false,
  tokenLifeSec: 600,
}
const client: Client = {
  oauthClientId: 'gate-1',
  name: 'Gate 1',
  kind: 'device',
  grantTypes: ['client_credentials'],
  authMethods: ['client_secret_basic'],
  grants: [{ audience: 'urn:a', scopes: ['read:a', 'write:a'] }],
  metadata: {},
}
const secret = { of: 'secret', credentialId: 'c-1', digest: new Uint8Array(32), expiresAtMs: null } as const
const access: ClientAccess = {
  client,
  deviceState: 'active',
  board: undefined,
  revokedAtMs: undefined,
  credentials: [secret],
}

interface Situation {
  readonly access?: Partial<ClientAccess>
  readonly client?: Partial<Client>
  readonly used?: number
  readonly rules?: ExplainOptions['rules']
}

function explainIn(situation: Situation, request: { audience?: string; scope?: string } = {}) {
  const explain = createExplain({
    repository: {
      findAccess: async (id) =>
        id === 'gate-1'
          ? { ...access, client: { ...client, ...situation.client }, ...situation.access }
          : undefined,
      findApi: async (audience) => (audience === api.audience ? api : undefined),
    },
    quotas: createQuotas({ countTokens: async (counts) => counts.map(() => situation.used ?? 0) }),
    rules: situation.rules,
    lifeSec: 3600,
    now: () => nowMs,
  })
  return explain({ oauthClientId: 'gate-1', ...request })
}

const saysNo =
  (scopes: readonly string[]): ExplainOptions['rules'] =>
  async () =>
    ({ allowed: true, scopes, claims: { zone: 'north' }, rules: ['10-zone.js'] }) satisfies RulesVerdict

describe('an explanation', () => {
  it('goes through all that decides, and ends with the token there would be', async () => {
    const explanation = await explainIn({ client: { quota: { perHour: 2 } }, rules: saysNo(['read:a']) })
    expect(explanation).toMatchObject({
      issues: true,
      audience: 'urn:a',
      scopes: ['read:a'],
      claims: { zone: 'north' },
      lifeSec: 600,
    })
    expect(explanation.steps.map(({ step, passes }) => [step, passes])).toEqual(
      ['client', 'device', 'credential', 'grant_type', 'grant', 'scope', 'rules', 'quota'].map((step) => [
        step,
        true,
      ]),
    )
  })

  const refusals: readonly [string, Situation, { audience?: string; scope?: string }, string, string][] = [
    ['a suspended device', { access: { deviceState: 'suspended' } }, {}, 'device', 'invalid_client'],
    ['no credential', { access: { credentials: [] } }, {}, 'credential', 'invalid_client'],
    [
      'an expired credential',
      { access: { credentials: [{ ...secret, expiresAtMs: nowMs }] } },
      {},
      'credential',
      'invalid_client',
    ],
    [
      'a credential of a kind it may not use',
      { client: { authMethods: ['private_key_jwt'] } },
      {},
      'credential',
      'invalid_client',
    ],
    ['a grant type that is off', { client: { grantTypes: [] } }, {}, 'grant_type', 'unauthorized_client'],
    ['an audience without a grant', {}, { audience: 'urn:b' }, 'grant', 'invalid_target'],
    [
      'an API that is gone',
      { client: { grants: [{ audience: 'urn:gone', scopes: [] }] } },
      {},
      'grant',
      'invalid_target',
    ],
    ['a scope beyond the grant', {}, { scope: 'manage:a' }, 'scope', 'invalid_scope'],
    [
      'a rule that denies',
      {
        rules: async () => ({ allowed: false, error: 'access_denied', rule: '10-ban.js', reason: 'banned' }),
      },
      {},
      'rules',
      'access_denied',
    ],
    ['a quota used up', { client: { quota: { perHour: 2 } }, used: 2 }, {}, 'quota', 'too_many_requests'],
  ]
  it.each(refusals)('ends at %s, with what would help', async (_name, situation, request, step, error) => {
    const explanation = await explainIn(situation, request)
    expect(explanation).toMatchObject({ issues: false, error })
    expect(explanation.scopes).toBeUndefined()
    expect(explanation.steps.filter(({ passes }) => !passes).map((one) => one.step)).toEqual([step])
    expect(explanation.steps.at(-1)).toMatchObject({ step, hint: expect.any(String) })
  })

  it('shows no digest of a secret', async () => {
    const explanation = await explainIn({})
    expect(JSON.stringify(explanation)).not.toContain('digest')
  })
})
