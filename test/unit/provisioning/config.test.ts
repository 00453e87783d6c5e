import { describe, expect, it } from 'vitest'
import { readProvisioningConfig } from '../../../provisioning/config.ts'

const read = (env: Record<string, string> = {}, file?: unknown) => readProvisioningConfig({ file, env })

describe('the settings of provisioning', () => {
  it('have defaults that are safe on a laptop', () => {
    expect(read()).toMatchObject({
      host: '127.0.0.1',
      port: 8081,
      insecure: false,
      brokerUrl: 'mqtt://127.0.0.1:1883',
      tokenLifeSec: 3600,
      dataDir: './data',
      tls: undefined,
    })
  })

  it('come from the file, and from the environment over it', () => {
    const file = { data: '/srv/lotwatch', provisioning: { port: 9000, tokenLifeSec: 60 } }

    expect(read({ LOTWATCH_PROVISIONING_PORT: '9001' }, file)).toMatchObject({
      port: 9001,
      tokenLifeSec: 60,
      dataDir: '/srv/lotwatch',
    })
  })

  it('take a certificate and its key together or not at all', () => {
    expect(
      read({ LOTWATCH_PROVISIONING_TLS_CERT_FILE: 'c', LOTWATCH_PROVISIONING_TLS_KEY_FILE: 'k' }).tls,
    ).toEqual({ certFile: 'c', keyFile: 'k' })
    expect(() => read({ LOTWATCH_PROVISIONING_TLS_CERT_FILE: 'c' })).toThrow(
      expect.objectContaining({ code: 'config.invalid', faults: [expect.stringContaining('TLS_KEY_FILE')] }),
    )
  })

  it.each(['ftp://x', 'https://x?y=1', 'https://x#y', 'x', 'https://'])(
    'take no issuer like %s',
    (issuer) => {
      expect(() => read({ LOTWATCH_PROVISIONING_ISSUER_URL: issuer })).toThrow(
        expect.objectContaining({ code: 'config.invalid' }),
      )
    },
  )

  it('take an issuer with a path and a slash at the end', () => {
    const issuerUrl = 'https://lots.example/auth/'

    expect(read({ LOTWATCH_PROVISIONING_ISSUER_URL: issuerUrl }).issuerUrl).toBe(issuerUrl)
  })

  it('want the issuer named when the address is no place that clients can reach', () => {
    const anywhere = { LOTWATCH_PROVISIONING_HOST: '0.0.0.0', LOTWATCH_PROVISIONING_INSECURE: 'true' }

    expect(() => read(anywhere)).toThrow(
      expect.objectContaining({
        code: 'config.invalid',
        faults: [expect.stringContaining('LOTWATCH_PROVISIONING_ISSUER_URL')],
      }),
    )
    expect(read({ ...anywhere, LOTWATCH_PROVISIONING_ISSUER_URL: 'http://lots.example' }).host).toBe(
      '0.0.0.0',
    )
  })
})

describe('Auth0 as the issuer for devices', () => {
  const complete = {
    LOTWATCH_PROVISIONING_DEVICE_ISSUER: 'auth0',
    LOTWATCH_PROVISIONING_AUTH0_URL: 'https://tenant.example/',
    LOTWATCH_PROVISIONING_AUTH0_CLIENT_ID: 'app',
    LOTWATCH_PROVISIONING_AUTH0_CLIENT_SECRET: 'secret',
  }

  it('is asked for by name, with all that it needs', () => {
    expect(read().deviceIssuer).toBe('own')
    expect(read(complete)).toMatchObject({ deviceIssuer: 'auth0', auth0Url: 'https://tenant.example/' })
    const failure = {
      code: 'config.invalid',
      faults: ['URL', 'CLIENT_ID', 'CLIENT_SECRET'].map((one) => expect.stringContaining(`AUTH0_${one}`)),
    }
    expect(() => read({ LOTWATCH_PROVISIONING_DEVICE_ISSUER: 'auth0' })).toThrow(
      expect.objectContaining(failure),
    )
  })

  it.each(['tenant.example', 'https://tenant.example/path', 'https://tenant.example?x'])(
    'is not at %s',
    (url) => {
      expect(() => read({ ...complete, LOTWATCH_PROVISIONING_AUTH0_URL: url })).toThrow(
        expect.objectContaining({ code: 'config.invalid' }),
      )
    },
  )
})
