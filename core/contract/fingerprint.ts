/** A key's fingerprint, as the board shows it and as the operator sees it. */

/** A thumbprint (RFC 7638) in groups of four, for people to compare. */
export function fingerprintOf(thumbprint: string): string {
  return (thumbprint.match(/.{1,4}/g) ?? []).join(' ')
}
