import { Type } from 'typebox'
import { describe, expect, it } from 'vitest'
import { FleetError } from '../../../../core/contract/errors.ts'
import { readDataDir, readSettings, type SettingsSource, settingName } from '../../../../core/runtime/env.ts'

const schema = Type.Object({
  issuerUrl: Type.String(),
  port: Type.Integer({ minimum: 0, maximum: 65535, default: 8083 }),
  batchAgeMs: Type.Number({ default: 5 }),
  insecure: Type.Boolean({ default: false }),
  allowedHosts: Type.Array(Type.String({ minLength: 1 }), { default: ['localhost'] }),
  kind: Type.Optional(Type.Union([Type.Literal('duckdb'), Type.Literal('influx')])),
  level: Type.Optional(Type.Enum(['low', 'high'])),
  pepper: Type.Optional(Type.String({ minLength: 16 })),
  rows: Type.Optional(Type.Array(Type.Object({ name: Type.String() }, { additionalProperties: false }))),
})
const required = { LOTWATCH_BROKER_ISSUER_URL: 'https://issuer.example' }

function read(env: Record<string, string>, file?: unknown, readFile?: SettingsSource['readFile']) {
  return readSettings(schema, {
    section: 'broker',
    prefix: 'LOTWATCH_BROKER',
    env,
    file,
    ...(readFile === undefined ? {} : { readFile }),
  })
}
function faultsOf(...args: Parameters<typeof read>): readonly string[] {
  try {
    read(...args)
  } catch (error) {
    if (error instanceof FleetError && error.code === 'config.invalid') return error.faults
    throw error
  }
  return []
}

describe('a list of rows', () => {
  it('is JSON in the environment, and a list in the file', () => {
    const rows = [{ name: 'a' }, { name: 'b' }]
    expect(read({ ...required, LOTWATCH_BROKER_ROWS: JSON.stringify(rows) }).rows).toEqual(rows)
    expect(read(required, { broker: { rows } }).rows).toEqual(rows)
  })

  it.each(['name: a', '{"name":"a"}', '[{"name":7}]', '[{"nmae":"a"}]'])('is not %s', (text) => {
    expect(faultsOf({ ...required, LOTWATCH_BROKER_ROWS: text })).toEqual([
      expect.stringContaining('LOTWATCH_BROKER_ROWS'),
    ])
  })
})

describe('a setting', () => {
  it('has its default when nobody says otherwise', () => {
    expect(read(required)).toEqual({
      issuerUrl: 'https://issuer.example',
      port: 8083,
      batchAgeMs: 5,
      insecure: false,
      allowedHosts: ['localhost'],
    })
  })

  it('comes from the file, and from the environment before the file', () => {
    const file = {
      broker: { issuerUrl: 'https://file.example', port: 1, insecure: true },
      ingest: { port: 2 },
    }
    expect(read({ LOTWATCH_BROKER_PORT: '3' }, file)).toMatchObject({
      issuerUrl: 'https://file.example',
      port: 3,
      insecure: true,
    })
  })

  it.each([
    ['batchAgeMs', 'LOTWATCH_BROKER_BATCH_AGE_MS'],
    ['port', 'LOTWATCH_BROKER_PORT'],
    ['mqttsPort', 'LOTWATCH_BROKER_MQTTS_PORT'],
    ['oauth2Url', 'LOTWATCH_BROKER_OAUTH2_URL'],
  ])('%s is called %s in the environment', (key, name) => {
    expect(settingName('LOTWATCH_BROKER', key)).toBe(name)
  })

  it.each([
    ['PORT', '0', { port: 0 }],
    ['BATCH_AGE_MS', '2.5', { batchAgeMs: 2.5 }],
    ['BATCH_AGE_MS', '-1', { batchAgeMs: -1 }],
    ['INSECURE', 'true', { insecure: true }],
    ['INSECURE', 'false', { insecure: false }],
    ['ALLOWED_HOSTS', 'a, b ,c', { allowedHosts: ['a', 'b', 'c'] }],
    ['ALLOWED_HOSTS', 'a', { allowedHosts: ['a'] }],
  ])('is converted by its type: %s=%s', (name, text, expected) => {
    expect(read({ ...required, [`LOTWATCH_BROKER_${name}`]: text })).toMatchObject(expected)
  })

  it('that is set to nothing is not set', () => {
    expect(read({ ...required, LOTWATCH_BROKER_PORT: '', LOTWATCH_BROKER_PEPPER_FILE: '' })).toMatchObject({
      port: 8083,
    })
    expect(read({ ...required, LOTWATCH_BROKER_PORT: '' }, { broker: { port: 9 } })).toMatchObject({
      port: 9,
    })
  })

  it('that is empty in the file is not set', () => {
    expect(read(required, { broker: { port: null } })).toMatchObject({ port: 8083 })
    expect(read(required, { broker: null })).toMatchObject({ port: 8083 })
    expect(read(required, null)).toMatchObject({ port: 8083 })
  })

  it('cannot be changed afterwards', () => {
    expect(Object.isFrozen(read(required))).toBe(true)
  })
})

