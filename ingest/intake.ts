/**
 * The flow: a handover is read, decided on, committed, and only then answered.
 *
 * Reading overlaps with the commit of what came before; deciding and committing is one at a time, because a decision
 * stands on everything decided before it. What waits meanwhile is committed together: one commit costs the same for
 * many handovers as for one.
 */
import { FleetError, isFleetError } from '../core/contract/errors.ts'
import { readFrames } from '../core/contract/handover.ts'
import { type Arrival, readArrivals } from './arrivals.ts'
import { type Decision, decide, instantsToLookUp } from './decide.ts'
import type { Ledger } from './ledger.ts'
import type { Hash } from './quarantine.ts'
import { arriveAgain, type Releaser, releasesOf } from './release.ts'
import type { Statuses } from './statuses.ts'
import type { QuarantineRecord, QuarantineRelease, Store } from './store/store.ts'

export interface IntakeOptions {
  readonly store: Store
  readonly ledger: Ledger
  readonly statuses: Statuses
  readonly hash: Hash
  /** Handovers that may wait: more are answered `system.busy`. */
  readonly handoversWaitingMax: number
  /** Messages committed together. */
  readonly commitMessagesMax: number
  readonly onCommit: (decision: Decision, tookMs: number) => void
  /** Something other than an unavailable store: the program has to end. */
  readonly onFatal: (error: unknown) => void
  /** Monotonic milliseconds. */
  readonly nowMs: () => number
}

export interface Intake {
  /**
   * Takes the body of a handover; resolves to its verdicts when everything in it is durable.
   * @throws FleetError `handover.malformed`, `system.busy`, `store.unavailable`; nothing of it is stored then
   */
  take(body: Uint8Array): Promise<readonly string[]>
  /**
   * Looks once more at what is in quarantine, as it would be looked at today: what is right by now is stored, and
   * leaves quarantine in the same commit; what is still wrong stays as it is.
   * @returns the ids of what was released
   * @throws FleetError `system.busy`, `store.unavailable`; nothing is released then
   */
  release(entries: readonly QuarantineRecord[], by: Releaser): Promise<readonly string[]>
  /** Resolves when all that was taken is settled. */
  idle(): Promise<void>
}

interface Waiting {
  readonly arrivals: readonly Arrival[]
  /** What leaves quarantine by these verdicts: a release, which has a commit of its own. */
  readonly releasedBy?: (verdicts: readonly string[]) => QuarantineRelease[]
  readonly resolve: (verdicts: readonly string[]) => void
  readonly reject: (error: unknown) => void
}

/** The stored ledger may double and have this many rows more, then it is written anew. */
const ledgerRowsSpare = 200_000

export function createIntake(options: IntakeOptions): Intake {
  const { store, ledger, statuses } = options
  const waiting: Waiting[] = []
  let compactAt = 2 * store.ledgerRowCount + ledgerRowsSpare
  let working: Promise<void> | undefined

  /** What is committed next: at least one handover, then as many as fit. */
  function next(): Waiting[] {
    let messages = 0
    let count = 0
    for (const { arrivals, releasedBy } of waiting) {
      messages += arrivals.length
      if (count > 0 && (messages > options.commitMessagesMax || releasedBy !== undefined)) break
      count++
      if (releasedBy !== undefined) break
    }
    return waiting.splice(0, count)
  }

  async function commit(
    arrivals: readonly Arrival[],
    releasedBy: Waiting['releasedBy'],
  ): Promise<readonly string[]> {
    const startMs = options.nowMs()
    const instants = instantsToLookUp(arrivals, ledger)
    const stored = instants.length === 0 ? [] : await store.lookup(instants)
    try {
      const decision = decide(arrivals, { ledger, stored, hash: options.hash, isGone: store.days?.isGone })
      const sifted = statuses.sift(decision.statuses)
      const released = releasedBy?.(decision.verdicts)
      await store.commit({ ...decision, ...sifted, ledger: ledger.stagedRows(), released })
      ledger.settle()
      statuses.settle(sifted)
      options.onCommit(decision, options.nowMs() - startMs)
      return decision.verdicts
    } catch (error) {
      ledger.discard()
      throw error
    }
  }

  async function compact(): Promise<void> {
    try {
      await store.compact(ledger.rows())
    } finally {
      // Where it failed, too: what fails once is not tried again after each batch.
      compactAt = 2 * store.ledgerRowCount + ledgerRowsSpare
    }
  }

  async function work(): Promise<void> {
    while (waiting.length > 0) {
      const handovers = next()
      try {
        const verdicts = await commit(
          handovers.flatMap(({ arrivals }) => arrivals),
          handovers[0]?.releasedBy,
        )
        let from = 0
        for (const { arrivals, resolve } of handovers) {
          resolve(verdicts.slice(from, from + arrivals.length))
          from += arrivals.length
        }
        if (store.ledgerRowCount > compactAt) await compact()
      } catch (error) {
        // Those that were answered already do not hear it.
        for (const { reject } of handovers) reject(error)
        if (!isFleetError(error)) options.onFatal(error)
      }
    }
    // In the same turn as the last look at what waits, so that nothing can come in between.
    working = undefined
  }

  async function enqueue(what: Pick<Waiting, 'arrivals' | 'releasedBy'>): Promise<readonly string[]> {
    return new Promise((resolve, reject) => {
      waiting.push({ ...what, resolve, reject })
      working ??= work()
    })
  }

  function checkRoom(): void {
    if (waiting.length >= options.handoversWaitingMax)
      throw new FleetError('system.busy', 'too many handovers wait')
  }

  return {
    async take(body) {
      checkRoom()
      return enqueue({ arrivals: readArrivals(readFrames(body)) })
    },
    async release(entries, by) {
      checkRoom()
      const again = arriveAgain(entries)
      const releasedBy = (verdicts: readonly string[]) => releasesOf(again, verdicts, by)
      const verdicts = await enqueue({ arrivals: again.map(({ arrival }) => arrival), releasedBy })
      return releasedBy(verdicts).map(({ id }) => id)
    },
    async idle() {
      await working
    },
  }
}
