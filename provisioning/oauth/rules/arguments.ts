/**
 * What Auth0 hands to a Rule (`context`) and to an Action (`event`), filled for the client credentials grant. Members
 * that this grant cannot have are there and empty where rules reach through them, and absent otherwise. Pure.
 */
import type { Standing } from './effects.ts'
import type { RuleRequest } from './rule.ts'

type Members = Readonly<Record<string, unknown>>

/** @param before what an earlier Rule made of its context: they hand it on */
export function contextOf(request: RuleRequest, { scopes, claims }: Standing, before?: Members): Members {
  const accessToken = { ...claims, scope: scopes }
  if (before !== undefined) return { ...before, accessToken }
  const { client, audience, parameters, address, userAgent, tenant } = request
  return {
    clientID: client.oauthClientId,
    clientName: client.name,
    clientMetadata: client.metadata,
    tenant,
    audience,
    protocol: 'oauth2-client-credentials',
    stats: { loginsCount: 0 },
    sso: { with_auth0: false, with_dbconn: false, current_clients: [] },
    authorization: { roles: [] },
    samlConfiguration: {},
    idToken: {},
    accessToken,
    request: {
      ip: address,
      userAgent,
      hostname: tenant,
      query: {},
      body: parameters,
      geoip: {},
    },
  }
}

export function eventOf(request: RuleRequest, { scopes, claims }: Standing): Members {
  const { client, audience, parameters, address, userAgent, tenant } = request
  return {
    accessToken: { customClaims: claims, scope: scopes },
    client: { client_id: client.oauthClientId, name: client.name, metadata: client.metadata },
    request: {
      body: parameters,
      geoip: {},
      hostname: tenant,
      ip: address,
      method: 'POST',
      user_agent: userAgent,
    },
    resource_server: { identifier: audience },
    secrets: {},
    tenant: { id: tenant },
    transaction: {
      requested_scopes: parameters.scope?.split(' ').filter((one) => one !== '') ?? [],
      target_scopes: scopes,
    },
  }
}
