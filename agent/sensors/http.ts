/**
 * The http sensor: a device on the network that is asked with GET at each tick and answers in JSON. The answer is
 * bounded in size and time, and a redirect is a failure: where we are sent is not where we were told to ask.
 */
import type { Fetch } from '../../core/auth/verifier.ts'
import { createGaugeSensor, type Gauge, type GaugeOptions } from './gauge.ts'
import { at, measurementOf, type Sighting } from './measurement.ts'
import type { Sensor } from './sensor.ts'

export interface HttpOptions extends GaugeOptions {
  readonly url: string
  /** Where in the answer the number or the measurement is, RFC 6901. */
  readonly pointer: string
  readonly fetch: Fetch
}

const bodyBytesMax = 64 * 1024

export function createHttpSensor(options: HttpOptions): Sensor {
  return createGaugeSensor(({ signal }) => openHttp(options, signal), options)
}

export function openHttp(options: HttpOptions, stopping: AbortSignal): Gauge {
  return { read: () => ask(options, stopping), close: async () => undefined }
}

async function ask(options: HttpOptions, stopping: AbortSignal): Promise<Sighting> {
  const late = AbortSignal.timeout(options.timeoutMs)
  try {
    const response = await options.fetch(options.url, {
      headers: { accept: 'application/json' },
      redirect: 'error',
      signal: AbortSignal.any([stopping, late]),
    })
    if (response.status !== 200) {
      await response.body?.cancel()
      return { fault: `answered ${response.status}` }
    }
    const text = await readBounded(response)
    if (text === undefined) return { fault: `answered more than ${bodyBytesMax} bytes` }
    const measurement = measurementOf(at(JSON.parse(text), options.pointer))
    return measurement === undefined
      ? { fault: 'answered without a number or a measurement at the pointer' }
      : { measurement, ageMs: 0 }
  } catch (error) {
    if (late.aborted) return { fault: `did not answer within ${options.timeoutMs} ms` }
    return { fault: error instanceof SyntaxError ? 'answered what is not JSON' : 'does not answer' }
  }
}

/** The body as text; undefined when it is too large. */
async function readBounded(response: Response): Promise<string | undefined> {
  const reader = response.body?.getReader()
  const decoder = new TextDecoder()
  let text = ''
  for (let bytes = 0; ; ) {
    const piece = await reader?.read()
    if (piece === undefined || piece.done) return text + decoder.decode()
    bytes += piece.value.byteLength
    if (bytes > bodyBytesMax) {
      await reader?.cancel()
      return undefined
    }
    text += decoder.decode(piece.value, { stream: true })
  }
}
