import { describe, expect, it } from 'vitest'
import { lotsOf } from '../../../console/server/provider.ts'

const lotsClaim = 'lotwatch_lots'
const of = (value: unknown) => lotsOf({ [lotsClaim]: value }, { lotsClaim })

describe('the lots that a provider limits somebody to', () => {
  it('are a list, or one', () => {
    expect(of(['north', 'south'])).toEqual(['north', 'south'])
    expect(of('north')).toEqual(['north'])
  })

  it('are all of them where it says nothing', () => {
    expect(lotsOf({}, { lotsClaim })).toBeUndefined()
  })

  it.each([[[]], [''], [null], [['north', 3]], [['*']], [{ north: true }]])(
    'let nobody in where they are none that there can be: %j',
    (claim) => {
      expect(() => of(claim)).toThrow(expect.objectContaining({ code: 'sign_in.refused' }))
    },
  )
})
