import { describe, expect, it } from 'vitest'
import { isZone } from '../../../../core/contract/zone.ts'

describe('the name of a time zone', () => {
  it.each(['UTC', 'Europe/London', 'Asia/Kathmandu', 'America/Argentina/Buenos_Aires'])('is %s', (name) => {
    expect(isZone(name)).toBe(true)
  })

  it.each(['Mars/X', 'Europe/Londno', '+02:00', '', ' UTC'])('is not %j', (name) => {
    expect(isZone(name)).toBe(false)
  })
})
