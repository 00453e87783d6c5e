/** The part of a file that a request asks for (RFC 9110 §14): one range of bytes; anything else is answered with the whole. Pure. */

/** Both ends inclusive. */
export interface ByteRange {
  readonly start: number
  readonly end: number
}

/** @returns undefined: all of it; `unsatisfiable`: there is nothing there */
export function byteRangeOf(
  header: string | undefined,
  size: number,
): ByteRange | 'unsatisfiable' | undefined {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header ?? '')
  const [, from = '', to = ''] = match ?? []
  if (match === null || (from === '' && to === '')) return undefined
  if (from === '') {
    const length = Math.min(size, Number(to))
    return length === 0 ? 'unsatisfiable' : { start: size - length, end: size - 1 }
  }
  const start = Number(from)
  if (to !== '' && Number(to) < start) return undefined
  if (start >= size) return 'unsatisfiable'
  return { start, end: to === '' ? size - 1 : Math.min(size - 1, Number(to)) }
}
