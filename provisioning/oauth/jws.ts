/**
 * Compact JWS (RFC 7515 §3.1), its signature made beside the event loop. Web Crypto does that too, and spends four times
 * as much of the event loop on each. Which claims there are is the signer's matter.
 */
import { KeyObject } from 'node:crypto'
import type { CryptoKey } from 'jose'
import type { SigningThread } from './signing-thread.ts'

export interface JwsKey {
  readonly kid: string
  readonly alg: 'ES256' | 'RS256' | 'EdDSA'
  readonly privateKey: CryptoKey
}

/** @returns signs claims under the header `typ`, and remembers what a key needs for as long as the key is used */
export function createJwsSigner(
  thread: Pick<SigningThread, 'sign'>,
): (key: JwsKey, typ: string, claims: object) => Promise<string> {
  const prepared = new WeakMap<CryptoKey, Prepared>()
  return async (key, typ, claims) => {
    let ready = prepared.get(key.privateKey)
    if (ready === undefined) {
      ready = {
        key: KeyObject.from(key.privateKey as Parameters<typeof KeyObject.from>[0]),
        headers: new Map(),
      }
      prepared.set(key.privateKey, ready)
    }
    const input = `${headerOf(ready, key, typ)}.${encode(JSON.stringify(claims))}`
    // RFC 8037 §3.1: EdDSA hashes by itself.
    const signature = await thread.sign(ready.key, key.alg === 'EdDSA' ? null : 'sha256', input)
    return `${input}.${signature}`
  }
}

interface Prepared {
  readonly key: KeyObject
  /** By `typ`, of which there are two. */
  readonly headers: Map<string, string>
}

function headerOf({ headers }: Prepared, { alg, kid }: JwsKey, typ: string): string {
  let header = headers.get(typ)
  if (header === undefined) {
    header = encode(JSON.stringify({ alg, typ, kid }))
    headers.set(typ, header)
  }
  return header
}

function encode(text: string): string {
  return Buffer.from(text).toString('base64url')
}
