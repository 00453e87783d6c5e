/**
 * What operators read of the token endpoint's decisions: the record of each, and the explanation of what would
 * happen now. Served by provisioning under `/v1/decisions` and `/v1/explain`, used by lotctl. No secret, no token.
 */
import { type Static, Type } from 'typebox'
import { Audience } from './client.ts'
import { TimestampMs } from './registry.ts'

export const DecisionOutcome = Type.Enum(['issued', 'refused'])

export const DecisionRecord = Type.Object(
  {
    /** As in the answer's header. */
    decisionId: Type.String(),
    atMs: TimestampMs,
    outcome: DecisionOutcome,
    /** As claimed; absent when nobody could be made out. */
    oauthClientId: Type.Optional(Type.String()),
    address: Type.Optional(Type.String()),
    /** `error` of the answer; absent when a token was issued. */
    error: Type.Optional(Type.String()),
    /** What decided: ids of credential, grant, rule, quota, by name. */
    reason: Type.Record(Type.String(), Type.Unknown()),
  },
  { additionalProperties: false },
)
export type DecisionRecord = Static<typeof DecisionRecord>

/** `GET /v1/decisions`: newest first. A page may be a little longer than `limit`: decisions of one millisecond stay together. */
export const DecisionPage = Type.Object(
  { decisions: Type.Array(DecisionRecord), nextCursor: Type.Optional(Type.String()) },
  { additionalProperties: false },
)
export type DecisionPage = Static<typeof DecisionPage>

/** `POST /v1/explain`: absent members as in a token request. */
export const ExplainRequest = Type.Object(
  {
    oauthClientId: Type.String({ minLength: 1, maxLength: 128 }),
    audience: Type.Optional(Audience),
    scope: Type.Optional(Type.String({ minLength: 1, maxLength: 4096 })),
  },
  { additionalProperties: false },
)
export type ExplainRequest = Static<typeof ExplainRequest>

/** One thing that decides, in the order in which they do. What comes after a refusal is not looked at. */
export const ExplainStep = Type.Object(
  {
    step: Type.Enum(['client', 'device', 'credential', 'grant_type', 'grant', 'scope', 'rules', 'quota']),
    passes: Type.Boolean(),
    /** For people. */
    detail: Type.String(),
    /** What would make it pass. */
    hint: Type.Optional(Type.String()),
    /** Ids and numbers behind the detail. */
    facts: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
  },
  { additionalProperties: false },
)
export type ExplainStep = Static<typeof ExplainStep>

/** What a token request with a right credential would come to now. Nothing is counted and nothing recorded. */
export const Explanation = Type.Object(
  {
    oauthClientId: Type.String(),
    issues: Type.Boolean(),
    steps: Type.Array(ExplainStep),
    /** OAuth's `error`, in the RFC's words; absent when a token would be issued. */
    error: Type.Optional(Type.String()),
    audience: Type.Optional(Type.String()),
    /** After the rules. */
    scopes: Type.Optional(Type.Array(Type.String())),
    /** Claims that rules add. */
    claims: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
    lifeSec: Type.Optional(Type.Integer()),
  },
  { additionalProperties: false },
)
export type Explanation = Static<typeof Explanation>
