import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FleetError } from '../../../../core/contract/errors.ts'
import { createLog, type Log, type LogLevel, redact } from '../../../../core/runtime/log.ts'

const token = 'eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJnYXRlLTEifQ.c2lnbmF0dXJlLW9mLXRoZS10b2tlbg'
const secret = `lotsec_${'aZ09_-x'.repeat(7).slice(0, 43)}_0123abcd`
/** No piece of either that would be of use. */
const telltales = ['hbGciOiJFUzI1NiJ9', 'eyJzdWIi', 'c2lnbmF0dXJl', 'aZ09_-xaZ09']

function openLog(level: LogLevel = 'debug'): {
  log: Log
  lines: string[]
  last: () => Record<string, unknown>
} {
  const lines: string[] = []
  const log = createLog({ program: 'broker', level, write: (line) => void lines.push(line) })
  return { log, lines, last: () => JSON.parse(lines.at(-1) ?? '') as Record<string, unknown> } // pino writes objects
}

describe('a line of the log', () => {
  it('is one event as JSON with its fields', () => {
    const { log, lines, last } = openLog()
    log.info('batch.stored', { readings: 500, tookMs: 12 })
    expect(lines).toHaveLength(1)
    expect(lines[0]).toMatch(/\n$/)
    expect(last()).toMatchObject({ level: 'info', program: 'broker', event: 'batch.stored', readings: 500 })
    expect(Date.parse(String(last().time))).not.toBeNaN()
  })

  it('has the fields of the part that wrote it', () => {
    const { log, last } = openLog()
    log.child({ deviceId: 'gate-1' }).warn('device.unreachable', { waitMs: 5 })
    expect(last()).toMatchObject({ level: 'warn', deviceId: 'gate-1', waitMs: 5 })
  })

  it('is left out below the level', () => {
    const { log, lines } = openLog('warn')
    log.info('batch.stored')
    log.debug('batch.stored')
    log.error('store.unavailable')
    expect(lines).toHaveLength(1)
  })

  it('tells an error with code, faults, stack and causes', () => {
    const { log, last } = openLog()
    const cause = Object.assign(new Error('connect failed'), { code: 'ECONNREFUSED' })
    log.error('store.unavailable', {
      error: new FleetError('store.unavailable', 'writing', { cause, faults: ['one'] }),
    })
    expect(last().error).toMatchObject({
      name: 'FleetError',
      code: 'store.unavailable',
      message: 'writing',
      faults: ['one'],
      stack: expect.stringContaining('log.test.ts'),
      cause: { message: 'connect failed', code: 'ECONNREFUSED' },
    })
  })

  it('is written whatever is thrown', () => {
    const { log, lines, last } = openLog()
    const ring = new Error('round')
    ring.cause = ring
    const circle: Record<string, unknown> = {}
    circle.self = circle
    for (const error of [ring, 'text', undefined, null, 7, { code: 'x' }])
      log.error('program.failed', { error })
    log.info('odd', { circle, big: 2n ** 70n, hole: undefined })
    expect(lines).toHaveLength(7)
    expect(last()).toMatchObject({ event: 'odd' })
  })
})

describe('a token or a secret', () => {
  const wrappings = fc.constantFrom<((value: unknown) => unknown)[]>(
    (value) => ({ member: value }),
    (value) => [1, value],
    (value) => `before ${textOf(value)} after`,
    (value) => `https://x.example/?token=${textOf(value)}&b=1`,
    (value) => new Error(`failed with ${textOf(value)}`),
    (value) => new Error('failed', { cause: value }),
    (value) => new FleetError('token.malformed', 'x', { cause: value, faults: [textOf(value)] }),
    (value) => JSON.stringify({ value: textOf(value) }),
    (value) => ({ [textOf(value)]: 1 }),
  )
  const textOf = (value: unknown) =>
    value instanceof Error ? String(value.stack) : (JSON.stringify(value) ?? '')

  it('survives in no field, key, message, stack or cause, however it is wrapped', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(token, secret),
        fc.array(wrappings, { maxLength: 4 }),
        fc.constantFrom('error', 'detail', 'event'),
        fc.boolean(),
        (value, wraps, field, inChild) => {
          const { log, lines } = openLog()
          const wrapped = wraps.reduce<unknown>((inner, wrap) => wrap(inner), value)
          if (inChild) log.child({ [field]: wrapped }).info('x')
          else log.info('x', { [field]: wrapped })
          log.warn(textOf(wrapped))
          expect(lines).toHaveLength(2)
          for (const part of telltales) expect(lines.join('')).not.toContain(part)
        },
      ),
      { numRuns: 500 },
    )
  })

  it.each(['password', 'client_secret', 'client_assertion', 'access_token', 'authorization', 'token'])(
    'is left out where a member says so, whatever its shape: %s',
    (member) => {
      const { log, lines } = openLog()
      const hidden = { [member]: 'opaque-to-any-pattern' }
      log.info('x', hidden)
      log.info('x', { request: hidden })
      log.info('x', { request: { headers: hidden } })
      log.info('x', { request: { [member]: { nested: 'opaque-to-any-pattern' } } })
      log.child(hidden).info('x')
      expect(lines).toHaveLength(5)
      expect(lines.join('')).not.toContain('opaque-to-any-pattern')
    },
  )

  it('is left out of the value of an Authorization header, where no shape shows', () => {
    const basic = Buffer.from(`broker:${secret}`).toString('base64')
    const { log, lines } = openLog()
    log.error('x', { error: new Error(`sent authorization: Basic ${basic}`) })
    log.error('x', { line: 'bearer 9f0c3a77d1e2b4650000' })
    expect(lines.join('')).not.toContain(basic)
    expect(lines.join('')).not.toContain('9f0c3a77d1e2b465')
  })

  it('does not take what stands around it along', () => {
    expect(redact(`a ${token} b ${secret}; c`)).toBe('a [token] b [secret]; c')
    expect(redact(`key=${secret.replace('lotsec', 'lotenr')}`)).toBe('key=[secret]')
    expect(redact('the Bearer scheme and Basic authentication')).toBe(
      'the Bearer scheme and Basic authentication',
    )
  })
})
