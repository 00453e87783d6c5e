/**
 * The access token over a restart: a file beside the credential, mode 0600.
 * Its age is taken from the time since boot, which nobody sets; over a reboot there is only the wall clock. When that
 * one is wrong the broker refuses the token, and it is forgotten: one CONNECT is what it costs.
 */
import { createHash } from 'node:crypto'
import { readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { type Static, Type } from 'typebox'
import { Value } from 'typebox/value'
import type { AccessToken, KeptToken } from '../core/auth/token-source.ts'
import type { Log } from '../core/runtime/log.ts'
import type { Boot } from './boot.ts'
import type { Clock } from './clock.ts'

const TokenFile = Type.Object({
  v: Type.Literal(1),
  /** Of what the token was asked for with: another credential or audience is another token. */
  request: Type.String(),
  token: Type.String({ minLength: 1, maxLength: 16_384 }),
  /** What was left when the file was written, in milliseconds. */
  lifeMs: Type.Number(),
  renewMs: Type.Number(),
  writtenAtMs: Type.Integer(),
  bootId: Type.Optional(Type.String()),
  sinceBootMs: Type.Integer(),
})
type TokenFile = Static<typeof TokenFile>

export interface TokenFileOptions {
  readonly credentialFile: string
  /** What tells one token from another: endpoint, client, credential, audience, scope. */
  readonly request: readonly (string | undefined)[]
  readonly clock: Pick<Clock, 'nowMs' | 'monotonicMs'>
  readonly boot: Pick<Boot, 'bootId' | 'sinceMs'>
  readonly log: Log
}

/** Never throws: what cannot be kept is asked for again. */
export function createTokenFile(options: TokenFileOptions): KeptToken {
  const { boot, clock, log } = options
  const path = tokenFileOf(options.credentialFile)
  const request = createHash('sha256').update(JSON.stringify(options.request)).digest('base64url')
  let isFailing = false

  function attempt(work: () => void): void {
    try {
      work()
      isFailing = false
    } catch (error) {
      if (!isFailing) log.warn('token.not_kept', { path, error })
      isFailing = true
    }
  }

  return {
    read() {
      const file = readTokenFile(path)
      if (file === undefined || file.request !== request) return undefined
      return tokenOf(file, options)
    },
    write({ token, expiresAtMs, renewAtMs }) {
      const nowMs = clock.monotonicMs()
      const file: TokenFile = {
        v: 1,
        request,
        token,
        lifeMs: expiresAtMs - nowMs,
        renewMs: renewAtMs - nowMs,
        writtenAtMs: clock.nowMs(),
        ...(boot.bootId === undefined ? {} : { bootId: boot.bootId }),
        sinceBootMs: boot.sinceMs(),
      }
      attempt(() => {
        rmSync(`${path}.new`, { force: true })
        writeFileSync(`${path}.new`, JSON.stringify(file), { mode: 0o600 })
        renameSync(`${path}.new`, path)
      })
    },
    forget: () => attempt(() => rmSync(path, { force: true })),
  }
}

/** `credentials.json` → `credentials.token.json`. */
export function tokenFileOf(credentialFile: string): string {
  return `${credentialFile.replace(/\.json$/, '')}.token.json`
}

function readTokenFile(path: string): TokenFile | undefined {
  try {
    if ((statSync(path).mode & 0o077) !== 0) return undefined // others have seen it
    const value: unknown = JSON.parse(readFileSync(path, 'utf8'))
    return Value.Check(TokenFile, value) ? value : undefined
  } catch {
    return undefined // missing or broken, which a power cut may leave
  }
}

function tokenOf(file: TokenFile, { boot, clock }: TokenFileOptions): AccessToken | undefined {
  const isThisBoot = boot.bootId !== undefined && file.bootId === boot.bootId
  const ageMs = isThisBoot ? boot.sinceMs() - file.sinceBootMs : clock.nowMs() - file.writtenAtMs
  if (ageMs < 0 || ageMs >= file.lifeMs) return undefined
  const writtenMs = clock.monotonicMs() - ageMs
  return {
    token: file.token,
    expiresAtMs: writtenMs + file.lifeMs,
    renewAtMs: writtenMs + file.renewMs,
  }
}
