/**
 * How this board becomes a device, and how a device gets a new credential: the key pair is made here and only its
 * public half travels (`POST /v1/enrol`), by an enrolment key, by proof of the old key, or in an open window.
 * The new private key is on disk before it is shown to anybody, and the new credential has had a token before it takes
 * the place of the old one: whenever power fails, asking again goes on where it stood.
 */
import { calculateJwkThumbprint, exportJWK, generateKeyPair, importJWK, type JWK, SignJWT } from 'jose'
import { type Static, Type } from 'typebox'
import { Value } from 'typebox/value'
import type { Fetch } from '../core/auth/verifier.ts'
import { CredentialFile } from '../core/contract/credential.ts'
import { type DevicePublicKey, EnrolAnswer, type EnrolRequest } from '../core/contract/enrolment.ts'
import { type ErrorCode, errorCodes, FleetError, isFleetError } from '../core/contract/errors.ts'
import { fingerprintOf } from '../core/contract/fingerprint.ts'
import { createBackoff } from '../core/runtime/backoff.ts'
import { requireTlsUrl } from '../core/runtime/tls-url.ts'
import type { Boot } from './boot.ts'
import { readKept, removeKept, writeKept } from './kept-file.ts'

export interface EnrolmentParts {
  readonly credentialFile: string
  readonly fetchOf: (ca: string | undefined) => Fetch
  readonly boot: Pick<Boot, 'bootId' | 'serial'>
  /** Gets a token with a credential. @throws FleetError when it gets none */
  readonly tryCredential: (credential: CredentialFile) => Promise<unknown>
  /** Resolves early when the signal is aborted. */
  readonly wait: (ms: number, signal: AbortSignal) => Promise<void>
  /** Wall clock, Unix milliseconds; only asked where the server does not say what time it is. */
  readonly nowMs: () => number
  readonly random: () => number
}

/** On what grounds: one of `key` and `previous`, or a `deviceId` whose window is open. */
export interface EnrolmentRequest {
  readonly url: string
  /** Certificate authority of the server, PEM; absent: the system's. */
  readonly ca?: string
  readonly insecure: boolean
  readonly key?: string
  readonly deviceId?: string
  readonly name?: string
  /** The credential whose key or secret proves who asks. */
  readonly previous?: CredentialFile
}

export type EnrolmentNews =
  | { readonly step: 'unreachable'; readonly reason: string }
  | { readonly step: 'pending'; readonly enrolmentId: string; readonly fingerprint: string }

/** What lies beside the credential while a new one is on its way. */
const PendingFile = Type.Object({
  v: Type.Literal(1),
  url: Type.String(),
  private_key_jwk: Type.Object({
    kty: Type.Literal('EC'),
    crv: Type.Literal('P-256'),
    x: Type.String(),
    y: Type.String(),
    d: Type.String({ minLength: 1 }),
  }),
  /** Complete, and not tried yet. */
  credential: Type.Optional(CredentialFile),
})
type PendingFile = Static<typeof PendingFile>

const proofLifeSec = 120
const requestMs = 15_000
const retryMinMs = 2000
const retryMaxMs = 60_000

export function pendingFileOf(credentialFile: string): string {
  return `${credentialFile}.new`
}

/**
 * Gets a credential, tries it, and puts it in the place of the one that is there. Waits for servers that are away and
 * for operators who have not decided yet, telling so once each.
 * @throws FleetError `enrolment.refused`, `client.refused` and `token.unavailable` when the credential gets no token,
 *   `enrolment.stopped` when the signal was aborted
 */
export async function enrol(
  request: EnrolmentRequest,
  parts: EnrolmentParts,
  options: { signal: AbortSignal; tell: (news: EnrolmentNews) => void },
): Promise<CredentialFile> {
  const base = requireTlsUrl(request.url, { setting: 'URL', insecure: request.insecure })
  const url = base.href.replace(/\/+$/, '')
  const path = pendingFileOf(parts.credentialFile)
  const left = leftFrom(path, url, parts.credentialFile)
  try {
    return await enrolWith(left ?? (await begin(path, url)), { url, path, request }, parts, options)
  } catch (error) {
    const isRefused = isFleetError(error, 'enrolment.refused') || isFleetError(error, 'request.conflict')
    if (left === undefined || !isRefused) throw error
    // What was left is nobody's any more, such as a key that an operator has turned away.
    removeKept(path)
    return enrolWith(await begin(path, url), { url, path, request }, parts, options)
  }
}

