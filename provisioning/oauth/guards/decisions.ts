/**
 * The record of the token endpoint's decisions: each is written to the log within its bounds, and to the repository
 * with others in one write. What came in less than 250 ms before a crash may be lost (and what came while the store
 * could not be written): no answer waits for its record. Beyond `waitingMax` the oldest are dropped, and the log says
 * how many. No secret and no token is ever in one.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { type Log, redact } from '../../../core/runtime/log.ts'
import type { RegistryRepository, TokenDecision } from '../../repository/repository.ts'
import { createDecisionLog } from '../decision-log.ts'

export type DecisionPage = Parameters<RegistryRepository['decisions']>[0]

export interface Decisions {
  /** Takes note; writes soon. Never throws. */
  record(decision: TokenDecision): void
  /** Also one that is not written yet. */
  find(decisionId: string): Promise<TokenDecision | undefined>
  /** Newest first, this process's newest included. */
  list(page: DecisionPage): Promise<readonly TokenDecision[]>
  /** Resolves when all that was recorded before is written, or the store failed once. */
  flush(): Promise<void>
  /** The last flush; nothing is written afterwards. */
  stop(): Promise<void>
}

export interface DecisionsOptions {
  readonly repository: Pick<RegistryRepository, 'addDecisions' | 'findDecision' | 'decisions'>
  readonly log: Log
  /** Milliseconds, of a clock that goes forward. */
  readonly nowMs: () => number
  readonly ageMsMax?: number
  readonly writtenAtOnce?: number
  readonly waitingMax?: number
  readonly retryMs?: number
}

export function createDecisions(options: DecisionsOptions): Decisions {
  const {
    repository,
    log,
    ageMsMax = 250,
    writtenAtOnce = 500,
    waitingMax = 20_000,
    retryMs = 1000,
  } = options
  const lines = createDecisionLog(log, options.nowMs)
  const stopping = new AbortController()
  let waiting: TokenDecision[] = []
  let inFlight: readonly TokenDecision[] = []
  let writing: Promise<void> | undefined
  let timer: NodeJS.Timeout | undefined
  let dropped = 0
  let isAway = false

  function drop(): void {
    const tooMany = waiting.length + inFlight.length - waitingMax
    if (tooMany <= 0) return
    // Some more at once: one by one, each would move all the others.
    dropped += waiting.splice(0, tooMany + Math.floor(waitingMax / 100)).length
  }

  /** @returns whether the store took them */
  async function writeSome(): Promise<boolean> {
    inFlight = waiting.slice(0, writtenAtOnce)
    waiting = waiting.slice(inFlight.length)
    try {
      await repository.addDecisions(inFlight)
      inFlight = []
      if (isAway || dropped > 0) log.warn('decisions.written_again', { dropped })
      isAway = false
      dropped = 0
      return true
    } catch (error) {
      waiting = [...inFlight, ...waiting]
      inFlight = []
      drop()
      if (!isAway) log.warn('decisions.unwritten', { waiting: waiting.length, error: error as Error })
      isAway = true
      return false
    }
  }

  async function writeAll(): Promise<void> {
    while (waiting.length > 0) {
      if (await writeSome()) continue
      later(retryMs)
      return
    }
  }

  function write(): Promise<void> {
    clearTimeout(timer)
    timer = undefined
    writing ??= writeAll().finally(() => {
      writing = undefined
      if (waiting.length > 0) later(ageMsMax)
    })
    return writing
  }

  function later(ms: number): void {
    if (timer !== undefined || stopping.signal.aborted) return
    timer = setTimeout(() => void write(), ms)
    timer.unref()
  }

  async function flush(): Promise<void> {
    // What is under way may have begun before the last record.
    await writing
    if (waiting.length > 0) await write()
  }

  return {
    record(made) {
      const decision = withoutSecrets(made)
      waiting.push(decision)
      if (waiting.length > waitingMax) drop()
      const fields = () => lineOf(decision)
      if (decision.outcome === 'issued') lines.issued(fields)
      else lines.refused(fields)
      if (waiting.length < writtenAtOnce || isAway) later(isAway ? retryMs : ageMsMax)
      else if (writing === undefined) void write()
    },
    async find(decisionId) {
      const isIt = (one: TokenDecision) => one.decisionId === decisionId
      return waiting.find(isIt) ?? inFlight.find(isIt) ?? (await repository.findDecision(decisionId))
    },
    async list(page) {
      await flush()
      return repository.decisions(page)
    },
    flush,
    async stop() {
      stopping.abort()
      // A store that does not answer does not hold up the end.
      await Promise.race([flush(), delay(5000, undefined, { ref: false })])
      clearTimeout(timer)
      if (waiting.length + inFlight.length > 0)
        log.warn('decisions.lost', { count: waiting.length + inFlight.length })
    },
  }
}

/**
 * The name of a decision. It begins with the time, so that new ones are written side by side in an index: with chance
 * in front, a decision took the database twice as long, and ever longer.
 */
export function decisionIdOf(nowMs: number, uuid: string): string {
  // Without the groups that say which kind of UUID it is: 80 bits of chance.
  return `dec_${nowMs.toString(36).padStart(9, '0')}${uuid.slice(0, 8)}${uuid.slice(9, 13)}${uuid.slice(28)}`
}

/** A name that was only claimed may be anything, such as a secret in the wrong field. */
function withoutSecrets(decision: TokenDecision): TokenDecision {
  const { outcome, oauthClientId } = decision
  return outcome === 'issued' || oauthClientId === undefined
    ? decision
    : { ...decision, oauthClientId: redact(oauthClientId) }
}

function lineOf({ decisionId, oauthClientId, error, reason, address }: TokenDecision) {
  return {
    decisionId,
    ...(oauthClientId === undefined ? {} : { oauthClientId }),
    ...(error === undefined ? {} : { reason: error, address }),
    ...reason,
  }
}
