/**
 * How every verb of the registry makes its change: decided on the present state, committed with its audit entry and
 * its feed events as one, refused when the caller saw an older state, answered again when the caller asks again.
 */
import { createHash } from 'node:crypto'
import { FleetError } from '../../core/contract/errors.ts'
import type { Change, Decision, RegistryRepository, RegistryView } from '../repository/repository.ts'
import { createSealer } from '../seal.ts'

/** Who asks, and on which terms. */
export interface By {
  /** The OAuth client. */
  readonly actor: string
  /** `Idempotency-Key` of the request, with a hash of its method, address and body. */
  readonly idempotency?: { readonly key: string; readonly requestHash: string } | undefined
  /** `If-Match`: one or more entity tags, or `*` (RFC 9110 §13.1.1). */
  readonly ifMatch?: string | undefined
  /** `If-None-Match`: with `*`, only when it is not there yet (RFC 9110 §13.1.2). */
  readonly ifNoneMatch?: string | undefined
}

export interface Changes {
  /**
   * @returns the answer; the first one when the caller has asked for the same before, under the same key
   * @throws FleetError `request.replay` when the key was used for something else
   */
  make<Answer>(by: By, decide: (view: RegistryView) => Promise<Decision<Answer>>): Promise<Answer>
  /**
   * The same, with something that must be made outside of the transaction, and not again when the answer is known.
   * @param prepare what it makes is of no use before the commit
   */
  makeWith<Made, Answer>(
    by: By,
    prepare: () => Promise<Made>,
    decide: (view: RegistryView, made: Made) => Promise<Decision<Answer>>,
  ): Promise<Answer>
}

export function createChanges(repository: RegistryRepository, pepper: Uint8Array): Changes {
  // Stored under a hash: the key itself opens the answer, and only its owner has it.
  const storedKeyOf = (key: string) => createHash('sha256').update(key).digest('base64url')

  const changes: Changes = {
    async makeWith(by, prepare, decide) {
      const { idempotency, actor } = by
      const isKnown =
        idempotency !== undefined &&
        (await repository.findReplay(actor, storedKeyOf(idempotency.key))) !== undefined
      if (isKnown) return changes.make(by, () => Promise.reject(new Error('a known answer is gone')))
      const made = await prepare()
      return changes.make(by, (view) => decide(view, made))
    },

    make(by, decide) {
      const { idempotency, actor } = by
      if (idempotency === undefined) return repository.change(decide)
      const key = storedKeyOf(idempotency.key)
      const sealer = createSealer(pepper, `answer ${actor} ${idempotency.key}`)
      return repository.change(async (view) => {
        const before = await view.findReplay(actor, key)
        if (before !== undefined) {
          if (before.requestHash !== idempotency.requestHash)
            throw new FleetError('request.replay', 'the Idempotency-Key was used for another request', {
              safeDetail: 'this Idempotency-Key was used for another request',
            })
          return { answer: JSON.parse(await sealer.unseal(before.sealedAnswer)) }
        }
        const { changes: decided = [], answer } = await decide(view)
        const sealedAnswer = await sealer.seal(JSON.stringify(answer ?? null))
        const replay: Change = {
          replay: { actor, key, requestHash: idempotency.requestHash, sealedAnswer },
        }
        return { changes: [...decided, replay], answer }
      })
    },
  }
  return changes
}

/** A strong entity tag (RFC 9110 §8.8.3) of what is served as JSON. */
export function etagOf(thing: unknown): string {
  return `"${createHash('sha256').update(JSON.stringify(thing)).digest('base64url').slice(0, 22)}"`
}

/**
 * To be asked inside `make`, of the thing as `GET` would show it.
 * @throws FleetError `request.precondition`
 */
export function requireMatch({ ifMatch, ifNoneMatch }: By, present: unknown): void {
  if (ifMatch !== undefined && !names(ifMatch, present))
    throw unmet('it has changed since it was read, or is not there; read it again')
  if (ifNoneMatch !== undefined && names(ifNoneMatch, present)) throw unmet('it is there already')
}

function names(header: string, present: unknown): boolean {
  if (present === undefined) return false
  const tags = header.split(',').map((tag) => tag.trim())
  return tags.includes('*') || tags.includes(etagOf(present))
}

function unmet(safeDetail: string): FleetError {
  return new FleetError('request.precondition', 'a precondition is not met', { safeDetail })
}

export function notFound(detail: string): FleetError {
  return new FleetError('request.not_found', detail, { safeDetail: detail })
}

export function invalid(detail: string): FleetError {
  return new FleetError('request.invalid', detail, { safeDetail: detail })
}

export function conflict(detail: string): FleetError {
  return new FleetError('request.conflict', detail, { safeDetail: detail })
}
