import { describe, expect, it } from 'vitest'
import { etagOf, requireMatch } from '../../../../provisioning/registry/changes.ts'

const thing = { name: 'a', capacities: [1] }
const by = (ifMatch: string | undefined) => ({ actor: 'operator', ifMatch })
const stale = expect.objectContaining({ code: 'request.precondition' })

describe('what somebody saw before', () => {
  it('has a strong entity tag that changes with it', () => {
    expect(etagOf(thing)).toMatch(/^"[\w-]{22}"$/)
    expect(etagOf({ ...thing })).toBe(etagOf(thing))
    expect(etagOf({ ...thing, name: 'b' })).not.toBe(etagOf(thing))
  })

  it('is no condition unless it is sent', () => {
    requireMatch(by(undefined), thing)
    requireMatch(by(undefined), undefined)
  })

  it('is met by its tag, alone or among others, and by any when any will do', () => {
    requireMatch(by(etagOf(thing)), thing)
    requireMatch(by(`"other", ${etagOf(thing)}`), thing)
    requireMatch(by('*'), thing)
  })

  it.each(['"other"', '', 'W/"weak"', etagOf(thing).replaceAll('"', '')])('is not met by %j', (ifMatch) => {
    expect(() => requireMatch(by(ifMatch), thing)).toThrow(stale)
  })

  it('may be required not to be there', () => {
    const ifNew = { actor: 'operator', ifNoneMatch: '*' }
    requireMatch(ifNew, undefined)
    expect(() => requireMatch(ifNew, thing)).toThrow(stale)
    requireMatch({ ...ifNew, ifNoneMatch: '"other"' }, thing)
    expect(() => requireMatch({ ...ifNew, ifNoneMatch: etagOf(thing) }, thing)).toThrow(stale)
  })

  it('is not met by what is not there', () => {
    expect(() => requireMatch(by('*'), undefined)).toThrow(stale)
    expect(() => requireMatch(by(etagOf(thing)), undefined)).toThrow(stale)
  })
})
