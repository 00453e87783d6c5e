import { describe, expect, it } from 'vitest'
import { enrolmentLink, enrolmentSheet } from '../../../cli/sheets.ts'

const key = 'lotenr_abc'

describe('a sheet of enrolment keys', () => {
  it('has a card with a QR code for each, and needs nothing from elsewhere', () => {
    const link = enrolmentLink('https://lots.example/', key)
    const page = enrolmentSheet(
      [1, 2].map((n) => ({ title: `gate-${n}`, key, link, uses: 1 })),
      'UTC',
    )
    expect(page.match(/<article>/g)).toHaveLength(2)
    expect(page.match(/<svg/g)).toHaveLength(2)
    expect(page).toContain('gate-2')
    expect(page).not.toMatch(/(src|href)=/)
  })

  it('shows a name as text, whatever it is', () => {
    const page = enrolmentSheet([{ title: '<script>alert(1)</script>', key, link: 'x' }], 'UTC')
    expect(page).not.toContain('<script>')
  })

  it('has the key where a browser does not send it', () => {
    expect(new URL(enrolmentLink('https://lots.example', key))).toMatchObject({ hash: `#${key}`, search: '' })
  })
})
