/**
 * What a token request would come to now, step by step, from the present state: whoever had a right credential would
 * be told this. It counts nothing, records nothing and needs no secret. What did happen once is in the decisions.
 */
import type { Api, Client } from '../../../core/contract/client.ts'
import type { ExplainRequest, ExplainStep, Explanation } from '../../../core/contract/decision.ts'
import { mayAuthenticate } from '../../device.ts'
import { decideScopes, findGrant } from '../../grants.ts'
import type { ClientAccess, RegistryView } from '../../repository/repository.ts'
import type { QuotaStanding, Quotas } from './quotas.ts'

/** What the rules say to a request that the grant allows. */
export type RulesVerdict =
  | {
      readonly allowed: true
      readonly scopes: readonly string[]
      readonly claims: Readonly<Record<string, unknown>>
      /** Those that were run, in order. */
      readonly rules: readonly string[]
    }
  | {
      readonly allowed: false
      readonly error: string
      readonly rule: string
      /** For the operator. */
      readonly reason: string
      /** For the client; absent: no more than that a rule denied. */
      readonly told?: string
    }

export type AskRules = (request: {
  readonly client: Client
  readonly audience: string
  readonly scopes: readonly string[]
  /** Who asks; absent where nobody does and it is only explained. */
  readonly from?: TokenRequestFrom
}) => Promise<RulesVerdict>

/** What rules may know of the request itself: never a secret. */
export interface TokenRequestFrom {
  readonly address: string
  readonly userAgent: string | undefined
  /** Parameters of the body without those that authenticate. */
  readonly parameters: Readonly<Record<string, string>>
}

/** A request with these parameters, from nowhere: nobody asks. */
export function asIfAsked({ audience, scope }: Pick<ExplainRequest, 'audience' | 'scope'>): TokenRequestFrom {
  return {
    address: '',
    userAgent: undefined,
    parameters: {
      grant_type: 'client_credentials',
      ...(audience === undefined ? {} : { audience }),
      ...(scope === undefined ? {} : { scope }),
    },
  }
}

export type Explain = (request: ExplainRequest) => Promise<Explanation>

export interface ExplainOptions {
  readonly repository: Pick<RegistryView, 'findAccess' | 'findApi'>
  readonly quotas: Pick<Quotas, 'standings'>
  /** Absent: there are no rules. */
  readonly rules?: AskRules | undefined
  readonly lifeSec: number
  /** Wall clock, Unix milliseconds. */
  readonly now: () => number
}

type Step = ExplainStep['step']
type Facts = Readonly<Record<string, unknown>>

/** Gathers steps until one refuses; then there is nothing more to ask. */
class Steps {
  readonly list: ExplainStep[] = []
  error: string | undefined

  pass(step: Step, detail: string, facts?: Facts): void {
    this.list.push({ step, passes: true, detail, ...(facts === undefined ? {} : { facts }) })
  }

  refuse(step: Step, error: string, detail: string, more: { hint?: string; facts?: Facts } = {}): undefined {
    this.list.push({ step, passes: false, detail, ...more })
    this.error = error
    return undefined
  }
}

export function createExplain(options: ExplainOptions): Explain {
  return async (request) => {
    const steps = new Steps()
    const granted = await decide(request, options, steps)
    return {
      oauthClientId: request.oauthClientId,
      issues: granted !== undefined,
      steps: steps.list,
      ...(steps.error === undefined ? {} : { error: steps.error }),
      ...granted,
    }
  }
}

type Granted = Required<Pick<Explanation, 'audience' | 'scopes' | 'claims' | 'lifeSec'>>

async function decide(
  request: ExplainRequest,
  { repository, quotas, rules, lifeSec, now }: ExplainOptions,
  steps: Steps,
): Promise<Granted | undefined> {
  const nowMs = now()
  const access = await repository.findAccess(request.oauthClientId)
  if (!mayAsk(access, nowMs, steps)) return undefined
  const { client } = access
  const wanted = await grantOf(client, request, repository, steps)
  if (wanted === undefined) return undefined
  const { api } = wanted
  const asked = { client, audience: api.audience, scopes: wanted.scopes, from: asIfAsked(request) }
  const ruled = await rulesOn(asked, rules, steps)
  if (ruled === undefined) return undefined
  const standings = await quotas.standings({ client, api }, nowMs)
  if (!hasQuota(standings, steps)) return undefined
  return { audience: api.audience, ...ruled, lifeSec: api.tokenLifeSec ?? lifeSec }
}

function mayAsk(access: ClientAccess | undefined, nowMs: number, steps: Steps): access is ClientAccess {
  if (access === undefined) {
    steps.refuse('client', 'invalid_client', 'there is no such client', {
      hint: 'register it, or check how the identifier is spelled: case counts',
    })
    return false
  }
  const { client, deviceState } = access
  steps.pass('client', `${client.kind} “${client.name}”`)
  if (deviceState !== undefined && !mayAuthenticate(deviceState)) {
    steps.refuse('device', 'invalid_client', `the device is ${deviceState}`, {
      ...(deviceState === 'suspended' ? { hint: 'resume it' } : {}),
      ...(deviceState === 'registered' ? { hint: 'issue it a credential, or let it enrol' } : {}),
      facts: { state: deviceState },
    })
    return false
  }
  if (deviceState !== undefined) steps.pass('device', `the device is ${deviceState}`, { state: deviceState })
  return hasCredential(access, nowMs, steps) && hasGrantType(client, steps)
}

