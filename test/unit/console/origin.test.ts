import { describe, expect, it } from 'vitest'
import { isForeign, type Origins } from '../../../console/server/origin.ts'

const own: Origins = {
  method: 'POST',
  fetchSite: 'same-origin',
  origin: 'http://lots.example:8080',
  host: 'lots.example:8080',
  pageHeader: '1',
  publicUrl: undefined,
}

describe('a request of a page of ours', () => {
  it.each<[string, Partial<Origins>]>([
    ['with all that a browser says', {}],
    ['from a browser that says less', { fetchSite: undefined }],
    ['from a script without an origin', { fetchSite: undefined, origin: undefined }],
    ['behind a proxy that changes the host', { host: '10.0.0.1', publicUrl: 'http://lots.example:8080' }],
    ['that only reads', { method: 'GET', origin: undefined, pageHeader: undefined }],
    ['that a person has typed', { method: 'GET', fetchSite: 'none', pageHeader: undefined }],
  ])('is let in %s', (_, more) => expect(isForeign({ ...own, ...more })).toBe(false))

  it.each<[string, Partial<Origins>]>([
    ['another site', { fetchSite: 'cross-site' }],
    ['a neighbour on the same site', { fetchSite: 'same-site' }],
    ['another site that only reads', { method: 'GET', fetchSite: 'cross-site' }],
    ['a form, which has no headers of its own', { pageHeader: undefined }],
    ['another origin in a browser that says less', { fetchSite: undefined, origin: 'http://evil.example' }],
    ['a page without an origin', { fetchSite: undefined, origin: 'null' }],
    ['another port', { fetchSite: undefined, origin: 'http://lots.example:8081' }],
  ])('is not one of %s', (_, more) => expect(isForeign({ ...own, ...more })).toBe(true))
})
