/** What a rule would do to a token request of some client: `lotctl rules test`. Nothing is issued, counted or recorded. */
import type { RuleTestAnswer, RuleTestRequest } from '../../../core/contract/rule.ts'
import { decideScopes, findGrant } from '../../grants.ts'
import { invalid, notFound } from '../../registry/changes.ts'
import type { RegistryView } from '../../repository/repository.ts'
import { asIfAsked } from '../guards/explain.ts'
import { shapeOf } from './rule.ts'
import type { Rules } from './rules.ts'

export type RuleTrial = (request: RuleTestRequest) => Promise<RuleTestAnswer>

/** @returns throws FleetError `request.not_found` for an unknown client, `request.invalid` where rules would not be asked at all */
export function createRuleTrial(options: {
  readonly repository: Pick<RegistryView, 'findAccess' | 'findApi'>
  readonly rules: Pick<Rules, 'trial'>
}): RuleTrial {
  const { repository, rules } = options
  return async (asked) => {
    const { source, shape = shapeOf(source), oauthClientId, audience, scope } = asked
    const access = await repository.findAccess(oauthClientId)
    if (access === undefined) throw notFound(`there is no client ${oauthClientId}`)
    const { client } = access
    const grant = findGrant(client.grants, audience)
    if ('granted' in grant) throw invalid(`rules would not be asked: ${grant.description}`)
    const api = await repository.findApi(grant.audience)
    if (api === undefined) throw invalid(`rules would not be asked: there is no API ${grant.audience}`)
    const decision = decideScopes(grant, api, scope)
    if (!decision.granted) throw invalid(`rules would not be asked: ${decision.description}`)
    const answer = await rules.trial(
      { name: 'tried.js', shape, source },
      {
        client,
        audience: api.audience,
        scopes: decision.scopes,
        from: asIfAsked(asked),
      },
    )
    const { denied, trace } = answer
    return {
      outcome: denied === undefined ? 'allowed' : denied.failed ? 'failed' : 'denied',
      shape,
      oauthClientId,
      audience: api.audience,
      granted: [...decision.scopes],
      scopes: denied === undefined ? [...answer.scopes] : [],
      claims: denied === undefined ? { ...answer.claims } : {},
      beyond: [...(trace?.beyond ?? [])],
      ...(denied === undefined ? {} : { error: denied.error, reason: denied.why }),
      ...(denied?.told === undefined ? {} : { told: denied.told }),
      console: [...(trace?.console ?? [])],
      ...(trace === undefined ? {} : { tookUs: trace.tookUs }),
    }
  }
}
