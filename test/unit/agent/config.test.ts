import { describe, expect, it } from 'vitest'
import { readAgentConfig } from '../../../agent/config.ts'

const read = (env: Record<string, string> = {}, file: unknown = undefined) => readAgentConfig({ env, file })

describe('agent config', () => {
  it('has defaults that are safe on a laptop', () => {
    const config = read()
    expect(config).toMatchObject({ insecure: false, windowMessages: 50, schedule: '* * * * *' })
    expect(config.sensor).toMatchObject({ type: 'simulated', historyDays: 7 })
    expect(Object.isFrozen(config)).toBe(true)
  })

  it('reads the file, and the environment over it', () => {
    const file = { agent: { outboxDir: '/var/lib/lot-agent', windowMessages: 5 } }
    expect(read({ LOT_AGENT_WINDOW_MESSAGES: '7' }, file)).toMatchObject({
      outboxDir: '/var/lib/lot-agent',
      windowMessages: 7,
    })
  })

  it('takes more parameters for token requests, and none that say who asks', () => {
    expect(read({ LOT_AGENT_TOKEN_PARAMETERS: 'resource=urn%3Aa&tenant=b' }).parameters).toEqual({
      resource: 'urn:a',
      tenant: 'b',
    })
    expect(() => read({ LOT_AGENT_TOKEN_PARAMETERS: 'client_id=other' })).toThrow(
      expect.objectContaining({ code: 'config.invalid', faults: [expect.stringContaining('client_id')] }),
    )
  })

  it('describes a replay', () => {
    const config = read({
      LOT_AGENT_SENSOR_TYPE: 'replay',
      LOT_AGENT_REPLAY_FILE: 'parks.csv',
      LOT_AGENT_REPLAY_KEY: 'Bull Ring',
      LOT_AGENT_REPLAY_TZ: 'Europe/London',
      LOT_AGENT_REPLAY_SPEED: '60',
    })
    expect(config.sensor).toEqual({
      type: 'replay',
      file: 'parks.csv',
      key: 'Bull Ring',
      columns: { key: 'SystemCodeNumber', capacity: 'Capacity', occupied: 'Occupancy', time: 'LastUpdated' },
      tz: 'Europe/London',
      shiftToNow: false,
      speed: 60,
    })
  })

  it('describes a program and a device that count', () => {
    const exec = { LOT_AGENT_SENSOR_TYPE: 'exec', LOT_AGENT_EXEC_COMMAND: '/opt/count,--json' }
    expect(read(exec).sensor).toEqual({ type: 'exec', command: ['/opt/count', '--json'] })
    const http = { LOT_AGENT_SENSOR_TYPE: 'http', LOT_AGENT_HTTP_URL: 'https://camera.example/count' }
    expect(read({ ...http, LOT_AGENT_HTTP_POINTER: '/cars' }).sensor).toEqual({
      type: 'http',
      url: 'https://camera.example/count',
      pointer: '/cars',
    })
  })

  it('asks over plaintext beyond loopback only when told to', () => {
    const env = { LOT_AGENT_SENSOR_TYPE: 'http', LOT_AGENT_HTTP_URL: 'http://10.0.0.7/count' }
    expect(faultsOf(env)).toEqual([expect.stringContaining('httpInsecure')])
    expect(faultsOf({ ...env, LOT_AGENT_HTTP_INSECURE: 'true' })).toBe('no fault')
    expect(faultsOf({ ...env, LOT_AGENT_HTTP_URL: 'http://127.0.0.1/count' })).toBe('no fault')
  })

  it.each([
    [{ LOT_AGENT_SENSOR_TYPE: 'exec' }, 'LOT_AGENT_EXEC_COMMAND'],
    [{ LOT_AGENT_SENSOR_TYPE: 'http' }, 'LOT_AGENT_HTTP_URL'],
    [{ LOT_AGENT_SENSOR_TYPE: 'http', LOT_AGENT_HTTP_URL: 'https://a:b@camera.example' }, 'without a user'],
    [
      {
        LOT_AGENT_SENSOR_TYPE: 'http',
        LOT_AGENT_HTTP_URL: 'https://camera.example',
        LOT_AGENT_HTTP_POINTER: 'cars',
      },
      'LOT_AGENT_HTTP_POINTER',
    ],
  ])('names what a sensor lacks: %j', (env, fault) => {
    expect(faultsOf(env)).toEqual([expect.stringContaining(fault)])
  })

  it('names every fault at once', () => {
    const env = {
      LOT_AGENT_WINDOW_MESSAGES: 'many',
      LOT_AGENT_OUTBOX_BYTES: '1000',
      LOT_AGENT_LOG_LEVEL: 'loud',
    }
    expect(faultsOf(env)).toEqual([
      expect.stringContaining(
        'LOT_AGENT_OUTBOX_BYTES: unknown setting; did you mean LOT_AGENT_OUTBOX_BYTES_MAX',
      ),
      expect.stringContaining('LOT_AGENT_WINDOW_MESSAGES'),
      expect.stringContaining('LOT_AGENT_LOG_LEVEL'),
    ])
  })

  it('names every fault that only the whole shows', () => {
    const env = {
      LOT_AGENT_SCHEDULE: 'every minute',
      LOT_AGENT_SIMULATED_TZ: 'Middle/Earth',
      LOT_AGENT_SENSOR_TYPE: 'replay',
    }
    expect(faultsOf(env)).toEqual([
      'LOT_AGENT_SCHEDULE: is not a cron expression',
      'LOT_AGENT_SIMULATED_TZ: is not a time zone',
      'LOT_AGENT_REPLAY_FILE: is required by sensorType replay',
      'LOT_AGENT_REPLAY_KEY: is required by sensorType replay',
    ])
  })
})

function faultsOf(env: Record<string, string>): unknown {
  try {
    read(env)
  } catch (error) {
    return (error as { faults?: unknown }).faults
  }
  return 'no fault'
}
