/**
 * The life of signing keys: published, then signing, then only published, then gone. Pure.
 * A key is published before it signs, so that whoever keeps a copy of the key set knows it in time, and stays until the
 * last token it has signed is void.
 */
import type { StoredSigningKey } from '../repository/repository.ts'

type Alg = StoredSigningKey['alg']

export interface KeyTimes {
  /** From the publication of a key to its first signature: longer than anybody keeps a copy of the key set. */
  readonly publishedBeforeMs: number
  /** The longest life of a token, with skew. */
  readonly tokenLifeMaxMs: number
}

/** The key that signs now, of those of an algorithm; of several, the one that began last. */
export function signingKeyOf(
  keys: readonly StoredSigningKey[],
  alg: Alg,
  nowMs: number,
): StoredSigningKey | undefined {
  return keys
    .filter(
      (key) =>
        key.alg === alg &&
        key.signsFromMs <= nowMs &&
        (key.signsUntilMs === null || key.signsUntilMs > nowMs),
    )
    .toSorted((a, b) => b.signsFromMs - a.signsFromMs)[0]
}

/** Those whose public halves are served. */
export function publishedKeys(keys: readonly StoredSigningKey[], nowMs: number): StoredSigningKey[] {
  return keys.filter(({ publishedUntilMs }) => publishedUntilMs === null || publishedUntilMs > nowMs)
}

/** Those that nobody needs any more. */
export function expiredKeys(keys: readonly StoredSigningKey[], nowMs: number): StoredSigningKey[] {
  return keys.filter(({ publishedUntilMs }) => publishedUntilMs !== null && publishedUntilMs <= nowMs)
}

/** Whether a successor is already on its way, so that asking again changes nothing. */
export function hasSuccessor(keys: readonly StoredSigningKey[], alg: Alg, nowMs: number): boolean {
  return keys.some((key) => key.alg === alg && key.signsFromMs > nowMs)
}

/**
 * A new key takes over from those of its algorithm: at once when there is none, otherwise when it was published long
 * enough.
 * @returns the new key, and each that it ends, with their times
 */
export function successionOf(
  keys: readonly StoredSigningKey[],
  successor: Omit<StoredSigningKey, 'signsFromMs' | 'signsUntilMs' | 'publishedUntilMs'>,
  nowMs: number,
  times: KeyTimes,
): readonly StoredSigningKey[] {
  const current = keys.filter((key) => key.alg === successor.alg && key.signsUntilMs === null)
  const signsFromMs = current.length === 0 ? nowMs : nowMs + times.publishedBeforeMs
  return [
    { ...successor, signsFromMs, signsUntilMs: null, publishedUntilMs: null },
    ...current.map((key) => ({
      ...key,
      signsUntilMs: signsFromMs,
      publishedUntilMs: signsFromMs + times.tokenLifeMaxMs,
    })),
  ]
}
