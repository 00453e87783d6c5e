/** Issuers' public keys in files, one per issuer, for a start while an issuer is away. */
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Static, Type } from 'typebox'
import { Value } from 'typebox/value'
import type { KeyCache } from '../auth/verifier.ts'
import type { Log } from './log.ts'

/** The issuer stands in the file too: a file that was moved or copied is nobody else's. */
const KeptFile = Type.Object({
  issuer: Type.String(),
  fetchedAtMs: Type.Integer({ minimum: 0 }),
  text: Type.String({ maxLength: 1024 * 1024 }),
})

/** Whoever can write to the folder can let anybody in: it is made for its owner alone. */
export function openKeyCache(folder: string, log: Log): KeyCache {
  const pathOf = (issuer: string) =>
    join(folder, `${createHash('sha256').update(issuer).digest('hex').slice(0, 32)}.json`)
  let isFailing = false

  return {
    read(issuer) {
      const kept = readKept(pathOf(issuer))
      return kept?.issuer === issuer ? { text: kept.text, fetchedAtMs: kept.fetchedAtMs } : undefined
    },
    write(issuer, { text, fetchedAtMs }) {
      const path = pathOf(issuer)
      try {
        mkdirSync(folder, { recursive: true, mode: 0o700 })
        writeFileSync(`${path}.new`, JSON.stringify({ issuer, fetchedAtMs, text }), { mode: 0o600 })
        renameSync(`${path}.new`, path)
        isFailing = false
      } catch (error) {
        if (!isFailing) log.warn('keys.not_written', { folder, error: error as Error })
        isFailing = true
      }
    },
  }
}

function readKept(path: string): Static<typeof KeptFile> | undefined {
  try {
    const value: unknown = JSON.parse(readFileSync(path, 'utf8'))
    return Value.Check(KeptFile, value) ? value : undefined
  } catch {
    return undefined // missing or broken: the issuer has to answer
  }
}