async function enrolWith(
  begun: PendingFile,
  { url, path, request }: { url: string; path: string; request: EnrolmentRequest },
  parts: EnrolmentParts,
  options: { signal: AbortSignal; tell: (news: EnrolmentNews) => void },
): Promise<CredentialFile> {
  const { signal, tell } = options
  let pending = begun
  const server = parts.fetchOf(request.ca)
  const patiently = createPatience(parts, options)

  const answer = async (): Promise<CredentialFile> => {
    const { issuer, atMs } = await patiently(() => discover(server, url, parts.nowMs))
    for (let asked = false; ; asked = true) {
      // The server's own time: a board without a battery may not know any yet.
      const body = await bodyOf(request, pending, { issuer, nowMs: atMs(), boot: parts.boot })
      const said = await patiently(() => post(server, `${url}/v1/enrol`, body))
      if (said.status === 'enrolled') return said.credential
      const { enrolmentId, retryAfterSec } = said
      // Of the key that is here, whatever the server says: it is what the operator compares.
      if (!asked) tell({ step: 'pending', enrolmentId, fingerprint: await fingerprintOfKey(pending) })
      await parts.wait(retryAfterSec * 1000, signal)
      throwIfStopped(signal)
    }
  }
  if (pending.credential === undefined) {
    const given = await answer()
    const credential: CredentialFile = {
      ...given,
      private_key_jwk: { ...pending.private_key_jwk, alg: 'ES256' },
      ...((given.ca ?? given.broker?.ca) === undefined && request.ca !== undefined ? { ca: request.ca } : {}),
    }
    pending = { ...pending, credential }
    writeKept(path, pending)
  }
  const { credential } = pending
  if (credential === undefined) throw new FleetError('credential.invalid', `${path} has no credential`)
  for (const where of [credential.token_endpoint, credential.broker?.url ?? url])
    requireTlsUrl(where, { setting: 'the credential', insecure: request.insecure })
  try {
    await patiently(() => parts.tryCredential(credential))
  } catch (error) {
    // Asked again with the same key, the server says what became of it.
    if (isFleetError(error, 'client.refused')) writeKept(path, { ...pending, credential: undefined })
    throw error
  }
  writeKept(parts.credentialFile, credential)
  removeKept(path)
  return credential
}

async function fingerprintOfKey({ private_key_jwk: jwk }: PendingFile): Promise<string> {
  return fingerprintOf(await calculateJwkThumbprint(publicHalf(jwk)))
}

/** What an attempt that was cut off has left; one whose credential is in place already is done. */
function leftFrom(path: string, url: string, credentialFile: string): PendingFile | undefined {
  const left = readKept(path, PendingFile)
  if (left?.url !== url) return undefined
  const { credential } = left
  if (credential === undefined) return left
  return credential.credentialId === readKept(credentialFile, CredentialFile)?.credentialId ? undefined : left
}

/** A new key pair, on disk. */
async function begin(path: string, url: string): Promise<PendingFile> {
  // P-256 is what every issuer and every version of Node knows.
  const { privateKey } = await generateKeyPair('ES256', { extractable: true })
  const fresh: unknown = { v: 1, url, private_key_jwk: await exportJWK(privateKey) }
  if (!Value.Check(PendingFile, fresh)) throw new FleetError('credential.invalid', 'no P-256 key was made')
  writeKept(path, fresh)
  return fresh
}

/** Does it again while the far side is away, ever more slowly; tells the first failure of an outage. */
function createPatience(
  { wait, random }: EnrolmentParts,
  { signal, tell }: { signal: AbortSignal; tell: (news: EnrolmentNews) => void },
) {
  return async <T>(work: () => Promise<T>): Promise<T> => {
    const backoff = createBackoff({ minMs: retryMinMs, maxMs: retryMaxMs, random })
    for (let isFirst = true; ; isFirst = false) {
      throwIfStopped(signal)
      try {
        return await work()
      } catch (error) {
        if (!(error instanceof FleetError) || error.kind !== 'unavailable') throw error
        if (isFirst) tell({ step: 'unreachable', reason: error.message })
        await wait(500 + backoff.next(), signal)
      }
    }
  }
}

function throwIfStopped(signal: AbortSignal): void {
  if (signal.aborted)
    throw new FleetError('enrolment.stopped', 'enrolment was stopped; run it again to go on')
}

/** RFC 8414: whom the proof is meant for, and what time it is there. */
async function discover(
  fetch: Fetch,
  url: string,
  nowMs: () => number,
): Promise<{ issuer: string; atMs: () => number }> {
  const where = `${url}/.well-known/oauth-authorization-server`
  const startedMs = performance.now()
  const response = await fetch(where, { redirect: 'error', signal: AbortSignal.timeout(requestMs) }).catch(
    (cause: unknown) => {
      throw away(url, cause)
    },
  )
  const metadata = (await response.json().catch(() => undefined)) as { issuer?: unknown } | undefined
  if (!response.ok || typeof metadata?.issuer !== 'string')
    throw new FleetError(
      'provisioning.unavailable',
      `${url} is no provisioning server (yet): ${response.status}`,
    )
  // RFC 8414 §3.3: one that calls itself otherwise is not the one that was asked for.
  if (metadata.issuer.replace(/\/+$/, '') !== url)
    throw new FleetError('config.invalid', `this server calls itself ${metadata.issuer}`, {
      faults: [`URL: is ${url}; enrol at ${metadata.issuer}`],
    })
  const theirsMs = Date.parse(response.headers.get('date') ?? '')
  return {
    issuer: metadata.issuer,
    atMs: () => (Number.isNaN(theirsMs) ? nowMs() : theirsMs + performance.now() - startedMs),
  }
}

