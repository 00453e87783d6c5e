/** Enrolment keys with their uses and their ends, each to be revoked. */
import { useState } from 'preact/hooks'
import type { EnrolKey } from '../../../../core/contract/enrolment.ts'
import { useApp } from '../../app-state.ts'
import { Confirm } from '../../parts/dialog.tsx'
import { Badge } from '../../parts/notices.tsx'
import { Table } from '../../parts/table.tsx'
import { ago, dash, type Tone } from '../../words.ts'

export function Keys({
  keys,
  nowMs,
  reload,
}: {
  keys: readonly EnrolKey[]
  nowMs: number
  reload: () => void
}) {
  const { api } = useApp()
  const [revoking, setRevoking] = useState<EnrolKey>()
  return (
    <>
      <section class="stack tight" aria-labelledby="keys">
        <h2 id="keys">Keys</h2>
        <Table
          label="Enrolment keys"
          rows={keys}
          keyOf={({ enrolKeyId }) => enrolKeyId}
          sortedBy="made"
          descending
          columns={[
            {
              name: 'name',
              head: 'For',
              by: (key) => key.name,
              cell: (key) => key.name ?? key.deviceId ?? key.enrolKeyId,
            },
            {
              name: 'state',
              head: 'State',
              by: (key) => stateOf(key, nowMs)[1],
              cell: (key) => <KeyState enrolKey={key} nowMs={nowMs} />,
            },
            {
              name: 'uses',
              head: 'Used',
              align: 'end',
              by: (key) => key.uses,
              cell: (key) => `${key.uses} of ${key.usesMax}`,
            },
            {
              name: 'ends',
              head: 'Ends',
              by: (key) => key.expiresAtMs,
              cell: (key) => ago(key.expiresAtMs, nowMs),
            },
            { name: 'lot', head: 'Lot', by: (key) => key.lotId, cell: (key) => key.lotId ?? dash },
            {
              name: 'approval',
              head: 'Approval',
              by: (key) => key.approval,
              cell: (key) => (key.approval === 'manual' ? 'by a person' : 'not needed'),
            },
            {
              name: 'made',
              head: 'Made',
              by: (key) => key.createdAtMs,
              cell: (key) => ago(key.createdAtMs, nowMs),
            },
            {
              name: 'act',
              head: 'Action',
              cell: (key) =>
                stateOf(key, nowMs)[1] === 'good for use' ? (
                  <button
                    type="button"
                    class="plain"
                    onClick={() => setRevoking(key)}
                    aria-label={`Revoke ${key.name ?? key.enrolKeyId}`}
                  >
                    Revoke
                  </button>
                ) : null,
            },
          ]}
        />
      </section>
      {revoking !== undefined && (
        <Confirm
          title={`Revoke ${revoking.name ?? revoking.enrolKeyId}`}
          verb="Revoke it"
          done="The key is revoked."
          act={() => api.delete(`/api/provisioning/v1/enrol-keys/${revoking.enrolKeyId}`)}
          close={() => {
            setRevoking(undefined)
            reload()
          }}
        >
          <p>Nobody can enrol with it any more. Devices that did stay as they are.</p>
        </Confirm>
      )}
    </>
  )
}

function stateOf(key: EnrolKey, nowMs: number): readonly [Tone, string] {
  if (key.revokedAtMs !== null) return ['bad', 'revoked']
  if (key.expiresAtMs <= nowMs) return ['idle', 'ended']
  if (key.uses >= key.usesMax) return ['idle', 'used up']
  return ['good', 'good for use']
}

function KeyState({ enrolKey, nowMs }: { enrolKey: EnrolKey; nowMs: number }) {
  const [tone, word] = stateOf(enrolKey, nowMs)
  return <Badge tone={tone}>{word}</Badge>
}
