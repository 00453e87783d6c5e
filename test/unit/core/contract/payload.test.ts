import fc from 'fast-check'
import { Type } from 'typebox'
import { Value } from 'typebox/value'
import { describe, expect, it } from 'vitest'
import {
  parseReadingsMessage,
  payloadBytesMax,
  payloadReadingsMax,
  ReadingsMessage,
} from '../../../../core/contract/payload.ts'

const epoch = '9f0c3a77d1e2b465'
const reading = { seq: 1, timestampMs: 1_763_906_700_000, occupied: 412 }
const good = { v: 1, epoch, readings: [reading] }
const parse = (value: unknown) => parseReadingsMessage(JSON.stringify(value))

/** The schema of the frame around readings: what is in them is judged one by one. */
const Envelope = Type.Object(
  { ...ReadingsMessage.properties, readings: Type.Array(Type.Unknown(), { maxItems: payloadReadingsMax }) },
  { additionalProperties: false },
)

const epochs = fc.oneof(fc.constant(epoch), fc.constantFrom('', 'x', epoch.toUpperCase(), 7, null))
const seqs = fc.oneof(fc.nat(5), fc.constantFrom(-1, 0.5, 2 ** 53, '1', null))
const dropped = fc.record(
  {
    fromSeq: seqs,
    toSeq: seqs,
    reason: fc.constantFrom('outbox_full', 'Full', '', 3),
    extra: fc.constant(1),
  },
  { requiredKeys: [] },
)
const nearMessages = fc.record(
  {
    v: fc.constantFrom(1, 1, 1, 2, '1'),
    epoch: epochs,
    readings: fc.oneof(fc.array(fc.jsonValue(), { maxLength: 3 }), fc.constantFrom({}, null)),
    dropped: fc.oneof(
      fc.array(
        fc.oneof(dropped, fc.record({ fromSeq: fc.nat(5), toSeq: fc.nat(5), reason: fc.constant('x') })),
        {
          maxLength: 2,
        },
      ),
      fc.constant({}),
    ),
    previous: fc.oneof(
      fc.record(
        { epoch: epochs, lastSeq: seqs, extra: fc.constant(1) },
        { requiredKeys: ['epoch', 'lastSeq'] },
      ),
      fc.record({ epoch: fc.constant(epoch), lastSeq: fc.nat() }),
    ),
    extra: fc.constant(1),
  },
  { requiredKeys: ['v', 'readings'] },
)

/** What no schema says: ranges run upwards, and what counts within an epoch needs one. */
function isConsistent(message: ReadingsMessage): boolean {
  const refersToEpoch = message.dropped !== undefined || message.previous !== undefined
  const areRanges = (message.dropped ?? []).every((range) => range.fromSeq <= range.toSeq)
  return areRanges && (message.epoch !== undefined || !refersToEpoch)
}

describe('the envelope of a readings message', () => {
  it('is read if and only if it fits its schema and does not contradict itself', () => {
    fc.assert(
      fc.property(fc.oneof(nearMessages, fc.jsonValue()), (value) => {
        const plain: unknown = JSON.parse(JSON.stringify(value))
        const expected = Value.Check(Envelope, plain) && isConsistent(plain as ReadingsMessage) // checked
        expect(typeof parse(value) === 'object').toBe(expected)
      }),
      { numRuns: 2000 },
    )
  })

  it('brings its members out', () => {
    const message = {
      ...good,
      dropped: [{ fromSeq: 2, toSeq: 2, reason: 'outbox_full' }],
      previous: { epoch: '00aa11bb22cc33dd', lastSeq: 40211 },
    }
    expect(parse(message)).toEqual({
      epoch,
      readings: [reading],
      dropped: message.dropped,
      previous: message.previous,
    })
  })

  it('does without epoch, losses and history', () => {
    expect(parse({ v: 1, readings: [] })).toEqual({
      epoch: undefined,
      readings: [],
      dropped: [],
      previous: undefined,
    })
  })

  it('leaves bad readings to be judged beside their good neighbours', () => {
    const readings = [reading, null, { occupied: -1 }, [[]], 'x']
    expect(parse({ ...good, readings })).toMatchObject({ readings })
  })

  it('holds as many readings as are allowed, and not one more', () => {
    const fill = (length: number) => ({ ...good, readings: Array.from({ length }, () => reading) })
    expect(parse(fill(payloadReadingsMax))).toMatchObject({ epoch })
    expect(parse(fill(payloadReadingsMax + 1))).toBe('payload.invalid')
  })

  it('takes the last of members given twice, as JSON does', () => {
    const text = `{"v":2,"v":1,"readings":[1],"readings":[2]}`
    expect(parseReadingsMessage(text)).toMatchObject({ readings: [2] })
  })
})

describe('a whole message is set aside', () => {
  it.each([
    '',
    'NaN',
    '{',
    '{"v":1,"readings":[NaN]}',
    '{"v":1,"readings":[Infinity]}',
    "{'v':1}",
    '\u0000',
    '\ufeff{}',
  ])('when it is not JSON: %j', (text) => {
    expect(parseReadingsMessage(text)).toBe('payload.unparsable')
  })

  it.each(['null', '[]', '1', '"x"', '{}', '{"v":1}', '{"v":1,"readings":{"length":0}}'])(
    'when it is no envelope: %s',
    (text) => {
      expect(parseReadingsMessage(text)).toBe('payload.invalid')
    },
  )

  it.each(['__proto__', 'constructor', 'deviceId', 'lotId', 'Readings'])(
    'when it has a member %s',
    (member) => {
      expect(parseReadingsMessage(`{"v":1,"readings":[],"${member}":{}}`)).toBe('payload.invalid')
    },
  )

  it.each([
    ['losses run backwards', { dropped: [{ fromSeq: 3, toSeq: 2, reason: 'outbox_full' }] }],
    ['losses are told without an epoch', { epoch: undefined, dropped: [] }],
    ['history is told without an epoch', { epoch: undefined, previous: { epoch, lastSeq: 1 } }],
    ['the reason of a loss is prose', { dropped: [{ fromSeq: 1, toSeq: 2, reason: 'The outbox was full' }] }],
  ])('when %s', (_what, change) => {
    expect(parse({ ...good, ...change })).toBe('payload.invalid')
  })

  it('when it is nested as deeply as its bytes allow, without harm', () => {
    const depth = payloadBytesMax / 2
    expect(parseReadingsMessage('['.repeat(depth) + ']'.repeat(depth))).toBe('payload.invalid')
    expect(parseReadingsMessage('['.repeat(payloadBytesMax))).toBe('payload.unparsable')
  })

  it('never fails in another way, whatever the text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(['string', 'object']).toContain(typeof parseReadingsMessage(text))
      }),
    )
  })
})
