/** The verbs of `lotctl client`, `api` and `grant`: who may have tokens for what. */
import type { Api, Client, ClientGrant, IssuedCredential, Quota } from '../../core/contract/client.ts'
import { FleetError } from '../../core/contract/errors.ts'
import { audiences } from '../../core/contract/principal.ts'
import { type Call, type CallFlags, findId } from '../call.ts'
import type { Exit } from '../exit.ts'
import { publicKeyOf, rotate } from './devices.ts'
import { columnsOf, kinds } from './kinds.ts'

/** `provisioning`, `broker` and `ingest` stand for our own audiences. */
export function audienceOf(given: string): string {
  return Object.entries(audiences).find(([name]) => name === given)?.[1] ?? given
}

interface QuotaFlags {
  readonly perHour?: number
  readonly perDay?: number
}

interface ClientFlags extends CallFlags, QuotaFlags {
  readonly name?: string
  readonly grant?: readonly string[]
  readonly authMethod?: readonly string[]
  readonly metadata?: readonly string[]
  readonly lot?: readonly string[]
  readonly publicKey?: string
  readonly grants?: 'on' | 'off'
}

export async function clientCreate(
  call: Call,
  flags: ClientFlags & { readonly kind: string },
  oauthClientId: string,
): Promise<void> {
  const keep = call.keepSecret()
  const answer = await call.change<IssuedCredential>('POST', '/v1/clients', {
    oauthClientId,
    kind: flags.kind,
    ...changesOf(flags),
    ...(flags.grant === undefined ? {} : { grants: flags.grant.map(grantOf) }),
    ...publicKeyOf(flags.publicKey),
  })
  if (answer !== undefined)
    keep(answer.credential, { oauthClientId, credentialId: answer.credential.credentialId })
}

export async function clientList(
  call: Call,
  { limit }: CallFlags & { readonly limit?: number },
): Promise<void> {
  const rows = await call.all<Client>('/v1/clients', 'clients', {}, limit)
  call.list({ rows, columns: columnsOf.client, id: 'oauthClientId', whole: { clients: rows } })
}

export async function clientShow(call: Call, _: CallFlags, given: string): Promise<void> {
  const oauthClientId = await findId(call, kinds.client, given)
  call.show(await call.get<Client>(`/v1/clients/${oauthClientId}`), 'oauthClientId')
}

export async function clientEdit(call: Call, flags: ClientFlags, given: string): Promise<void> {
  const patch = {
    ...changesOf(flags),
    ...(flags.grants === undefined
      ? {}
      : { grantTypes: flags.grants === 'on' ? ['client_credentials'] : [] }),
  }
  if (Object.keys(patch).length === 0)
    throw new FleetError('request.invalid', 'nothing to edit: --name, --grants, --auth-method, --per-hour …')
  const oauthClientId = await findId(call, kinds.client, given)
  call.show(await call.change<Client>('PATCH', `/v1/clients/${oauthClientId}`, patch), 'oauthClientId')
}

export async function clientRotate(
  call: Call,
  flags: CallFlags & { readonly grace?: number; readonly publicKey?: string },
  given: string,
): Promise<void> {
  const oauthClientId = await findId(call, kinds.client, given)
  await rotate(call, flags, `/v1/clients/${oauthClientId}`, { oauthClientId })
}

export async function clientRevoke(
  call: Call,
  _: CallFlags,
  given: string,
  credentialId: string,
): Promise<void> {
  await call.confirm(`Revoke the credential ${credentialId} of ${given}?`)
  const oauthClientId = await findId(call, kinds.client, given)
  await call.change('DELETE', `/v1/clients/${oauthClientId}/credentials/${credentialId}`)
  call.done({ credentialId, oauthClientId, revoked: true })
}

export async function clientRetire(call: Call, _: CallFlags, ...given: string[]): Promise<Exit> {
  await call.confirm(`Retire ${given.join(', ')} for good?`)
  const work = async (one: string) => {
    const oauthClientId = await findId(call, kinds.client, one)
    await call.change('DELETE', `/v1/clients/${oauthClientId}`)
    return call.flags.dryRun === true ? undefined : { oauthClientId, retired: true }
  }
  return call.each(given, work, { columns: ['oauthClientId', 'retired'], id: 'oauthClientId' })
}

function changesOf({ name, authMethod, metadata, lot, perHour, perDay }: ClientFlags) {
  const quota = quotaOf({ perHour, perDay })
  return {
    ...(name === undefined ? {} : { name }),
    ...(authMethod === undefined ? {} : { authMethods: authMethod }),
    ...(metadata === undefined ? {} : { metadata: Object.fromEntries(metadata.map(pairOf)) }),
    ...(lot === undefined ? {} : { lots: lot }),
    ...(quota === undefined ? {} : { quota }),
  }
}

function quotaOf({
  perHour,
  perDay,
}: {
  perHour?: number | undefined
  perDay?: number | undefined
}): Quota | undefined {
  if (perHour === undefined && perDay === undefined) return undefined
  return { ...(perHour === undefined ? {} : { perHour }), ...(perDay === undefined ? {} : { perDay }) }
}

