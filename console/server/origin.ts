/** Whether a request comes from a page of ours: what a browser says of itself, and a header that no form can send. Pure. */

export interface Origins {
  readonly method: string
  /** `Sec-Fetch-Site`; undefined in browsers that have none, and outside of browsers. */
  readonly fetchSite: string | undefined
  readonly origin: string | undefined
  readonly host: string | undefined
  /** The value of the header that our pages send. */
  readonly pageHeader: string | undefined
  /** As browsers reach us, when it is set. */
  readonly publicUrl: string | undefined
}

export function isForeign({ method, fetchSite, origin, host, pageHeader, publicUrl }: Origins): boolean {
  if (fetchSite !== undefined && fetchSite !== 'same-origin' && fetchSite !== 'none') return true
  if (method === 'GET' || method === 'HEAD') return false
  if (pageHeader === undefined) return true
  if (origin === undefined) return false
  return origin !== publicUrl && !(URL.canParse(origin) && new URL(origin).host === host)
}
