/** `lotctl doctor`: what is wrong or soon will be. Each finding has its next step; looking changes nothing. */
import { connect } from 'node:net'
import type { Client, CredentialRecord } from '../../core/contract/client.ts'
import type { DecisionRecord } from '../../core/contract/decision.ts'
import { isFleetError } from '../../core/contract/errors.ts'
import type { RuleShown } from '../../core/contract/rule.ts'
import { createFetch } from '../../core/runtime/fetch.ts'
import type { Call } from '../call.ts'
import { type Exit, exits } from '../exit.ts'
import { counted } from '../output.ts'
import type { Status } from './server.ts'

export interface Finding {
  readonly check: string
  readonly state: 'ok' | 'warning' | 'failed'
  readonly detail: string
  readonly next?: string
}

const marks = { ok: '✓', warning: '!', failed: '✗' } as const
const soonMs = 14 * 86_400_000
const skewMsMax = 5000
const connectMs = 2000
const clientsMax = 50

export async function doctor(call: Call): Promise<Exit> {
  const provisioning = await reach(call, 'provisioning')
  const isThere = provisioning[0]?.state === 'ok'
  const others = await Promise.all([
    reach(call, 'ingest'),
    broker(call),
    ...(isThere ? [access(call), keys(call), rules(call), credentials(call), refused(call)] : []),
  ])
  const findings = [...provisioning, ...others.flat()]
  if (call.look.output === 'table' && !call.look.quiet) call.voice.answer(findings.map(lineOf).join('\n'))
  else
    call.list({
      rows: findings,
      columns: ['check', 'state', 'detail', 'next'],
      id: 'check',
      whole: { findings },
    })
  if (!isThere) return exits.unreachable
  return findings.some(({ state }) => state === 'failed') ? exits.failed : exits.ok
}

function lineOf({ check, state, detail, next }: Finding): string {
  return `${marks[state]} ${check}: ${detail}${next === undefined ? '' : `\n    ${next}`}`
}

/** Whether it answers, and how its clock and ours differ. */
async function reach(call: Call, program: 'provisioning' | 'ingest'): Promise<Finding[]> {
  const url = call.access.url(program)
  const { ca } = call.access.credential
  const beforeMs = Date.now()
  try {
    const response = await createFetch(ca === undefined ? {} : { ca })(`${url.replace(/\/$/, '')}/readyz`, {
      signal: AbortSignal.timeout(Math.min(call.timeoutMs, 5000)),
    })
    await response.body?.cancel()
    const findings: Finding[] = [
      response.ok
        ? { check: program, state: 'ok', detail: `${url} is ready` }
        : {
            check: program,
            state: 'failed',
            detail: `${url} answers ${response.status}`,
            next: 'its log says why',
          },
    ]
    const date = Date.parse(response.headers.get('date') ?? '')
    // The header has whole seconds, and the answer was under way.
    const skewMs = date + 500 - (beforeMs + Date.now()) / 2
    if (program === 'provisioning' && !Number.isNaN(date)) findings.push(clock(skewMs))
    return findings
  } catch {
    const next = `start it, or set LOTWATCH_CLI_${program.toUpperCase()}_URL`
    return [{ check: program, state: 'failed', detail: `${url} does not answer`, next }]
  }
}

function clock(skewMs: number): Finding {
  const detail = `the server’s clock differs by ${(Math.abs(skewMs) / 1000).toFixed(1)} s`
  if (Math.abs(skewMs) <= skewMsMax) return { check: 'clock', state: 'ok', detail }
  return {
    check: 'clock',
    state: 'warning',
    detail,
    next: 'switch time synchronisation on, on both machines',
  }
}

function broker(call: Call): Promise<Finding[]> {
  const { brokerUrl } = call.home.places
  const { hostname, port, protocol } = new URL(brokerUrl)
  const at = {
    host: hostname.replace(/^\[|\]$/g, ''),
    port: Number(port || (protocol === 'mqtts:' ? 8883 : 1883)),
  }
  return new Promise((resolve) => {
    const socket = connect({ ...at, timeout: connectMs })
    const end = (finding: Omit<Finding, 'check'>) => {
      socket.destroy()
      resolve([{ check: 'broker', ...finding }])
    }
    const away = () =>
      end({
        state: 'failed',
        detail: `${brokerUrl} does not answer`,
        next: 'start it, or set its host and port',
      })
    socket.once('connect', () => end({ state: 'ok', detail: `${brokerUrl} takes connections` }))
    socket.once('timeout', away)
    socket.once('error', away)
  })
}

async function access(call: Call): Promise<Finding[]> {
  return attempt('access', async () => {
    const me = await call.get<{ oauthClientId: string; scopes: readonly string[] }>('/v1/whoami')
    return [{ check: 'access', state: 'ok', detail: `${me.oauthClientId} with ${me.scopes.length} scopes` }]
  })
}