function pairOf(text: string): readonly [string, string] {
  const at = text.indexOf('=')
  if (at < 1) throw new FleetError('request.invalid', `"${text}" is not NAME=VALUE`)
  return [text.slice(0, at), text.slice(at + 1)]
}

/** `AUDIENCE=SCOPE,SCOPE`. */
function grantOf(text: string): ClientGrant {
  const at = text.lastIndexOf('=')
  if (at < 1) throw new FleetError('request.invalid', `"${text}" is not AUDIENCE=SCOPE,SCOPE`)
  const scopes = text
    .slice(at + 1)
    .split(',')
    .filter((scope) => scope !== '')
  return { audience: audienceOf(text.slice(0, at)), scopes }
}

export async function grantSet(
  call: Call,
  _: CallFlags,
  given: string,
  givenAudience: string,
  ...scopes: string[]
): Promise<void> {
  const { oauthClientId, audience, path } = await grantPath(call, given, givenAudience)
  await call.change('PUT', path, { scopes })
  call.done({ oauthClientId, audience, scopes })
}

export async function grantRevoke(
  call: Call,
  _: CallFlags,
  given: string,
  givenAudience: string,
): Promise<void> {
  await call.confirm(`Revoke what ${given} was granted at ${givenAudience}?`)
  const { oauthClientId, audience, path } = await grantPath(call, given, givenAudience)
  await call.change('DELETE', path)
  call.done({ oauthClientId, audience, revoked: true })
}

async function grantPath(call: Call, given: string, givenAudience: string) {
  const oauthClientId = await findId(call, kinds.client, given)
  const audience = audienceOf(givenAudience)
  return {
    oauthClientId,
    audience,
    path: `/v1/clients/${oauthClientId}/grants/${encodeURIComponent(audience)}`,
  }
}

/** Of one client, or of all. */
export async function grantList(call: Call, _: CallFlags, given?: string): Promise<void> {
  const clients =
    given === undefined
      ? await call.all<Client>('/v1/clients', 'clients')
      : [await call.get<Client>(`/v1/clients/${await findId(call, kinds.client, given)}`)]
  const rows = clients.flatMap(({ oauthClientId, grants }) =>
    grants.map(({ audience, scopes }) => ({ oauthClientId, audience, scopes })),
  )
  call.list({ rows, columns: columnsOf.grant, id: 'audience', whole: { grants: rows } })
}

export async function apiList(call: Call): Promise<void> {
  const rows = await call.all<Api>('/v1/apis', 'apis')
  call.list({ rows, columns: columnsOf.api, id: 'audience', whole: { apis: rows } })
}

export async function apiShow(call: Call, _: CallFlags, given: string): Promise<void> {
  const audience = await findId(call, kinds.api, audienceOf(given))
  call.show(await call.get<Api>(`/v1/apis/${encodeURIComponent(audience)}`), 'audience')
}

interface ApiFlags extends CallFlags, QuotaFlags {
  readonly name?: string
  readonly scope?: readonly string[]
  readonly life?: number
  readonly alg?: string
  readonly dialect?: string
}

/** Registers the API, or changes what is named of it; the rest stays as it is. */
export async function apiSet(call: Call, flags: ApiFlags, given: string): Promise<void> {
  const audience = audienceOf(given)
  const path = `/v1/apis/${encodeURIComponent(audience)}`
  const { value: known, match } = await call.read<Api>(path)
  const name = flags.name ?? known?.name
  if (name === undefined) throw new FleetError('request.invalid', `${audience} is a new API: --name`)
  const { perHour, perDay } = flags
  const quota = quotaOf({ perHour, perDay }) ?? known?.quota
  const tokenLifeSec = flags.life ?? known?.tokenLifeSec
  const body = {
    name,
    scopes: flags.scope?.map(scopeOf) ?? known?.scopes ?? [],
    ...(tokenLifeSec === undefined ? {} : { tokenLifeSec }),
    ...optional('alg', flags.alg ?? known?.alg),
    ...optional('dialect', flags.dialect ?? known?.dialect),
    ...(quota === undefined ? {} : { quota }),
  }
  const answer = await call.change<Api>('PUT', path, body, match)
  call.show(answer, 'audience')
}

export async function apiRetire(call: Call, _: CallFlags, given: string): Promise<void> {
  await call.confirm(`Retire the API ${given} for good?`)
  const audience = await findId(call, kinds.api, audienceOf(given))
  await call.change('DELETE', `/v1/apis/${encodeURIComponent(audience)}`)
  call.done({ audience, retired: true })
}

/** `SCOPE` or `SCOPE=what it is for`. */
function scopeOf(text: string): { scope: string; description: string } {
  const at = text.indexOf('=')
  return at < 0
    ? { scope: text, description: '' }
    : { scope: text.slice(0, at), description: text.slice(at + 1) }
}

function optional(key: string, value: string | undefined): object {
  return value === undefined ? {} : { [key]: value }
}
