/**
 * How a reading lies in the outbox: a check sum, how many were thinned away before it, and its JSON. LevelDB reads
 * blocks without checking them, and a flipped bit in a number is a number still.
 */
import { crc32 } from 'node:zlib'
import type { OutboxRecord } from './outbox-record.ts'

export const everyReading = { gte: 'r/', lt: 'r0' } as const
export const readingKey = (seq: number) => `r/${seq.toString(16).padStart(14, '0')}`
const keyShape = /^r\/[0-9a-f]{14}$/
const valueShape = /^([0-9a-f]{8})(\d*)(\{.*\})$/

/** @returns undefined for what is not a reading's key */
export function seqOfKey(key: string): number | undefined {
  return keyShape.test(key) ? Number.parseInt(key.slice(2), 16) : undefined
}

export function encodeRecord({ seq, json, thinnedBefore }: OutboxRecord): { key: string; value: string } {
  const key = readingKey(seq)
  const body = `${thinnedBefore ?? ''}${json}`
  return { key, value: `${sumOf(key, body)}${body}` }
}

/** @returns undefined for what is not as it was written */
export function decodeRecord(key: string, value: string): OutboxRecord | undefined {
  const seq = seqOfKey(key)
  const [, sum, thinned = '', json] = valueShape.exec(value) ?? []
  if (seq === undefined || json === undefined || sumOf(key, thinned + json) !== sum) return undefined
  return { seq, json, ...(thinned === '' ? {} : { thinnedBefore: Number(thinned) }) }
}

/** Whatever else is kept, with a check sum before it. */
export function encodeNote(key: string, note: unknown): string {
  const body = JSON.stringify(note)
  return `${sumOf(key, body)}${body}`
}

/** @returns undefined for what is not as it was written */
export function decodeNote(key: string, value: string): unknown {
  const body = value.slice(8)
  return sumOf(key, body) === value.slice(0, 8) ? JSON.parse(body) : undefined
}

/** The key is part of it: a reading in another's place is none. */
function sumOf(key: string, body: string): string {
  return crc32(body, crc32(key)).toString(16).padStart(8, '0')
}
