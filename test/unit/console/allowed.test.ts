import { describe, expect, it } from 'vitest'
import { type Role, roles } from '../../../console/roles.ts'
import { allowed, type ProgramName, passageOf, programs } from '../../../console/server/allowed.ts'

const rows = programs.flatMap((program) => allowed[program].map((row) => [program, ...row] as const))
const concrete = (pattern: string) => pattern.replace(/\{\w+\}/g, 'some-1')

describe('what is passed on', () => {
  it.each(rows)('%s lets %s make %s %s, and nobody below', (program, least, method, pattern) => {
    for (const role of roles)
      expect(passageOf(role, { program, method, path: concrete(pattern) }), role).toBe(
        roles.indexOf(role) >= roles.indexOf(least) ? 'yes' : 'role',
      )
  })

  it('names each request once', () => {
    const names = rows.map(([program, , method, pattern]) => `${program} ${method} ${concrete(pattern)}`)
    expect(names).toEqual([...new Set(names)])
  })

  it('leaves analysts nothing that changes anything but what they ask ingest', () => {
    const theirs = rows.filter(([, least]) => least === 'analyst')
    expect(theirs.length).toBeGreaterThan(5)
    expect(theirs.filter(([program]) => program !== 'ingest')).toEqual([])
  })

  it.each<[ProgramName, string, string]>([
    ['provisioning', 'GET', '/v1/feed'],
    ['provisioning', 'POST', '/v1/presence'],
    ['provisioning', 'POST', '/v1/commands/c1/outcome'],
    ['provisioning', 'POST', '/oauth/token'],
    ['provisioning', 'POST', '/v1/enrol'],
    ['ingest', 'POST', '/v1/readings'],
  ])('is never what machines say to each other: %s %s %s', (program, method, path) => {
    for (const role of roles) expect(passageOf(role, { program, method, path })).toBe('unknown')
  })

  it.each([
    '/v1/devices/../clients',
    '/v1/devices/%2e%2e',
    '/v1/devices/.%2E',
    '/v1/devices/',
    '/v1//devices',
    '/v1/devices/a\\b',
    '/v1/devices/a/b/c/d',
    '/v1/devices?x=1',
    '/v1/devices/%2e',
    'v1/devices',
  ])('is no address that a URL would read as another: %s', (path) => {
    for (const role of roles as readonly Role[])
      expect(passageOf(role, { program: 'provisioning', method: 'GET', path })).toBe('unknown')
  })

  it('is an audience however it is written', () => {
    const path = '/v1/apis/https%3A%2F%2Fapi.example%2F'
    expect(passageOf('admin', { program: 'provisioning', method: 'GET', path })).toBe('yes')
  })
})
