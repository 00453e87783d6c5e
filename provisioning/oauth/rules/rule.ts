/**
 * What a rule is, what it is told of a token request, and what came of asking the rules: the words that the folder, the
 * thread and the sandbox share. Pure.
 */

/** Auth0's two: `function (user, context, callback)`, and `exports.onExecuteCredentialsExchange = async (event, api)`. */
export type RuleShape = 'rule' | 'action'

export interface Rule {
  /** Of its file; they run in its order. */
  readonly name: string
  readonly shape: RuleShape
  readonly source: string
}

/** What rules are told. Never a secret. */
export interface RuleRequest {
  readonly client: {
    readonly oauthClientId: string
    readonly name: string
    readonly metadata: Readonly<Record<string, string>>
  }
  readonly audience: string
  /** What would be in the token: they can only become fewer. */
  readonly scopes: readonly string[]
  /** Of the body, without those that authenticate. */
  readonly parameters: Readonly<Record<string, string>>
  readonly address: string
  readonly userAgent: string
  /** Host of the issuer. */
  readonly tenant: string
  /** Of `Math.random` in the sandbox, 32 bits: its own would be the same for every request. */
  readonly seed: number
  /** Whether what rules write to the console comes back, and how long they took. */
  readonly traced: boolean
}

/** What came of asking all rules in their order, up to the first that denied. */
export interface RulesAnswer {
  readonly scopes: readonly string[]
  readonly claims: Readonly<Record<string, unknown>>
  readonly ran: readonly string[]
  readonly denied?: RuleDenial
  /** When traced. */
  readonly trace?: RuleTrace
}

export interface RuleDenial {
  readonly rule: string
  /** OAuth's `error`. */
  readonly error: string
  /** For the operator. */
  readonly why: string
  /** For the client, in the rule's own words. */
  readonly told?: string
  /** Not its decision: it is broken, or took too much. */
  readonly failed: boolean
}

export interface RuleTrace {
  readonly console: readonly string[]
  /** Scopes that a rule wanted and the grant does not have. */
  readonly beyond: readonly string[]
  /** Microseconds. */
  readonly tookUs: number
}

/** Auth0's limit as well. */
export const sourceBytesMax = 100_000

/** As which a source is read, unless somebody says. */
export function shapeOf(source: string): RuleShape {
  return /\bonExecuteCredentialsExchange\b/.test(source) ? 'action' : 'rule'
}
