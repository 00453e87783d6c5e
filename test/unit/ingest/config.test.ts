import { describe, expect, test } from 'vitest'
import { readIngestConfig } from '../../../ingest/config.ts'

describe('settings', () => {
  test('put database and credential into the data folder', () => {
    const config = readIngestConfig({ file: undefined, env: { LOTWATCH_DATA: '/data' } })

    expect(config).toMatchObject({
      databaseFile: '/data/readings.duckdb',
      credentialFile: '/data/services/ingest.json',
    })
  })

  test.each([
    { LOTWATCH_INGEST_TLS_CERT_FILE: '/cert.pem' },
    { LOTWATCH_INGEST_STORE: 'influx' },
    { LOTWATCH_INGEST_STORE: 'influx', LOTWATCH_INGEST_INFLUX_VERSION: '3' },
    {
      LOTWATCH_INGEST_STORE: 'influx',
      LOTWATCH_INGEST_INFLUX_VERSION: '1',
      LOTWATCH_INGEST_INFLUX_TOKEN: 'password',
    },
  ])('that contradict each other are refused: %j', (env) => {
    expect(() => readIngestConfig({ file: undefined, env })).toThrow(/contradict/)
  })

  test('take the token of InfluxDB from a file', () => {
    const env = { LOTWATCH_INGEST_STORE: 'influx', LOTWATCH_INGEST_INFLUX_TOKEN_FILE: '/token' }

    const config = readIngestConfig({ file: undefined, env, readFile: (path) => `content of ${path}\n` })

    expect(config).toMatchObject({ store: 'influx', influxToken: 'content of /token' })
  })
})
