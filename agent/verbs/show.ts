/** `lot-agent status` and `lot-agent credential show`: what is known, in lines for people or JSON for programs. */
import type { CredentialFile } from '../../core/contract/credential.ts'
import type { Snapshot } from '../control.ts'
import type { Finding } from './doctor.ts'

/** The exit code of a device that has not come all the way; as `systemctl status` has for what does not run. */
export const notReady = 3

/** @returns the exit code: 0 when every step is done */
export function showStatus(
  snapshot: Snapshot,
  { json, write }: { json: boolean; write: (text: string) => void },
): number {
  write(json ? `${JSON.stringify(snapshot, undefined, 2)}\n` : `${linesOf(snapshot).join('\n')}\n`)
  return snapshot.steps.every(({ state }) => state === 'ok') ? 0 : notReady
}

function linesOf({ deviceId, steps, status }: Snapshot): string[] {
  const { queue } = status
  const oldest = queue.oldestAgeSec === undefined ? '' : `, the oldest ${queue.oldestAgeSec} s old`
  return [
    `device    ${deviceId ?? 'none yet'} (agent ${status.version}, up ${status.uptimeSec} s)`,
    ...steps.flatMap(({ name, state, detail, next }) => [
      `${name.padEnd(9)} ${state}${detail === undefined ? '' : `: ${detail}`}`,
      ...(state === 'ok' || next === undefined ? [] : [`${''.padEnd(9)}   → ${next}`]),
    ]),
    `queue     ${queue.readings} readings, ${queue.bytes} of ${queue.bytesMax} bytes${oldest}`,
    `          a power cut costs the last ${queue.lossWindowMs / 1000} s at most`,
    ...(status.dropped === 0 ? [] : [`dropped   ${status.dropped} readings: the queue was full`]),
    `schedule  ${status.schedule.cron} (UTC)`,
    ...(status.config === undefined
      ? []
      : [
          `config    version ${status.config.version} ${status.config.state} ${status.config.reason ?? ''}`.trimEnd(),
        ]),
  ]
}

/** With the public half of a key, and of what is secret only that it is there. */
export function shownCredential({
  client_secret: secret,
  private_key_jwk: jwk,
  ca,
  ...shown
}: CredentialFile) {
  const { kty, crv, x, y } = (jwk ?? {}) as Readonly<Record<string, unknown>> // a JWK has more than its schema asks for
  return {
    ...shown,
    ...(secret === undefined ? {} : { client_secret: '[secret]' }),
    ...(jwk === undefined ? {} : { private_key_jwk: { kty, crv, x, y, d: '[secret]' } }),
    ...(ca === undefined ? {} : { ca: '[certificate]' }),
  }
}

/** @returns the exit code: 0 when nothing is missing */
export async function showFindings(
  findings: AsyncIterable<Finding>,
  write: (text: string) => void,
): Promise<number> {
  let isWell = true
  for await (const { name, state, detail, next } of findings) {
    write(`${name.padEnd(9)} ${state}${detail === undefined ? '' : `: ${detail}`}\n`)
    if (state !== 'ok' && next !== undefined) write(`${''.padEnd(9)}   → ${next}\n`)
    isWell &&= state !== 'failed'
  }
  return isWell ? 0 : notReady
}