function hasCredential({ client, credentials }: ClientAccess, nowMs: number, steps: Steps): boolean {
  const isLive = ({ expiresAtMs }: { expiresAtMs: number | null }) =>
    expiresAtMs === null || expiresAtMs > nowMs
  const usable = credentials.filter(
    (one) =>
      isLive(one) &&
      client.authMethods.some((method) => (method === 'private_key_jwt') === (one.of === 'key')),
  )
  const ids = (some: typeof credentials) => some.map(({ credentialId }) => credentialId)
  if (usable.length > 0) {
    steps.pass('credential', 'any of these authenticates it', {
      credentialIds: ids(usable),
      authMethods: client.authMethods,
    })
    return true
  }
  const live = credentials.filter(isLive)
  const [detail, hint] =
    live.length > 0
      ? [
          'its credentials are of a kind that it may not authenticate with',
          'switch on their way to authenticate',
        ]
      : credentials.length > 0
        ? ['its credentials have expired', 'issue it a new one']
        : ['it has no credential', 'issue it one']
  const facts = { credentialIds: ids(credentials), authMethods: client.authMethods }
  steps.refuse('credential', 'invalid_client', detail, { hint, facts })
  return false
}

function hasGrantType({ grantTypes }: Client, steps: Steps): boolean {
  if (grantTypes.includes('client_credentials')) {
    steps.pass('grant_type', 'client_credentials is switched on')
    return true
  }
  steps.refuse('grant_type', 'unauthorized_client', 'client_credentials is not switched on for it', {
    hint: 'switch the grant type on',
  })
  return false
}

async function grantOf(
  client: Client,
  { audience, scope }: ExplainRequest,
  repository: ExplainOptions['repository'],
  steps: Steps,
): Promise<{ api: Api; scopes: readonly string[] } | undefined> {
  const grant = findGrant(client.grants, audience)
  if ('granted' in grant)
    return steps.refuse('grant', grant.error, grant.description, {
      hint:
        grant.error === 'invalid_request'
          ? 'name one of the audiences it has a grant for'
          : 'grant it scopes at this audience',
      facts: { audiences: client.grants.map((one) => one.audience) },
    })
  const api = await repository.findApi(grant.audience)
  if (api === undefined)
    return steps.refuse('grant', 'invalid_target', `there is no API ${grant.audience} any more`, {
      hint: 'register the API',
    })
  steps.pass('grant', `a grant for ${grant.audience}`, { audience: grant.audience, scopes: grant.scopes })
  const decision = decideScopes(grant, api, scope)
  if (!decision.granted)
    return steps.refuse('scope', decision.error, decision.description, {
      hint: 'ask for less, or grant more; a scope that its API does not have is granted to nobody',
      facts: { granted: grant.scopes, known: api.scopes.map((one) => one.scope) },
    })
  steps.pass('scope', scope === undefined ? 'all that is granted' : 'within the grant', {
    scopes: decision.scopes,
  })
  return { api, scopes: decision.scopes }
}

async function rulesOn(
  request: Parameters<AskRules>[0],
  rules: AskRules | undefined,
  steps: Steps,
): Promise<{ scopes: string[]; claims: Record<string, unknown> } | undefined> {
  if (rules === undefined) return { scopes: [...request.scopes], claims: {} }
  const verdict = await rules(request)
  if (!verdict.allowed)
    return steps.refuse('rules', verdict.error, `${verdict.rule} denies: ${verdict.reason}`, {
      hint: 'see what the rule asks for, and try it with `lotctl rules test`',
      facts: { rule: verdict.rule },
    })
  const { scopes, claims, rules: ran } = verdict
  const narrowed = request.scopes.filter((scope) => !scopes.includes(scope))
  if (ran.length > 0)
    steps.pass(
      'rules',
      narrowed.length === 0 ? 'the rules allow it' : `the rules take away ${narrowed.join(' ')}`,
      {
        rules: ran,
      },
    )
  return { scopes: [...scopes], claims: { ...claims } }
}

function hasQuota(standings: readonly QuotaStanding[], steps: Steps): boolean {
  if (standings.length === 0) {
    steps.pass('quota', 'no quota')
    return true
  }
  const used = standings.filter(({ remaining }) => remaining === 0)
  const facts = { quotas: standings }
  if (used.length === 0) {
    steps.pass('quota', 'within the quotas', facts)
    return true
  }
  const names = used.map(({ of, window }) => `the ${of}’s of this ${window}`).join(', ')
  const resetSec = Math.max(...used.map((one) => one.resetSec))
  steps.refuse('quota', 'too_many_requests', `used up: ${names}`, {
    hint: `there are tokens again in ${resetSec} s`,
    facts,
  })
  return false
}
