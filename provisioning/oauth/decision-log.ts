/**
 * The log of the token endpoint's decisions, bounded: strangers decide how many there are, so each event gets so many
 * lines a second, and the first line after that says how many were left out.
 */
import type { Log, LogFields } from '../../core/runtime/log.ts'

export interface DecisionLog {
  /** @param fields asked for when the line is written */
  issued(fields: () => LogFields): void
  refused(fields: () => LogFields): void
}

/** @param now milliseconds, of a clock that goes forward */
export function createDecisionLog(log: Log, now: () => number, linesPerSec = 50): DecisionLog {
  return {
    issued: boundedLines(log, 'token.issued', now, linesPerSec),
    refused: boundedLines(log, 'token.refused', now, linesPerSec),
  }
}

/** Lines of one event, so many a second. */
export function boundedLines(
  log: Log,
  event: string,
  now: () => number,
  linesPerSec = 50,
): (fields: () => LogFields) => void {
  let windowSec = Number.NEGATIVE_INFINITY
  let lines = 0
  let leftOut = 0
  return (fields) => {
    const nowSec = Math.floor(now() / 1000)
    if (nowSec !== windowSec) {
      windowSec = nowSec
      lines = 0
    }
    if (lines++ >= linesPerSec) {
      leftOut++
      return
    }
    log.info(event, leftOut === 0 ? fields() : { ...fields(), linesLeftOut: leftOut })
    leftOut = 0
  }
}
