/** What a device proves itself with, each to be revoked. */
import { useState } from 'preact/hooks'
import type { CredentialRecord } from '../../../../core/contract/client.ts'
import { useApp } from '../../app-state.ts'
import { Confirm } from '../../parts/dialog.tsx'
import { Badge } from '../../parts/notices.tsx'
import { ago, dateTime } from '../../words.ts'
import type { Asked } from './asking.tsx'
import { pathOf, type Shown } from './shown.ts'

export function Credentials({
  device,
  nowMs,
  ask,
  reload,
}: {
  device: Shown
  nowMs: number
  ask: (what: Asked) => void
  reload: () => void
}) {
  const { api } = useApp()
  const [revoking, setRevoking] = useState<CredentialRecord>()
  const live = device.credentials.filter(({ revokedAtMs }) => revokedAtMs === null)
  const isOpen = device.enrolWindowUntilMs !== undefined && device.enrolWindowUntilMs > nowMs
  const path = pathOf(device.deviceId)
  return (
    <section class="panel stack tight" aria-labelledby="credentials">
      <div class="row spread">
        <h2 id="credentials">Credentials</h2>
        {device.state !== 'retired' && (
          <div class="row">
            <button type="button" onClick={() => ask('rotate')}>
              Rotate
            </button>
            <button type="button" onClick={() => ask('window')}>
              {isOpen ? 'Close the window' : 'Let it enrol again'}
            </button>
          </div>
        )}
      </div>
      {isOpen && (
        <p>
          <Badge tone="warn">window open</Badge> It may enrol again without its old key, until{' '}
          {dateTime(device.enrolWindowUntilMs)}.
        </p>
      )}
      {live.length === 0 && <p class="soft">None: it can get no token. Rotate makes one.</p>}
      <ul class="stack tight">
        {live.map((credential) => (
          <li key={credential.credentialId} class="row spread">
            <span>
              {credential.of === 'key' ? 'Key pair' : 'Secret'} <code>{credential.credentialId}</code>
              <br />
              <span class="small soft">
                made {ago(credential.createdAtMs, nowMs)}, last used {ago(credential.lastUsedAtMs, nowMs)}
                {credential.expiresAtMs !== null && `, ends ${ago(credential.expiresAtMs, nowMs)}`}
              </span>
            </span>
            <button type="button" class="danger" onClick={() => setRevoking(credential)}>
              Revoke
            </button>
          </li>
        ))}
      </ul>
      {revoking !== undefined && (
        <Confirm
          title={`Revoke a credential of ${device.deviceId}`}
          verb="Revoke it"
          done="The credential is revoked."
          act={() => api.delete(`${path}/credentials/${revoking.credentialId}`)}
          close={() => {
            setRevoking(undefined)
            reload()
          }}
        >
          <p>
            <code>{revoking.credentialId}</code> gets no token any more, those it has are void, and a
            connection on one of them is closed within a second.
          </p>
        </Confirm>
      )}
    </section>
  )
}
