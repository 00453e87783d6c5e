/** What a program and its thread for rules say to each other. */
import type { Rule, RulesAnswer } from './rule.ts'

/** Places in the shared memory, by which it is seen from outside how far the thread has come. */
export const marks = {
  /** How many questions were begun. */
  asked: 0,
  /** Which rule is read, counted from one; 0: none. */
  reading: 1,
} as const

export interface ThreadSetting {
  /** Of one rule and one request. */
  readonly timeMs: number
  readonly memoryBytes: number
  readonly progress: SharedArrayBuffer
}

export type ThreadOrder =
  | { readonly rules: readonly Rule[] }
  /** Each a RuleRequest as JSON: cheaper to hand over than the object. */
  | { readonly rules?: undefined; readonly batch: readonly string[] }

export type ThreadReport =
  /** One for each rule of the order; null: none. */
  | { readonly faults: readonly (string | null)[] }
  | { readonly faults?: undefined; readonly answers: readonly RulesAnswer[] }
