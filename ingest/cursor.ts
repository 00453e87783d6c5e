/** Where a page ended, as an opaque text: an instant, and a text that tells apart what shares it. */
import { FleetError } from '../core/contract/errors.ts'

export function makeCursor(atMs: number, id: string): string {
  return Buffer.from(JSON.stringify([atMs, id])).toString('base64url')
}

/** @throws FleetError `request.invalid` */
export function parseCursor(cursor: string): { atMs: number; id: string } {
  try {
    const [atMs, id] = JSON.parse(Buffer.from(cursor, 'base64url').toString()) as [unknown, unknown] // checked next
    if (Number.isSafeInteger(atMs) && typeof id === 'string') return { atMs: atMs as number, id }
  } catch {
    // said below
  }
  const safeDetail = 'cursor: is not one of ours'
  throw new FleetError('request.invalid', safeDetail, { safeDetail })
}
