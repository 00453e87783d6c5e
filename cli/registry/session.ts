/** Who lotctl is (`login`, `logout`), and tokens by hand (`token inspect`, `token revoke`). */
import { Value } from 'typebox/value'
import { createTokenSource } from '../../core/auth/token-source.ts'
import { CredentialFile } from '../../core/contract/credential.ts'
import { FleetError, isFleetError } from '../../core/contract/errors.ts'
import { audiences } from '../../core/contract/principal.ts'
import { readCredentialFile } from '../../core/runtime/credential.ts'
import { createFetch } from '../../core/runtime/fetch.ts'
import { requireTlsUrl } from '../../core/runtime/tls-url.ts'
import type { Call, CallFlags } from '../call.ts'
import { profileDefault, removeProfile, writeProfile } from '../profiles.ts'
import { parseJson, readText } from './devices.ts'

interface LoginFlags extends CallFlags {
  readonly ingest?: string
  readonly broker?: string
}

/**
 * Keeps a credential for a server as a profile, after it has got a token with it.
 * @param file a credential file, `-` for standard input; absent: a person is asked
 */
export async function login(call: Call, flags: LoginFlags, file?: string): Promise<void> {
  const credential = file === undefined ? await askCredential(call, flags) : readGiven(file)
  const { insecure, timeoutSec, profilesDir } = call.home.config
  requireTlsUrl(credential.token_endpoint, { setting: 'token_endpoint', insecure })
  const provisioningUrl = flags.server ?? new URL(credential.token_endpoint).origin
  requireTlsUrl(provisioningUrl, { setting: '--server', insecure })
  const { ingest: ingestUrl, broker: brokerUrl } = flags
  if (ingestUrl !== undefined) requireTlsUrl(ingestUrl, { setting: '--ingest', insecure })
  if (brokerUrl !== undefined) requireTlsUrl(brokerUrl, { setting: '--broker', insecure })
  await prove(credential, flags.timeoutMs ?? timeoutSec * 1000)
  const name = flags.profile ?? profileDefault
  const servers = {
    provisioningUrl,
    ...(ingestUrl === undefined ? {} : { ingestUrl }),
    ...(brokerUrl === undefined ? {} : { brokerUrl }),
  }
  const { credentialFile } = writeProfile(profilesDir, name, { credential, servers })
  call.show(
    { profile: name, oauthClientId: credential.client_id, server: provisioningUrl, credentialFile },
    'profile',
  )
}

/** Any token of ours will do: an analyst may have a grant for ingest alone. @throws FleetError `client.refused` */
async function prove(credential: CredentialFile, timeoutMs: number): Promise<void> {
  const fetch = createFetch(credential.ca === undefined ? {} : { ca: credential.ca })
  const get = (audience: string) =>
    createTokenSource({
      credential,
      audience,
      fetch,
      nowMs: () => performance.now(),
      random: Math.random,
      timeoutMs,
    }).get()
  const lacksGrant = (error: unknown) =>
    isFleetError(error, 'client.refused') && error.safeDetail === 'invalid_target'
  for (const audience of [audiences.provisioning, audiences.ingest])
    try {
      await get(audience)
      return
    } catch (error) {
      if (!lacksGrant(error)) throw error
    }
  await get(audiences.broker)
}

export async function logout(call: Call, { profile = profileDefault }: CallFlags): Promise<void> {
  if (!removeProfile(call.home.config.profilesDir, profile))
    throw new FleetError('request.not_found', `there is no profile "${profile}"`)
  call.show({ profile, removed: true }, 'profile')
  call.voice.note('the credential still works until it is revoked: lotctl client revoke')
}

function readGiven(file: string): CredentialFile {
  if (file !== '-') return readCredentialFile(file)
  const value = parseJson(readText('-'), 'standard input')
  if (Value.Check(CredentialFile, value)) return value
  throw new FleetError('credential.invalid', 'standard input is not a credential file')
}

async function askCredential(call: Call, { server, input }: LoginFlags): Promise<CredentialFile> {
  if (input === false || process.stdin.isTTY !== true || process.stderr.isTTY !== true)
    throw new FleetError(
      'request.invalid',
      'nobody can be asked here: lotctl login FILE, or - for standard input',
    )
  const { isCancel, password, text } = await import('@clack/prompts')
  const required = (value: string | undefined) =>
    value === undefined || value === '' ? 'required' : undefined
  const ask = async (message: string, placeholder: string) =>
    answered(await text({ message, placeholder, validate: required, output: process.stderr }), isCancel)
  const issuer = server ?? (await ask('Where is the server?', call.home.places.provisioningUrl))
  const clientId = await ask('Client id', 'operator')
  const secret = answered(
    await password({ message: 'Client secret', validate: required, output: process.stderr }),
    isCancel,
  )
  return {
    v: 1,
    issuer,
    token_endpoint: `${issuer.replace(/\/$/, '')}/oauth/token`,
    client_id: clientId,
    client_secret: secret,
    token_endpoint_auth_method: 'client_secret_basic',
  }
}

function answered(value: string | symbol, isCancel: (value: unknown) => boolean): string {
  if (typeof value === 'symbol' || isCancel(value))
    throw new FleetError('request.invalid', 'nothing was kept')
  return value
}

/** What a token says of itself. Nothing is verified: that is for whom it is meant. */
export async function tokenInspect(call: Call, _: CallFlags, given: string): Promise<void> {
  const [header, claims] = tokenText(given).split('.')
  if (header === undefined || claims === undefined)
    throw new FleetError('request.invalid', 'this is no JWT: it has no parts')
  call.show({ header: decoded(header), claims: decoded(claims) }, 'header')
  call.voice.note('the signature was not checked')
}

/** @param given a token, `-` for one on standard input, or a `jti` */
export async function tokenRevoke(call: Call, _: CallFlags, given: string): Promise<void> {
  await call.confirm('Void this token?')
  const text = tokenText(given)
  const body = text.includes('.') ? { token: text } : { tokenId: text }
  if (call.flags.dryRun === true) return call.show({ dryRun: true, path: '/v1/tokens/revoke' }, 'path')
  const answer = await call.change<object>('POST', '/v1/tokens/revoke', body)
  call.show({ ...answer, revoked: true }, 'tokenId')
}

function tokenText(given: string): string {
  return given === '-' ? readText('-').trim() : given
}

function decoded(part: string): unknown {
  const text = Buffer.from(part, 'base64url').toString()
  return parseJson(text, 'a part of the token')
}