describe('a wrong setting', () => {
  it.each([
    ['PORT', '80x'],
    ['PORT', '1e3'],
    ['PORT', '80.5'],
    ['PORT', '65536'],
    ['PORT', '0x50'],
    ['BATCH_AGE_MS', 'NaN'],
    ['INSECURE', 'yes'],
    ['INSECURE', '1'],
    ['INSECURE', 'TRUE'],
    ['ALLOWED_HOSTS', 'a,,b'],
  ])('is named with what it is: %s=%s', (name, text) => {
    const faults = faultsOf({ ...required, [`LOTWATCH_BROKER_${name}`]: text })
    expect(faults).toEqual([expect.stringContaining(`LOTWATCH_BROKER_${name}: `)])
    expect(faults[0]).toContain(JSON.stringify(text))
  })

  it('from the file is named by its place there, and not converted', () => {
    expect(faultsOf(required, { broker: { port: '80' } })).toEqual([
      expect.stringMatching(/^broker\.port: .*but is "80"$/),
    ])
  })

  it('is named together with all others, in one error', () => {
    const env = {
      LOTWATCH_BROKER_PORT: 'x',
      LOTWATCH_BROKER_INSECURE: 'maybe',
      LOTWATCH_BROKER_BATCH_AGE: '5',
    }
    const faults = faultsOf(env, { broker: { hosts: [] } })
    const named = faults.map((fault) => fault.split(':')[0]).toSorted()
    expect(named).toEqual([
      'LOTWATCH_BROKER_BATCH_AGE',
      'LOTWATCH_BROKER_INSECURE',
      'LOTWATCH_BROKER_ISSUER_URL',
      'LOTWATCH_BROKER_PORT',
      'broker.hosts',
    ])
  })

  it.each([
    [{ LOTWATCH_BROKER_BACTH_AGE_MS: '5' }, undefined, 'did you mean LOTWATCH_BROKER_BATCH_AGE_MS?'],
    [{}, { broker: { batchAgeMS: 5 } }, 'did you mean batchAgeMs?'],
  ])('that is unknown is told what it may have meant', (env, file, hint) => {
    expect(faultsOf({ ...required, ...env }, file)).toEqual([expect.stringContaining(hint)])
  })

  it('that resembles nothing is told nothing', () => {
    expect(faultsOf(required, { broker: { somethingElseAltogether: 1 } })).toEqual([
      'broker.somethingElseAltogether: unknown setting',
    ])
  })

  it.each(['constructor', 'toString', 'hasOwnProperty'])(
    'is unknown even if every object has it: %s',
    (name) => {
      expect(faultsOf(required, { broker: { [name]: 1 } })).toEqual([
        expect.stringContaining(`broker.${name}`),
      ])
    },
  )

  it.each([
    ['text', 'the settings file is not a mapping'],
    [[], 'the settings file is not a mapping'],
    [{ broker: 'x' }, 'broker: is not a mapping'],
    [{ broker: [] }, 'broker: is not a mapping'],
  ])('may be the whole file or section: %j', (file, fault) => {
    expect(faultsOf(required, file)).toEqual([fault])
  })

  it('is told with what it may be, where that is a few words', () => {
    expect(faultsOf({ ...required, LOTWATCH_BROKER_KIND: 'redis' }, { broker: { level: 7 } })).toEqual([
      'LOTWATCH_BROKER_KIND: must be duckdb or influx, but is "redis"',
      'broker.level: must be low or high, but is 7',
    ])
  })

  it('may be a section nobody knows, such as a misspelt one', () => {
    expect(faultsOf(required, { brokr: {}, data: 'here' })).toEqual([
      'brokr: unknown section; did you mean broker?',
    ])
  })

  it('may be a setting outside of its section', () => {
    expect(faultsOf(required, { port: 1 })).toEqual(['port: unknown section; it is a setting under broker:'])
  })

  it('of another program is not this one’s matter', () => {
    const env = { ...required, LOTWATCH_INGEST_PORT: 'x', LOTWATCH_CONFIG: 'x', LOTWATCH_BROKERAGE: 'x' }
    expect(faultsOf(env, { ingest: { port: 'x' } })).toEqual([])
  })
})

describe('a secret in a file of its own', () => {
  const secret = 'a secret of enough length'
  const readFile = (path: string) => {
    if (path === '/run/pepper') return `${secret}\n`
    if (path === '/run/short') return 'short secret'
    throw Object.assign(new Error('no such file'), { code: 'ENOENT' })
  }
  const withFile = (path: string) => ({ ...required, LOTWATCH_BROKER_PEPPER_FILE: path })

  it('is read without the line end', () => {
    expect(read(withFile('/run/pepper'), undefined, readFile)).toMatchObject({ pepper: secret })
  })

  it('goes before the settings file', () => {
    const file = { broker: { pepper: 'another one in the file' } }
    expect(read(withFile('/run/pepper'), file, readFile)).toMatchObject({ pepper: secret })
  })

  it('may not be given twice', () => {
    const env = { ...withFile('/run/pepper'), LOTWATCH_BROKER_PEPPER: secret }
    expect(faultsOf(env, undefined, readFile)).toEqual([
      'LOTWATCH_BROKER_PEPPER: is set, and LOTWATCH_BROKER_PEPPER_FILE too',
    ])
  })

  it('that cannot be read is named with its path', () => {
    expect(faultsOf(withFile('/run/none'), undefined, readFile)).toEqual([
      'LOTWATCH_BROKER_PEPPER_FILE: /run/none cannot be read (ENOENT)',
    ])
  })

  it('that is wrong is named and not shown', () => {
    const [fault = '', ...others] = faultsOf(withFile('/run/short'), undefined, readFile)
    expect(others).toEqual([])
    expect(fault).toMatch(/^LOTWATCH_BROKER_PEPPER_FILE: /)
    expect(fault).not.toContain('short secret')
  })
})

describe('the data folder', () => {
  it('is that of the environment, else of the file, else beside the program', () => {
    expect(readDataDir({ env: { LOTWATCH_DATA: '/a' }, file: { data: '/b' } })).toBe('/a')
    expect(readDataDir({ env: {}, file: { data: '/b' } })).toBe('/b')
    expect(readDataDir({ env: {}, file: null })).toBe('./data')
  })
})
