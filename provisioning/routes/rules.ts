/** The rules that run at token time, and what one would do (`/v1/rules`). They change in their folder, not here. */
import type { FastifyInstance } from 'fastify'
import type { Static } from 'typebox'
import { RuleList, RuleName, RuleTestAnswer, RuleTestRequest, RuleText } from '../../core/contract/rule.ts'
import type { Rules } from '../oauth/rules/rules.ts'
import type { RuleTrial } from '../oauth/rules/trial.ts'
import { notFound } from '../registry/changes.ts'
import { type Desk, strict } from './desk.ts'

export interface RuleRouteParts {
  readonly rules: Pick<Rules, 'list'>
  readonly ruleTrial: RuleTrial
}

const tags = ['rules']
const RuleParams = strict({ name: RuleName })
/** The longest source, every character of it escaped. */
const testBodyBytesMax = 512 * 1024

export function registerRuleRoutes(server: FastifyInstance, desk: Desk, parts: () => RuleRouteParts): void {
  server.get(
    '/v1/rules',
    {
      ...desk.needs('manage:rules'),
      schema: { tags, summary: 'List the rules that run at token time', response: { 200: RuleList } },
    },
    async () => ({
      rules: parts()
        .rules.list()
        .map(({ source: _, ...shown }) => shown),
    }),
  )

  server.get<{ Params: Static<typeof RuleParams> }>(
    '/v1/rules/:name',
    {
      ...desk.needs('manage:rules'),
      schema: { tags, summary: 'Show a rule with its text', params: RuleParams, response: { 200: RuleText } },
    },
    async ({ params: { name } }) => {
      const rule = parts()
        .rules.list()
        .find((one) => one.name === name)
      if (rule === undefined) throw notFound(`there is no rule ${name}`)
      return rule
    },
  )

  server.post<{ Body: RuleTestRequest }>(
    '/v1/rules/test',
    {
      ...desk.needs('manage:rules'),
      bodyLimit: testBodyBytesMax,
      schema: {
        tags,
        summary: 'Try what a rule would do to a token request; nothing is issued',
        body: RuleTestRequest,
        response: { 200: RuleTestAnswer },
      },
    },
    async ({ body }) => parts().ruleTrial(body),
  )
}