async function bodyOf(
  request: EnrolmentRequest,
  { private_key_jwk: jwk }: PendingFile,
  { issuer, nowMs, boot }: { issuer: string; nowMs: number; boot: EnrolmentParts['boot'] },
): Promise<EnrolRequest> {
  const { key, deviceId, name, previous } = request
  const publicKey = publicHalf(jwk)
  const sign = (by: JWK, claims: Record<string, string>) => proofBy(by, { issuer, nowMs, claims })
  const old = previous === undefined ? {} : await proofOfOld(previous, { publicKey, issuer, sign })
  const board = {
    ...(boot.serial === undefined ? {} : { serial: boot.serial }),
    ...(boot.bootId === undefined ? {} : { bootId: boot.bootId }),
  }
  return {
    publicKey,
    proof: await sign(jwk, {}),
    ...(key === undefined ? {} : { key }),
    ...(deviceId === undefined ? {} : { deviceId }),
    ...(name === undefined ? {} : { name }),
    ...(Object.keys(board).length === 0 ? {} : { board }),
    ...old,
  }
}

/** @throws FleetError `request.invalid` where it is no business of whoever is asked */
async function proofOfOld(
  previous: CredentialFile,
  {
    publicKey,
    issuer,
    sign,
  }: {
    publicKey: DevicePublicKey
    issuer: string
    sign: (by: JWK, claims: Record<string, string>) => Promise<string>
  },
): Promise<Pick<EnrolRequest, 'previous' | 'deviceId' | 'secret'>> {
  const { client_id: deviceId, client_secret: secret, private_key_jwk: key } = previous
  if (key !== undefined) {
    const claims = { iss: deviceId, sub: deviceId, jkt: await calculateJwkThumbprint(publicKey) }
    return { previous: await sign(key, claims) }
  }
  // A proof is of use to its audience alone; a secret would be to anybody.
  if (previous.issuer !== issuer)
    throw new FleetError('request.invalid', `the secret of this device is for ${previous.issuer} alone`)
  return { deviceId, ...(secret === undefined ? {} : { secret }) }
}

async function proofBy(
  jwk: JWK,
  { issuer, nowMs, claims }: { issuer: string; nowMs: number; claims: Record<string, string> },
): Promise<string> {
  const alg = jwk.kty === 'OKP' ? 'EdDSA' : 'ES256'
  const nowSec = Math.floor(nowMs / 1000)
  return new SignJWT(claims)
    .setProtectedHeader({ alg, typ: 'enrol+jwt' })
    .setAudience(issuer)
    .setIssuedAt(nowSec)
    .setExpirationTime(nowSec + proofLifeSec)
    .setJti(crypto.randomUUID())
    .sign(await importJWK(jwk, alg))
}

function publicHalf({ x = '', y = '' }: JWK): DevicePublicKey {
  return { kty: 'EC', crv: 'P-256', x, y }
}

async function post(fetch: Fetch, url: string, body: EnrolRequest): Promise<EnrolAnswer> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
    redirect: 'error',
    signal: AbortSignal.timeout(requestMs),
  }).catch((cause: unknown) => {
    throw away(url, cause)
  })
  const answer: unknown = await response.json().catch(() => undefined) // judged by its status
  if (response.ok && Value.Check(EnrolAnswer, answer)) return answer
  const { code, detail } = (answer ?? {}) as { code?: unknown; detail?: unknown }
  const known = typeof code === 'string' && Object.hasOwn(errorCodes, code) ? (code as ErrorCode) : undefined // just looked up
  if (response.ok || response.status >= 500 || response.status === 429)
    throw new FleetError('provisioning.unavailable', `${url} answered ${response.status}`)
  throw new FleetError(
    known ?? 'enrolment.refused',
    `${response.status} ${typeof detail === 'string' ? detail : ''}`.trim(),
  )
}

/** What no waiting puts right; a certificate that is not valid yet may only mean that the clock is not. */
const distrusted = /^(UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|ERR_TLS_CERT_ALTNAME_INVALID)/

function away(url: string, error: unknown): FleetError {
  const { cause, code } = error as { cause?: { code?: unknown }; code?: unknown }
  const word = cause?.code ?? code
  if (typeof word === 'string' && distrusted.test(word))
    return new FleetError('config.invalid', `${url} is not trusted (${word})`, {
      cause: error,
      faults: ['--ca: the certificate authority of the server, PEM, where it has one of its own'],
    })
  const reason = typeof word === 'string' ? ` (${word})` : ''
  return new FleetError('provisioning.unavailable', `${url} does not answer${reason}`, { cause: error })
}
