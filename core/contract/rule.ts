/**
 * What operators read of the rules that run at token time, and what a rule would do to a token request. Served by
 * provisioning under `/v1/rules`, used by lotctl and the console.
 */
import { type Static, Type } from 'typebox'
import { Audience } from './client.ts'

export const RuleName = Type.String({ minLength: 1, maxLength: 255 })

/** Auth0's two: `function (user, context, callback)`, and `exports.onExecuteCredentialsExchange = async (event, api)`. */
export const RuleShape = Type.Enum(['rule', 'action'])

export const RuleShown = Type.Object(
  {
    /** Of its file. They run in its order. */
    name: RuleName,
    shape: RuleShape,
    /** With a broken one, every token request is denied. */
    state: Type.Enum(['active', 'broken']),
    /** What is wrong with it. */
    fault: Type.Optional(Type.String()),
    bytes: Type.Integer({ minimum: 0 }),
    /** Since it was read, by this process: how often it was asked, denied, and failed, which denies as well. */
    runs: Type.Integer({ minimum: 0 }),
    denials: Type.Integer({ minimum: 0 }),
    failures: Type.Integer({ minimum: 0 }),
  },
  { additionalProperties: false },
)
export type RuleShown = Static<typeof RuleShown>

/** `GET /v1/rules`: in the order in which they run. */
export const RuleList = Type.Object({ rules: Type.Array(RuleShown) }, { additionalProperties: false })

/** `GET /v1/rules/{name}`. */
export const RuleText = Type.Object(
  { ...RuleShown.properties, source: Type.String() },
  { additionalProperties: false },
)

/** `POST /v1/rules/test`: absent members as in a token request. */
export const RuleTestRequest = Type.Object(
  {
    source: Type.String({ minLength: 1, maxLength: 100_000 }),
    /** As which it is read; absent: as it looks. */
    shape: Type.Optional(RuleShape),
    oauthClientId: Type.String({ minLength: 1, maxLength: 128 }),
    audience: Type.Optional(Audience),
    scope: Type.Optional(Type.String({ minLength: 1, maxLength: 4096 })),
  },
  { additionalProperties: false },
)
export type RuleTestRequest = Static<typeof RuleTestRequest>

/** What this rule alone would do; nothing is issued and nothing recorded. */
export const RuleTestAnswer = Type.Object(
  {
    /** `failed` denies as well: it broke, or took too much. */
    outcome: Type.Enum(['allowed', 'denied', 'failed']),
    shape: RuleShape,
    oauthClientId: Type.String(),
    audience: Type.String(),
    /** Before the rule. */
    granted: Type.Array(Type.String()),
    /** After it. */
    scopes: Type.Array(Type.String()),
    /** Those it adds. */
    claims: Type.Record(Type.String(), Type.Unknown()),
    /** Scopes that it wanted and that were not there to be had. */
    beyond: Type.Array(Type.String()),
    /** OAuth's `error`, when denied. */
    error: Type.Optional(Type.String()),
    /** What the client is told. */
    told: Type.Optional(Type.String()),
    /** What the operator is told. */
    reason: Type.Optional(Type.String()),
    /** What it wrote to the console: the first lines of it. */
    console: Type.Array(Type.String()),
    /** Microseconds. */
    tookUs: Type.Optional(Type.Integer({ minimum: 0 })),
  },
  { additionalProperties: false },
)
export type RuleTestAnswer = Static<typeof RuleTestAnswer>
