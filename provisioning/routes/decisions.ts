/** What the token endpoint decided, and what it would decide now (`/v1/decisions`, `/v1/explain`). */
import type { FastifyInstance } from 'fastify'
import { type Static, Type } from 'typebox'
import {
  DecisionOutcome,
  DecisionPage,
  DecisionRecord,
  ExplainRequest,
  Explanation,
} from '../../core/contract/decision.ts'
import type { Decisions } from '../oauth/guards/decisions.ts'
import type { Explain } from '../oauth/guards/explain.ts'
import { notFound } from '../registry/changes.ts'
import type { TokenDecision } from '../repository/repository.ts'
import { type Desk, pageLimit, strict } from './desk.ts'

export interface DecisionRouteParts {
  readonly decisions: Pick<Decisions, 'find' | 'list'>
  readonly explain: Explain
}

const DecisionQuery = strict({
  limit: pageLimit,
  cursor: Type.Optional(Type.Integer({ minimum: 0 })),
  oauthClientId: Type.Optional(Type.String({ minLength: 1, maxLength: 128 })),
  outcome: Type.Optional(DecisionOutcome),
})
const DecisionParams = strict({ decisionId: Type.String({ minLength: 1, maxLength: 64 }) })

/** Decisions of one millisecond, beyond the limit, that a page can take along. */
const sameInstantMax = 500

export function registerDecisionRoutes(
  server: FastifyInstance,
  desk: Desk,
  parts: () => DecisionRouteParts,
): void {
  const tags = ['decisions']
  server.get<{ Querystring: Static<typeof DecisionQuery> }>(
    '/v1/decisions',
    {
      ...desk.needs('read:audit'),
      schema: {
        tags,
        summary: 'Read the token endpoint’s decisions, newest first',
        querystring: DecisionQuery,
        response: { 200: DecisionPage },
      },
    },
    async ({ query: { cursor, limit, oauthClientId, outcome } }) => {
      const page = { before: cursor, limit: limit + sameInstantMax, oauthClientId, outcome }
      return pageByTime(await parts().decisions.list(page), limit)
    },
  )
  server.get<{ Params: Static<typeof DecisionParams> }>(
    '/v1/decisions/:decisionId',
    {
      ...desk.needs('read:audit'),
      schema: {
        tags,
        summary: 'Read what decided about one token request',
        params: DecisionParams,
        response: { 200: DecisionRecord },
      },
    },
    async ({ params: { decisionId } }) => {
      const decision = await parts().decisions.find(decisionId)
      if (decision === undefined)
        throw notFound(`there is no decision ${decisionId}; they are kept for a time`)
      return decision
    },
  )
  server.post<{ Body: ExplainRequest }>(
    '/v1/explain',
    {
      ...desk.needs('read:audit'),
      schema: {
        tags,
        summary: 'Explain what a token request would come to now',
        body: ExplainRequest,
        response: { 200: Explanation },
      },
    },
    async ({ body }) => parts().explain(body),
  )
}

/** The cursor is a time, so those of one millisecond stay on one page. */
function pageByTime(rows: readonly TokenDecision[], limit: number): DecisionPage {
  const last = rows[limit - 1]
  let end = Math.min(limit, rows.length)
  while (last !== undefined && rows[end]?.atMs === last.atMs) end++
  return {
    decisions: rows
      .slice(0, end)
      .map((row) => ({ ...row, reason: { ...row.reason } })) as DecisionPage['decisions'],
    ...(end < rows.length && last !== undefined ? { nextCursor: String(last.atMs) } : {}),
  }
}
