/** What kinds of things the registry lists, where, and which members tell one from another. */
import type { Kind } from '../call.ts'

export const kinds = {
  device: { noun: 'device', path: '/v1/devices', member: 'devices', id: 'deviceId', searches: true },
  lot: { noun: 'lot', path: '/v1/lots', member: 'lots', id: 'lotId' },
  client: { noun: 'client', path: '/v1/clients', member: 'clients', id: 'oauthClientId' },
  api: { noun: 'API', path: '/v1/apis', member: 'apis', id: 'audience' },
  enrolKey: { noun: 'enrolment key', path: '/v1/enrol-keys', member: 'enrolKeys', id: 'enrolKeyId' },
  enrolment: { noun: 'enrolment', path: '/v1/enrolments', member: 'enrolments', id: 'enrolmentId' },
} as const satisfies Record<string, Kind>

export const columnsOf = {
  device: ['deviceId', 'name', 'state', 'tags', 'registeredAtMs'],
  lot: ['lotId', 'name', 'zone', 'openingHours', 'latitude', 'longitude', 'capacity'],
  client: ['oauthClientId', 'name', 'kind', 'grantTypes', 'authMethods'],
  api: ['audience', 'name', 'alg', 'dialect', 'tokenLifeSec', 'builtIn'],
  grant: ['oauthClientId', 'audience', 'scopes'],
  enrolKey: ['enrolKeyId', 'name', 'lotId', 'uses', 'usesMax', 'approval', 'expiresAtMs', 'revokedAtMs'],
  enrolment: ['enrolmentId', 'deviceId', 'state', 'fingerprint', 'createdAtMs'],
  alarm: ['alarmId', 'kind', 'subject', 'atMs', 'acknowledgedAtMs', 'detail'],
  command: ['commandId', 'deviceId', 'name', 'state', 'createdAtMs', 'expiresAtMs', 'reply'],
  connectionDecision: ['atMs', 'outcome', 'code', 'reason', 'remoteAddress'],
  key: ['kid', 'alg', 'createdAtMs', 'signsFromMs', 'signsUntilMs', 'publishedUntilMs'],
  rule: ['name', 'shape', 'state', 'runs', 'denials', 'failures', 'fault'],
  audit: ['auditId', 'atMs', 'actor', 'verb', 'subject'],
  decision: ['decisionId', 'atMs', 'outcome', 'oauthClientId', 'error', 'address'],
} as const
