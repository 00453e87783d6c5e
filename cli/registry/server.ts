/** The verbs about the server itself: `keys`, `rules`, `audit`, `decision`, `explain`, `status`, `whoami`. */
import type { DecisionRecord, Explanation } from '../../core/contract/decision.ts'
import { FleetError } from '../../core/contract/errors.ts'
import type { RuleShown, RuleTestAnswer } from '../../core/contract/rule.ts'
import { piecesOf } from '../../core/runtime/fetch.ts'
import type { Call, CallFlags } from '../call.ts'
import { type Exit, exits } from '../exit.ts'
import { age } from '../output.ts'
import { audienceOf } from './clients.ts'
import { explainConnections } from './connections.ts'
import { readText } from './devices.ts'
import { columnsOf } from './kinds.ts'

export interface SigningKeyRow {
  readonly kid: string
  readonly alg: string
  readonly signsUntilMs: number | null
  readonly publishedUntilMs: number | null
}

export interface Status {
  readonly version: string
  readonly devices: Readonly<Record<string, number>>
  readonly clients: number
  readonly signingKeys: readonly SigningKeyRow[]
  readonly uptimeSec: number
}

export async function keysList(call: Call): Promise<void> {
  const { keys } = await call.get<{ keys: SigningKeyRow[] }>('/v1/keys')
  call.list({ rows: keys, columns: columnsOf.key, id: 'kid', whole: { keys } })
}

export async function keysRotate(call: Call, { alg }: CallFlags & { readonly alg?: string }): Promise<void> {
  const body = alg === undefined ? {} : { alg }
  const answer = await call.change<{ keys: SigningKeyRow[] }>('POST', '/v1/keys/rotate', body)
  if (answer === undefined) return
  call.list({ rows: answer.keys, columns: columnsOf.key, id: 'kid', whole: answer })
  if (answer.keys.length === 0) call.voice.note('the next key is on its way already')
}

export async function rulesList(call: Call): Promise<void> {
  const { rules } = await call.get<{ rules: RuleShown[] }>('/v1/rules')
  call.list({ rows: rules, columns: columnsOf.rule, id: 'name', whole: { rules } })
}

/** The text as it is in the file, to be piped on; with `-o json` all that is known of it. */
export async function rulesShow(call: Call, _: CallFlags, name: string): Promise<void> {
  const rule = await call.get<RuleShown & { source: string }>(`/v1/rules/${encodeURIComponent(name)}`)
  if (call.look.output !== 'table' || call.look.quiet) return call.show(rule, 'name')
  if (rule.fault !== undefined) call.voice.note(`broken: ${rule.fault}`)
  call.voice.answer(rule.source.trimEnd())
}

interface WhatIf extends CallFlags {
  readonly client?: string
  readonly audience?: string
  readonly scope?: string
}

/** What a rule in a file would do to a token request. Denied is an answer, not a failure. */
export async function rulesTest(
  call: Call,
  { client, audience, scope, shape }: WhatIf & { readonly shape?: string },
  file: string,
): Promise<void> {
  const body = {
    source: readText(file),
    ...(shape === undefined ? {} : { shape }),
    oauthClientId: client,
    ...(audience === undefined ? {} : { audience: audienceOf(audience) }),
    ...(scope === undefined ? {} : { scope }),
  }
  const request = { method: 'POST', body, timeoutMs: call.timeoutMs }
  call.show(await call.api.json<RuleTestAnswer>('/v1/rules/test', request), 'outcome')
}

interface AuditFlags extends CallFlags {
  readonly subject?: string
  readonly actor?: string
  readonly limit?: number
}

export async function auditList(call: Call, { subject, actor, limit = 50 }: AuditFlags): Promise<void> {
  const query = { subject, actor, limit: Math.min(limit, 500) }
  const rows = await call.all<object>('/v1/audit', 'entries', query, limit)
  call.list({ rows, columns: columnsOf.audit, id: 'auditId', whole: { entries: rows } })
}

/** The whole log as the server streams it: one entry a line, as NDJSON or CSV. */
export async function auditExport(
  call: Call,
  { subject, actor, format = 'ndjson' }: AuditFlags & { readonly format?: 'ndjson' | 'csv' },
): Promise<void> {
  const response = await call.api.response('/v1/audit', {
    query: { subject, actor },
    headers: { accept: format === 'csv' ? 'text/csv' : 'application/x-ndjson' },
    timeoutMs: call.flags.timeoutMs ?? 3_600_000,
  })
  for await (const chunk of piecesOf(response)) {
    if (!process.stdout.write(chunk)) await new Promise((resolve) => process.stdout.once('drain', resolve))
  }
}

export async function decisionList(
  call: Call,
  { client, outcome, limit = 50 }: WhatIf & { readonly outcome?: string; readonly limit?: number },
): Promise<void> {
  const query = { oauthClientId: client, outcome, limit: Math.min(limit, 500) }
  const rows = await call.all<DecisionRecord>('/v1/decisions', 'decisions', query, limit)
  call.list({ rows, columns: columnsOf.decision, id: 'decisionId', whole: { decisions: rows } })
}

/** What decided about a token request that was made, or would about one made now. */
export async function explainDecision(
  call: Call,
  flags: WhatIf & { readonly device?: string },
  decisionId?: string,
): Promise<Exit | undefined> {
  const { client, device, audience, scope } = flags
  if ([decisionId, client, device].filter((one) => one !== undefined).length !== 1)
    throw new FleetError('request.invalid', 'one of them: the id of a decision, --client, or --device')
  if (device !== undefined) {
    await explainConnections(call, device)
    return undefined
  }
  if (decisionId !== undefined) {
    call.show(await call.get<DecisionRecord>(`/v1/decisions/${encodeURIComponent(decisionId)}`), 'decisionId')
    return undefined
  }
  const body = {
    oauthClientId: client,
    ...(audience === undefined ? {} : { audience: audienceOf(audience) }),
    ...(scope === undefined ? {} : { scope }),
  }
  const request = { method: 'POST', body, timeoutMs: call.timeoutMs }
  const answer = await call.api.json<Explanation>('/v1/explain', request)
  call.show(answer, 'oauthClientId')
  return answer.issues ? exits.ok : exits.auth
}

export async function statusShow(call: Call): Promise<void> {
  const status = await call.get<Status>('/v1/status')
  if (call.look.output !== 'table') return call.show(status, 'version')
  const devices = Object.entries(status.devices).map(([state, count]) => `${count} ${state}`)
  const shown = {
    provisioning: call.access.url('provisioning'),
    version: status.version,
    up: age(status.uptimeSec),
    devices: devices.length === 0 ? 'none' : devices.join(', '),
    clients: status.clients,
    signingKeys: status.signingKeys,
  }
  call.show(shown, 'version')
}

export async function whoami(call: Call): Promise<void> {
  const answer = await call.get<{ expiresAtSec: number }>('/v1/whoami')
  call.show({ ...answer, server: call.access.url('provisioning') }, 'oauthClientId')
}
