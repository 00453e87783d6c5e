/**
 * The keys of our own authorization server, in files of mode 0600: those that sign tokens, and the pepper of the
 * secrets' hashes. Made at first start. The file of the signing keys holds several, of which one signs.
 */
import { join } from 'node:path'
import { calculateJwkThumbprint, exportJWK, generateKeyPair, importJWK, type JWK } from 'jose'
import { type Static, Type } from 'typebox'
import { Value } from 'typebox/value'
import { FleetError } from '../../core/contract/errors.ts'
import { readFileIfAny, writePrivateFile } from '../files.ts'
import type { SigningKey } from './signer.ts'

const Base64Url = Type.String({ pattern: '^[A-Za-z0-9_-]{43}$' })

const SigningKeysFile = Type.Object({
  v: Type.Literal(1),
  /** The `kid` that signs; the others are published, so that what they signed stays good. */
  signing: Type.String(),
  keys: Type.Array(
    Type.Object({
      kid: Type.String({ minLength: 1 }),
      alg: Type.Literal('ES256'),
      createdAtMs: Type.Integer(),
      privateKey: Type.Object({
        kty: Type.Literal('EC'),
        crv: Type.Literal('P-256'),
        x: Base64Url,
        y: Base64Url,
        d: Base64Url,
      }),
    }),
    { minItems: 1 },
  ),
})
type SigningKeysFile = Static<typeof SigningKeysFile>

const PepperFile = Type.Object({ v: Type.Literal(1), pepper: Base64Url })

export interface SigningKeys {
  readonly signing: SigningKey
  /** RFC 7517: the public halves of all keys. */
  readonly jwks: { readonly keys: readonly JWK[] }
}

/** @throws FleetError `config.invalid` when the file is there and holds no keys */
export async function openSigningKeys(folder: string, nowMs: number): Promise<SigningKeys> {
  const path = join(folder, 'signing-keys.json')
  const file = readJson(path, SigningKeysFile) ?? (await makeSigningKeys(path, nowMs))
  const signing = file.keys.find(({ kid }) => kid === file.signing)
  if (signing === undefined) throw unusable(path, `there is no key ${file.signing}`)
  const privateKey = await importJWK(signing.privateKey, signing.alg)
  if (privateKey instanceof Uint8Array) throw unusable(path, 'not a key pair')
  return {
    signing: { kid: signing.kid, alg: signing.alg, privateKey },
    jwks: {
      keys: file.keys.map(({ kid, alg, privateKey: { d: _, ...publicKey } }) => ({
        ...publicKey,
        alg,
        use: 'sig',
        kid,
      })),
    },
  }
}

async function makeSigningKeys(path: string, nowMs: number): Promise<SigningKeysFile> {
  const { privateKey } = await generateKeyPair('ES256', { extractable: true })
  const jwk = await exportJWK(privateKey)
  const kid = await calculateJwkThumbprint(jwk)
  const file = Value.Parse(SigningKeysFile, {
    v: 1,
    signing: kid,
    keys: [{ kid, alg: 'ES256', createdAtMs: nowMs, privateKey: jwk }],
  })
  writePrivateFile(path, JSON.stringify(file))
  return file
}

/**
 * @param mayMake false when the registry holds hashes already: with a new pepper none of them would fit any more
 * @throws FleetError `config.invalid` when the file is unusable, or is gone and may not be made
 */
export function openPepper(
  folder: string,
  options: { mayMake: boolean; randomBytes: (count: number) => Uint8Array },
): Uint8Array {
  const path = join(folder, 'pepper.json')
  const pepper = readJson(path, PepperFile)?.pepper
  if (pepper !== undefined) return Buffer.from(pepper, 'base64url')
  if (!options.mayMake)
    throw unusable(
      path,
      'is missing, and no client secret of this registry can be checked without it; restore it',
    )
  const made = options.randomBytes(32)
  writePrivateFile(path, JSON.stringify({ v: 1, pepper: Buffer.from(made).toString('base64url') }))
  return made
}

function readJson<Schema extends typeof SigningKeysFile | typeof PepperFile>(
  path: string,
  schema: Schema,
): Static<Schema> | undefined {
  const text = readFileIfAny(path)
  if (text === undefined) return undefined
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw unusable(path, 'is not JSON') // the parser's words would quote the content
  }
  if (!Value.Check(schema, value)) throw unusable(path, 'does not hold what it should')
  return value
}

function unusable(path: string, fault: string): FleetError {
  return new FleetError('config.invalid', 'a key file cannot be used', { faults: [`${path}: ${fault}`] })
}