/** Keys that sign no more soon, and no successor on its way. */
async function keys(call: Call): Promise<Finding[]> {
  return attempt('keys', async () => {
    const { signingKeys } = await call.get<Status>('/v1/status')
    const nowMs = Date.now()
    const ending = signingKeys.filter(
      ({ alg, kid, signsUntilMs }) =>
        signsUntilMs !== null &&
        signsUntilMs > nowMs &&
        signsUntilMs < nowMs + soonMs &&
        !signingKeys.some(
          (other) =>
            other.kid !== kid && other.alg === alg && (other.signsUntilMs ?? Infinity) > signsUntilMs,
        ),
    )
    if (ending.length === 0)
      return [{ check: 'keys', state: 'ok', detail: counted(signingKeys.length, 'signing key') }]
    return ending.map(({ kid }) => ({
      check: 'keys',
      state: 'warning',
      detail: `${kid} ends within 14 days and has no successor`,
      next: 'lotctl keys rotate',
    }))
  })
}

/** A broken one denies every token request; one that fails denies some. */
async function rules(call: Call): Promise<Finding[]> {
  return attempt('rules', async () => {
    const { rules: inForce } = await call.get<{ rules: RuleShown[] }>('/v1/rules')
    const findings = inForce.flatMap(({ name, fault, failures }): Finding[] => {
      const next = `correct ${name}, and try it: lotctl rules test ${name} --client ID`
      if (fault !== undefined)
        return [{ check: 'rules', state: 'failed', detail: `${name} is broken: ${fault}`, next }]
      if (failures === 0) return []
      const detail = `${name} has failed and denied ${counted(failures, 'request')}`
      return [{ check: 'rules', state: 'warning', detail, next }]
    })
    const fine: Finding = { check: 'rules', state: 'ok', detail: counted(inForce.length, 'rule') }
    return findings.length === 0 ? [fine] : findings
  })
}

/** Of clients that are no devices: credentials that expire soon and have no successor. */
async function credentials(call: Call): Promise<Finding[]> {
  return attempt('credentials', async () => {
    const clients = await call.all<Client>('/v1/clients', 'clients', { limit: clientsMax }, clientsMax)
    const nowMs = Date.now()
    const findings: Finding[] = []
    for (const { oauthClientId } of clients) {
      const shown = await call.get<{ credentials: CredentialRecord[] }>(`/v1/clients/${oauthClientId}`)
      const living = shown.credentials.filter(
        ({ revokedAtMs, expiresAtMs }) =>
          revokedAtMs === null && (expiresAtMs === null || expiresAtMs > nowMs),
      )
      const last = Math.max(...living.map(({ expiresAtMs }) => expiresAtMs ?? Number.POSITIVE_INFINITY))
      if (living.length > 0 && last < nowMs + soonMs)
        findings.push({
          check: 'credentials',
          state: 'warning',
          detail: `the last credential of ${oauthClientId} expires within 14 days`,
          next: `lotctl client rotate ${oauthClientId} --out FILE`,
        })
    }
    if (findings.length > 0) return findings
    return [
      {
        check: 'credentials',
        state: 'ok',
        detail: `of ${counted(clients.length, 'client')} none expires soon`,
      },
    ]
  })
}

async function refused(call: Call): Promise<Finding[]> {
  return attempt('refusals', async () => {
    const query = { outcome: 'refused', limit: 200 }
    const { decisions } = await call.get<{ decisions: DecisionRecord[] }>('/v1/decisions', query)
    const hourAgoMs = Date.now() - 3_600_000
    const latest = new Map<string, DecisionRecord>()
    for (const decision of decisions)
      if (
        decision.atMs > hourAgoMs &&
        decision.oauthClientId !== undefined &&
        !latest.has(decision.oauthClientId)
      )
        latest.set(decision.oauthClientId, decision)
    if (latest.size === 0)
      return [{ check: 'refusals', state: 'ok', detail: 'nobody was refused a token in the last hour' }]
    return [...latest].map(([oauthClientId, { decisionId, error }]) => ({
      check: 'refusals',
      state: 'warning',
      detail: `${oauthClientId} was refused a token: ${error ?? 'no reason given'}`,
      next: `lotctl explain ${decisionId}`,
    }))
  })
}

/** What one may not ask is said; the other checks go on. */
async function attempt(check: string, look: () => Promise<Finding[]>): Promise<Finding[]> {
  try {
    return await look()
  } catch (error) {
    if (!isFleetError(error)) throw error
    const next = error.kind === 'refused' ? 'lotctl whoami shows what it may do' : 'lotctl status'
    return [{ check, state: error.kind === 'refused' ? 'warning' : 'failed', detail: error.message, next }]
  }
}
