import { describe, expect, it } from 'vitest'
import type { LotId } from '../../../../core/contract/device.ts'
import { actorOf, narrowed } from '../../../../core/contract/on-behalf.ts'
import type { Principal } from '../../../../core/contract/principal.ts'

const principal = (...lots: string[]) =>
  ({ oauthClientId: 'console', lots: lots.length === 0 ? undefined : new Set(lots as LotId[]) }) as Principal // what is read of it

describe('a client that acts for somebody', () => {
  it('is narrowed to their lots', () => {
    expect(narrowed(principal(), 'north,south').lots).toEqual(new Set(['north', 'south']))
  })

  it('sees no lot by it that its token does not allow', () => {
    expect(narrowed(principal('north'), 'north,south').lots).toEqual(new Set(['north']))
    expect(narrowed(principal('north'), 'south').lots).toEqual(new Set())
  })

  it('keeps what its token allows when it names none', () => {
    expect(narrowed(principal('north'), undefined).lots).toEqual(new Set(['north']))
    expect(narrowed(principal(), undefined).lots).toBeUndefined()
  })

  it.each(['', ',', 'north,', 'no such lot', '*', '../north'])(
    'gets nothing by a list that is none: “%s”',
    (header) => {
      expect(() => narrowed(principal(), header)).toThrow(
        expect.objectContaining({ code: 'request.invalid' }),
      )
    },
  )

  it('stands in logs with their name behind its own, and never instead of it', () => {
    expect(actorOf('console', 'maria')).toBe('console/maria')
    for (const name of [undefined, '', '/admin', 'a b', 'x'.repeat(65)])
      expect(actorOf('console', name)).toBe('console')
  })
})
