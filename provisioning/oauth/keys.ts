/**
 * The signing keys of our own authorization server, kept in the registry with their private halves sealed, so that all
 * processes on one registry sign with the same ones. When each signs and is published is in key-schedule.ts.
 */
import { calculateJwkThumbprint, exportJWK, generateKeyPair, importJWK, type JWK } from 'jose'
import { FleetError } from '../../core/contract/errors.ts'
import type { RegistryRepository, RegistryView, StoredSigningKey } from '../repository/repository.ts'
import type { Sealer } from '../seal.ts'
import { certificateOf } from './certificate.ts'
import {
  expiredKeys,
  hasSuccessor,
  type KeyTimes,
  publishedKeys,
  signingKeyOf,
  successionOf,
} from './key-schedule.ts'
import type { SigningKey } from './signer.ts'

export type SigningAlg = StoredSigningKey['alg']

export interface SigningKeys {
  /** The key that signs now; made when there is none of the algorithm yet. */
  signing(alg: SigningAlg): Promise<SigningKey>
  /** RFC 7517: the public halves of all keys that anybody could need. */
  jwks(): Promise<{ readonly keys: readonly JWK[] }>
  /**
   * Makes the next key of each algorithm in use, or of one: published now, signing after a while. Where one is on its
   * way already nothing happens.
   * @returns the new ones
   */
  rotate(actor: string, alg?: SigningAlg): Promise<readonly StoredSigningKey[]>
  /** Forgets what no token needs any more, and reads what other processes have made. To be called now and then. */
  refresh(): Promise<void>
}

export interface SigningKeysOptions {
  readonly repository: Pick<RegistryRepository, 'change' | 'signingKeys'>
  readonly sealer: Sealer
  /** In the certificates of RSA keys. */
  readonly issuer: string
  readonly times: KeyTimes
  /** Wall clock, Unix milliseconds. */
  readonly now: () => number
}

/** With at least one ES256 key. @throws FleetError `config.invalid` when the keys were sealed under another pepper */
export async function openSigningKeys(options: SigningKeysOptions): Promise<SigningKeys> {
  const { repository, sealer, times, now } = options
  let stored: readonly StoredSigningKey[] = []
  /** Private halves by `kid`, opened once. */
  const opened = new Map<string, SigningKey>()

  async function refresh(): Promise<void> {
    stored = await repository.signingKeys()
    const gone = expiredKeys(stored, now())
    if (gone.length === 0) return
    const kids = gone.map(({ kid }) => kid)
    stored = await repository.change(async (view) => {
      const keys = await view.signingKeys()
      const changes = kids.map((kid) => ({
        audit: { actor: 'provisioning', verb: 'signing_key.retired', subject: kid } as const,
        removeSigningKeys: [kid],
      }))
      return { changes, answer: keys.filter(({ kid }) => !kids.includes(kid)) }
    })
    for (const kid of kids) opened.delete(kid)
  }

  async function open(key: StoredSigningKey): Promise<SigningKey> {
    const known = opened.get(key.kid)
    if (known !== undefined) return known
    const jwk = JSON.parse(await sealer.unseal(key.sealedPrivateKey)) as JWK
    const privateKey = await importJWK(jwk, key.alg)
    if (privateKey instanceof Uint8Array) throw new Error(`${key.kid} is no key pair`)
    const signing: SigningKey = { kid: key.kid, alg: key.alg, privateKey }
    opened.set(key.kid, signing)
    return signing
  }

  async function make(alg: SigningAlg) {
    const { privateKey, publicKey } = await generateKeyPair(alg, {
      extractable: true,
      ...(alg === 'RS256' ? { modulusLength: 2048 } : {}),
    })
    const jwk = await exportJWK(publicKey)
    const kid = await calculateJwkThumbprint(jwk)
    const x5c = alg === 'RS256' ? await certificateOf({ privateKey, publicKey }, options.issuer, now()) : []
    return {
      kid,
      alg,
      createdAtMs: now(),
      publicKey: JSON.stringify({ ...jwk, alg, use: 'sig', kid, ...(x5c.length === 0 ? {} : { x5c }) }),
      sealedPrivateKey: await sealer.seal(JSON.stringify(await exportJWK(privateKey))),
    }
  }

  /** @param isWanted decided where no other process makes keys meanwhile */
  async function add(
    actor: string,
    algs: readonly SigningAlg[],
    isWanted: (keys: readonly StoredSigningKey[], alg: SigningAlg) => boolean,
  ): Promise<readonly StoredSigningKey[]> {
    const made = await Promise.all(algs.map(make))
    const { keys, added } = await repository.change(async (view: RegistryView) => {
      const before = await view.signingKeys()
      const wanted = made.filter(({ alg }) => isWanted(before, alg))
      const after = wanted.flatMap((key) => successionOf(before, key, now(), times))
      const changed = new Set(after.map(({ kid }) => kid))
      const keys = [...before.filter(({ kid }) => !changed.has(kid)), ...after]
      const added = after.filter(({ kid }) => wanted.some((key) => key.kid === kid))
      const changes = added.map(({ kid, alg, signsFromMs }) => ({
        audit: { actor, verb: 'signing_key.made', subject: kid, after: { alg, signsFromMs } } as const,
        signingKeys: after.filter((key) => key.alg === alg),
      }))
      return { changes, answer: { keys, added } }
    })
    stored = keys
    return added
  }

  const current = (alg: SigningAlg) => signingKeyOf(stored, alg, now())

  await refresh()
  await ensure('ES256')
  for (const key of publishedKeys(stored, now())) {
    try {
      await open(key)
    } catch (cause) {
      const faults = [`the signing key ${key.kid} cannot be opened with this pepper`]
      throw new FleetError('config.invalid', 'signing keys cannot be opened', { cause, faults })
    }
  }

  async function ensure(alg: SigningAlg): Promise<StoredSigningKey> {
    if (current(alg) === undefined) await refresh()
    if (current(alg) === undefined)
      await add('provisioning', [alg], (keys) => signingKeyOf(keys, alg, now()) === undefined)
    const key = current(alg)
    if (key === undefined) throw new Error(`there is no ${alg} key`)
    return key
  }

  return {
    async signing(alg) {
      return open(current(alg) ?? (await ensure(alg)))
    },
    async jwks() {
      // Another process may have made one a moment ago.
      stored = await repository.signingKeys()
      return { keys: publishedKeys(stored, now()).map(({ publicKey }) => JSON.parse(publicKey) as JWK) }
    },
    rotate(actor, alg) {
      const inUse = new Set(publishedKeys(stored, now()).map((key) => key.alg))
      return add(
        actor,
        alg === undefined ? [...inUse] : [alg],
        (keys, one) => !hasSuccessor(keys, one, now()),
      )
    },
    refresh,
  }
}
