import { describe, expect, it } from 'vitest'
import { placesOf, wiringOf } from '../../../cli/places.ts'

const source = (env: Record<string, string> = {}, file: unknown = undefined) => ({ env, file })

describe('where the programs are', () => {
  it('is this machine and the documented ports when nobody set anything', () => {
    expect(placesOf(source())).toEqual({
      provisioningUrl: 'http://127.0.0.1:8081',
      ingestUrl: 'http://127.0.0.1:8082',
      brokerUrl: 'mqtt://127.0.0.1:1883',
      brokerHttpUrl: 'http://127.0.0.1:8083',
      consoleUrl: 'http://127.0.0.1:8080',
      issuerUrl: 'http://127.0.0.1:8081',
      caFile: undefined,
    })
  })

  it('follows the programs’ own settings, the environment before the file', () => {
    const file = { ingest: { port: 9000, host: '10.0.0.7' }, provisioning: { port: 9001 } }
    const places = placesOf(source({ LOTWATCH_PROVISIONING_PORT: '9002' }, file))
    expect(places.ingestUrl).toBe('http://10.0.0.7:9000')
    expect(places.provisioningUrl).toBe('http://127.0.0.1:9002')
  })

  it('is a place to call even where a program listens on every address', () => {
    const env = { LOTWATCH_INGEST_HOST: '0.0.0.0', LOTWATCH_PROVISIONING_HOST: '::' }
    expect(placesOf(source(env))).toMatchObject({
      ingestUrl: 'http://127.0.0.1:8082',
      provisioningUrl: 'http://[::1]:8081',
    })
  })

  it('speaks TLS to a program that has a certificate', () => {
    const env = { LOTWATCH_BROKER_TLS_CERT_FILE: 'b.pem', LOTWATCH_INGEST_TLS_CERT_FILE: 'i.pem' }
    const places = placesOf(source(env))
    expect(places.brokerUrl).toBe('mqtts://127.0.0.1:8883')
    expect(places.ingestUrl).toBe('https://127.0.0.1:8082')
  })

  it('refuses a port that only the program itself would know', () => {
    expect(() => placesOf(source({ LOTWATCH_INGEST_PORT: '0' }))).toThrow(/LOTWATCH_INGEST_PORT/)
  })

  it('leaves it to a program to refuse a port that is none', () => {
    expect(placesOf(source({}, { ingest: { port: 'many' } })).ingestUrl).toBe('http://127.0.0.1:8082')
  })

  it('tells every program of the others, so that a port is set once', () => {
    const env = source({ LOTWATCH_PROVISIONING_PORT: '9002' })
    const wiring = wiringOf(env, placesOf(env))
    expect(wiring).toMatchObject({
      LOTWATCH_BROKER_PROVISIONING_URL: 'http://127.0.0.1:9002',
      LOTWATCH_INGEST_ISSUER_URL: 'http://127.0.0.1:9002',
      LOTWATCH_PROVISIONING_BROKER_URL: 'mqtt://127.0.0.1:1883',
    })
  })

  it('tells who calls over TLS of the authority, and nobody else, who would trust no other any more', () => {
    const ca = { LOTWATCH_PROVISIONING_CA_FILE: 'ca.pem' }
    const told = (env: Record<string, string>) => wiringOf(source(env), placesOf(source(env)))
    const tls = told({ ...ca, LOTWATCH_PROVISIONING_TLS_CERT_FILE: 'p.pem' })
    expect(tls).toMatchObject({ LOTWATCH_BROKER_CA_FILE: 'ca.pem', LOTWATCH_INGEST_CA_FILE: 'ca.pem' })
    const ingestAlone = told({ ...ca, LOTWATCH_INGEST_TLS_CERT_FILE: 'i.pem' })
    expect(ingestAlone).toMatchObject({ LOTWATCH_BROKER_CA_FILE: 'ca.pem' })
    expect(ingestAlone).not.toHaveProperty('LOTWATCH_INGEST_CA_FILE')
    expect(told({ ...ca, LOTWATCH_BROKER_TLS_CERT_FILE: 'b.pem' })).not.toHaveProperty(
      'LOTWATCH_BROKER_CA_FILE',
    )
    const set = { ...ca, LOTWATCH_PROVISIONING_TLS_CERT_FILE: 'p.pem', LOTWATCH_INGEST_CA_FILE: 'x.pem' }
    expect(told(set)).not.toHaveProperty('LOTWATCH_INGEST_CA_FILE')
  })

  it('leaves alone what somebody set, in the file or in the environment', () => {
    const set = source(
      { LOTWATCH_BROKER_INGEST_URL: 'https://ingest.example' },
      { ingest: { issuerUrl: 'https://issuer.example' } },
    )
    const wiring = wiringOf(set, placesOf(set))
    expect(wiring).not.toHaveProperty('LOTWATCH_BROKER_INGEST_URL')
    expect(wiring).not.toHaveProperty('LOTWATCH_INGEST_ISSUER_URL')
  })
})
