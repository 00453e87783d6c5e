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
import type { Statuses } from './statuses.ts'
import type { Store } from './store/store.ts'

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
  /** Resolves when all that was taken is settled. */
  idle(): Promise<void>
}

interface Waiting {
  readonly arrivals: readonly Arrival[]
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
    for (const { arrivals } of waiting) {
      messages += arrivals.length
      if (count > 0 && messages > options.commitMessagesMax) break
      count++
    }
    return waiting.splice(0, count)
  }

  async function commit(arrivals: readonly Arrival[]): Promise<readonly string[]> {
    const startMs = options.nowMs()
    const instants = instantsToLookUp(arrivals, ledger)
    const stored = instants.length === 0 ? [] : await store.lookup(instants)
    try {
      const decision = decide(arrivals, { ledger, stored, hash: options.hash, isGone: store.days?.isGone })
      const sifted = statuses.sift(decision.statuses)
      await store.commit({ ...decision, ...sifted, ledger: ledger.stagedRows() })
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
        const verdicts = await commit(handovers.flatMap(({ arrivals }) => arrivals))
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

  return {
    async take(body) {
      if (waiting.length >= options.handoversWaitingMax)
        throw new FleetError('system.busy', 'too many handovers wait')
      const arrivals = readArrivals(readFrames(body))
      return new Promise((resolve, reject) => {
        waiting.push({ arrivals, resolve, reject })
        working ??= work()
      })
    },
    async idle() {
      await working
    },
  }
}
