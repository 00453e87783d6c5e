/** Handovers as a broker sends them, from plain objects. */
import type { DeviceId } from '../../core/contract/device.ts'
import { frameBytes, frameHead, handoverMediaType, writeFrame } from '../../core/contract/handover.ts'

export interface SentMessage {
  readonly deviceId: string
  /** An object is sent as JSON. */
  readonly payload: unknown
  readonly receivedAtMs?: number
  readonly kind?: string
  readonly credentialId?: string
}

/** The body of `POST /v1/readings`. */
export function handoverOf(messages: readonly SentMessage[]): Uint8Array {
  const frames = messages.map(
    ({ deviceId, payload, receivedAtMs = Date.now(), kind = 'readings', credentialId = 'cred-1' }) => {
      const bytes =
        payload instanceof Uint8Array
          ? payload
          : new TextEncoder().encode(typeof payload === 'string' ? payload : JSON.stringify(payload))
      const head = frameHead({
        deviceId: deviceId as DeviceId, // tests send what is none, too
        credentialId,
        topic: `devices/${deviceId}/${kind}`,
      })
      return { head, receivedAtMs, payload: bytes }
    },
  )
  const body = new Uint8Array(frames.reduce((sum, { head, payload }) => sum + frameBytes(head, payload), 0))
  const view = new DataView(body.buffer)
  let offset = 0
  for (const frame of frames) offset = writeFrame(body, view, offset, frame)
  return body
}

/** Sends a handover; resolves to the status and the parsed answer. */
export async function postHandover(
  url: string,
  token: string,
  body: Uint8Array,
): Promise<{ status: number; verdicts: readonly string[]; code: string | undefined }> {
  const response = await fetch(`${url}/v1/readings`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': handoverMediaType },
    body: new Blob([new Uint8Array(body)]),
  })
  const answer = (await response.json()) as { verdicts?: string[]; code?: string }
  return { status: response.status, verdicts: answer.verdicts ?? [], code: answer.code }
}
