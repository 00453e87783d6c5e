import fc from 'fast-check'
import { Value } from 'typebox/value'
import { describe, expect, it } from 'vitest'
import {
  countMax,
  futureMsMax,
  Reading,
  type ReadingFault,
  readingFault,
  timestampMsMin,
} from '../../../../core/contract/reading.ts'

const receivedAtMs = 1_763_906_700_000
const good = { seq: 7, timestampMs: receivedAtMs, occupied: 412 }

/** A value as it would have come from JSON. */
const fromJson = (text: string): unknown => JSON.parse(text)

const counts = fc.oneof(
  fc.integer({ min: -2, max: 1000 }),
  fc.constantFrom(countMax, countMax + 1, Number.MAX_SAFE_INTEGER, 2 ** 53, 1e300, -0, 0.5, -1.5),
  fc.constantFrom(null, true, '1', 'NaN', [], {}),
)
/** Mostly right, so that the two are compared on both sides of every border. */
const nearReadings = fc
  .record(
    {
      seq: counts,
      timestampMs: fc.oneof(
        fc.integer({ min: receivedAtMs - 1000, max: receivedAtMs + 1000 }),
        fc.constantFrom(timestampMsMin, timestampMsMin - 1, receivedAtMs + 2 * futureMsMax, -1, 0.5, 1e300),
        counts,
      ),
      occupied: counts,
      capacity: counts,
      entriesTotal: counts,
      exitsTotal: counts,
      clock: fc.constantFrom('synced', 'unsynced', 'Synced', null, 1),
      sensor: fc.constantFrom('ok', 'silent', 'stuck', '', null),
      extra: fc.constant(1),
    },
    { requiredKeys: [] },
  )
  .map((value) => fromJson(JSON.stringify(value)))

describe('what a reading is', () => {
  it('is the same by the rules and by the schema, for any JSON value', () => {
    fc.assert(
      fc.property(fc.oneof(nearReadings, fc.jsonValue()), (value) => {
        const fault = readingFault(value, receivedAtMs)
        const isReading = fault === undefined || fault === 'reading.ancient' || fault === 'reading.future'
        expect(isReading).toBe(Value.Check(Reading, value))
      }),
      { numRuns: 2000 },
    )
  })

  it('is the same for good readings with any of their optional members', () => {
    const readings = fc.record(
      {
        seq: fc.maxSafeNat(),
        timestampMs: fc.integer({ min: timestampMsMin, max: receivedAtMs + futureMsMax }),
        occupied: fc.option(fc.integer({ min: 0, max: countMax })),
        capacity: fc.integer({ min: 0, max: countMax }),
        entriesTotal: fc.maxSafeNat(),
        exitsTotal: fc.maxSafeNat(),
        clock: fc.constantFrom('synced', 'unsynced'),
        sensor: fc.constantFrom('ok', 'silent', 'stuck'),
      },
      { requiredKeys: ['timestampMs', 'occupied'] },
    )
    fc.assert(
      fc.property(readings, (reading) => {
        expect(readingFault(reading, receivedAtMs)).toBeUndefined()
        expect(Value.Check(Reading, reading)).toBe(true)
      }),
    )
  })
})

describe('a reading is set aside', () => {
  const examples: readonly [ReadingFault, string, object][] = [
    ['reading.type', 'a count is text', { occupied: '412' }],
    ['reading.type', 'a count is a list', { occupied: [412] }],
    ['reading.type', 'an optional member is null', { capacity: null }],
    ['reading.type', 'the clock is in an unknown state', { clock: 'wrong' }],
    ['reading.type', 'the sensor is in an unknown state', { sensor: 'tired' }],
    ['reading.type', 'a member is unknown', { lotId: 'elsewhere' }],
    ['reading.type', 'the stamp is text', { timestampMs: '2025-11-23T14:05:00Z' }],
    ['reading.negative', 'the count is negative', { occupied: -1 }],
    ['reading.negative', 'a sequence is negative', { seq: -1 }],
    ['reading.not_integer', 'the count is not whole', { occupied: 4.5 }],
    ['reading.not_integer', 'the stamp is not whole', { timestampMs: receivedAtMs + 0.5 }],
    ['reading.too_large', 'the count is beyond any lot', { occupied: countMax + 1 }],
    ['reading.too_large', 'a sequence is beyond what can be counted', { seq: 2 ** 53 }],
    ['reading.future', 'it is too far ahead', { timestampMs: receivedAtMs + futureMsMax + 1 }],
    ['reading.ancient', 'it is older than the system', { timestampMs: timestampMsMin - 1 }],
  ]
  it.each(examples)('as %s when %s', (fault, _why, change) => {
    expect(readingFault({ ...good, ...change }, receivedAtMs)).toBe(fault)
  })

  it.each(['timestampMs', 'occupied'])('when %s is missing', (member) => {
    expect(readingFault({ ...good, [member]: undefined }, receivedAtMs)).toBe('reading.type')
  })

  it.each(['null', '[]', '7', '"x"', 'true', '[{}]'])('when it is no object: %s', (text) => {
    expect(readingFault(fromJson(text), receivedAtMs)).toBe('reading.type')
  })

  it('when it brings members of its own for its prototype', () => {
    const text = `{"__proto__":{"occupied":1},"timestampMs":${receivedAtMs},"occupied":1}`
    expect(readingFault(fromJson(text), receivedAtMs)).toBe('reading.type')
    expect(readingFault(fromJson(text.replace('__proto__', 'constructor')), receivedAtMs)).toBe(
      'reading.type',
    )
  })

  it.each(['1e400', '-1e400'])('when a count overflows to %s', (count) => {
    const text = `{"timestampMs":${receivedAtMs},"occupied":${count}}`
    expect(readingFault(fromJson(text), receivedAtMs)).toBe('reading.type')
  })
})

describe('a reading is good', () => {
  it.each([
    ['when the sensor was silent', { occupied: null, sensor: 'silent' }],
    ['when the lot is empty', { occupied: 0 }],
    ['when it is as early as can be', { timestampMs: timestampMsMin }],
    ['when it is as far ahead as may be', { timestampMs: receivedAtMs + futureMsMax }],
    ['when it is above capacity, which is said and not refused', { occupied: 600, capacity: 577 }],
  ])('%s', (_when, change) => {
    expect(readingFault({ ...good, ...change }, receivedAtMs)).toBeUndefined()
  })
})
