/**
 * What the console passes on, and for whom: a table of requests with the least role that may make them. What is not in
 * the table is not passed on, to nobody. Pure.
 */
import { type Role, roles } from '../roles.ts'

export const programs = ['provisioning', 'broker', 'ingest'] as const
export type ProgramName = (typeof programs)[number]

type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
type Row = readonly [Role, Method, string]

/** `{…}` stands for one segment. */
export const allowed: Readonly<Record<ProgramName, readonly Row[]>> = {
  ingest: [
    ['analyst', 'GET', '/readyz'],
    ['operator', 'GET', '/metrics'],
    ['analyst', 'GET', '/v1/lots'],
    ['analyst', 'GET', '/v1/latest'],
    ['analyst', 'GET', '/v1/series'],
    ['analyst', 'GET', '/v1/readings'],
    ['analyst', 'GET', '/v1/completeness'],
    ['analyst', 'GET', '/v1/profile'],
    ['analyst', 'GET', '/v1/devices'],
    ['analyst', 'GET', '/v1/devices/health'],
    ['analyst', 'GET', '/v1/quarantine'],
    ['operator', 'POST', '/v1/quarantine/release'],
    ['analyst', 'GET', '/v1/live'],
    ['analyst', 'POST', '/v1/sql'],
    ['analyst', 'GET', '/v1/exports'],
    ['analyst', 'POST', '/v1/exports'],
    ['analyst', 'GET', '/v1/exports/{id}'],
    ['analyst', 'DELETE', '/v1/exports/{id}'],
    ['analyst', 'GET', '/v1/exports/{id}/file'],
    ['operator', 'GET', '/v1/backups'],
    ['operator', 'POST', '/v1/backups'],
  ],
  broker: [
    ['operator', 'GET', '/metrics'],
    ['operator', 'GET', '/v1/connections'],
    ['operator', 'DELETE', '/v1/connections/{deviceId}'],
    ['operator', 'GET', '/v1/decisions'],
  ],
  provisioning: [
    ['operator', 'GET', '/v1/status'],
    ['operator', 'GET', '/v1/lots'],
    ['operator', 'GET', '/v1/lots/{lotId}'],
    ['operator', 'PUT', '/v1/lots/{lotId}'],
    ['operator', 'GET', '/v1/devices'],
    ['operator', 'POST', '/v1/devices'],
    ['operator', 'POST', '/v1/devices/import'],
    ['operator', 'GET', '/v1/devices/{deviceId}'],
    ['operator', 'PATCH', '/v1/devices/{deviceId}'],
    ['operator', 'POST', '/v1/devices/{deviceId}/assignments'],
    ['operator', 'POST', '/v1/devices/{deviceId}/suspend'],
    ['operator', 'POST', '/v1/devices/{deviceId}/resume'],
    ['operator', 'POST', '/v1/devices/{deviceId}/retire'],
    ['operator', 'POST', '/v1/devices/{deviceId}/rotate'],
    ['operator', 'POST', '/v1/devices/{deviceId}/credentials'],
    ['operator', 'DELETE', '/v1/devices/{deviceId}/credentials/{credentialId}'],
    ['operator', 'POST', '/v1/devices/{deviceId}/enrol-window'],
    ['operator', 'DELETE', '/v1/devices/{deviceId}/enrol-window'],
    ['operator', 'GET', '/v1/devices/{deviceId}/config'],
    ['operator', 'PUT', '/v1/devices/{deviceId}/config'],
    ['operator', 'GET', '/v1/devices/{deviceId}/commands'],
    ['operator', 'POST', '/v1/devices/{deviceId}/commands'],
    ['operator', 'GET', '/v1/commands/{commandId}'],
    ['operator', 'GET', '/v1/enrol-keys'],
    ['operator', 'POST', '/v1/enrol-keys'],
    ['operator', 'GET', '/v1/enrol-keys/{enrolKeyId}'],
    ['operator', 'DELETE', '/v1/enrol-keys/{enrolKeyId}'],
    ['operator', 'GET', '/v1/enrolments'],
    ['operator', 'POST', '/v1/enrolments/{enrolmentId}/approve'],
    ['operator', 'POST', '/v1/enrolments/{enrolmentId}/reject'],
    ['operator', 'GET', '/v1/alarms'],
    ['operator', 'POST', '/v1/alarms/{alarmId}/acknowledge'],
    ['operator', 'GET', '/v1/audit'],
    ['operator', 'GET', '/v1/decisions'],
    ['operator', 'GET', '/v1/decisions/{decisionId}'],
    ['operator', 'POST', '/v1/explain'],
    ['admin', 'GET', '/v1/apis'],
    ['admin', 'GET', '/v1/apis/{audience}'],
    ['admin', 'PUT', '/v1/apis/{audience}'],
    ['admin', 'DELETE', '/v1/apis/{audience}'],
    ['admin', 'GET', '/v1/clients'],
    ['admin', 'POST', '/v1/clients'],
    ['admin', 'GET', '/v1/clients/{oauthClientId}'],
    ['admin', 'PATCH', '/v1/clients/{oauthClientId}'],
    ['admin', 'DELETE', '/v1/clients/{oauthClientId}'],
    ['admin', 'POST', '/v1/clients/{oauthClientId}/credentials'],
    ['admin', 'DELETE', '/v1/clients/{oauthClientId}/credentials/{credentialId}'],
    ['admin', 'PUT', '/v1/clients/{oauthClientId}/grants/{audience}'],
    ['admin', 'DELETE', '/v1/clients/{oauthClientId}/grants/{audience}'],
    ['admin', 'POST', '/v1/clients/{oauthClientId}/rotate'],
    ['admin', 'GET', '/v1/rules'],
    ['admin', 'GET', '/v1/rules/{name}'],
    ['admin', 'POST', '/v1/rules/test'],
    ['admin', 'GET', '/v1/keys'],
    ['admin', 'POST', '/v1/keys/rotate'],
    ['admin', 'POST', '/v1/tokens/revoke'],
  ],
}

export type Passage = 'yes' | 'role' | 'unknown'

/**
 * @param path as it came, percent-encoded, without its query
 * @returns `role`: somebody may, but not they
 */
export function passageOf(
  role: Role,
  { program, method, path }: { program: ProgramName; method: string; path: string },
): Passage {
  const least = allowed[program].find(([, verb, pattern]) => verb === method && fits(pattern, path))?.[0]
  if (least === undefined) return 'unknown'
  return roles.indexOf(role) >= roles.indexOf(least) ? 'yes' : 'role'
}

/** Segment by segment. One that a URL would read as a step upwards fits nothing, however it is written. */
function fits(pattern: string, path: string): boolean {
  const wanted = pattern.split('/')
  const found = path.split('/')
  if (wanted.length !== found.length) return false
  return found.every((segment, i) => {
    if (!wanted[i]?.startsWith('{')) return segment === wanted[i]
    return segment !== '' && !segment.includes('\\') && !/^(?:\.|%2e){1,2}$/i.test(segment)
  })
}
