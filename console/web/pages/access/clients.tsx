/** Clients that are no devices, all of them; each by itself is in `one-client.tsx`. */
import { useState } from 'preact/hooks'
import type { Client } from '../../../../core/contract/client.ts'
import { useApp } from '../../app-state.ts'
import { useLoad } from '../../load.ts'
import { useParameters } from '../../parameters.ts'
import { Empty, Fault, Waiting } from '../../parts/notices.tsx'
import { Table } from '../../parts/table.tsx'
import { counted } from '../../words.ts'
import { NewClient } from './new-client.tsx'
import { OneClient, shortOf } from './one-client.tsx'

const base = '/api/provisioning/v1'

export function Clients() {
  const { api } = useApp()
  const [{ client: open }, setParameters] = useParameters()
  const [isNew, setNew] = useState(false)
  const all = useLoad('clients', (signal) =>
    api.get<{ clients: Client[] }>(`${base}/clients`, { query: { limit: 1000 }, signal }),
  )
  const rows = all.value?.clients ?? []
  if (open !== undefined)
    return <OneClient oauthClientId={open} back={() => setParameters({ client: undefined })} />
  return (
    <div class="stack">
      <div class="row spread">
        <p class="soft">Programs and people’s tools. Devices are under Devices.</p>
        <button type="button" class="main" onClick={() => setNew(true)}>
          New client
        </button>
      </div>
      <Fault problem={all.problem} retry={all.reload} />
      {all.value === undefined && all.problem === undefined && <Waiting what="clients" />}
      {all.value !== undefined && rows.length === 0 && <Empty title="There are no clients" />}
      {rows.length > 0 && (
        <Table
          label="Clients"
          rows={rows}
          keyOf={({ oauthClientId }) => oauthClientId}
          sortedBy="id"
          columns={[
            {
              name: 'id',
              head: 'Client',
              by: (row) => row.oauthClientId,
              cell: (row) => (
                <a href={`/access?tab=clients&client=${encodeURIComponent(row.oauthClientId)}`}>
                  {row.oauthClientId}
                </a>
              ),
            },
            { name: 'name', head: 'Name', by: (row) => row.name, cell: (row) => row.name },
            { name: 'kind', head: 'Kind', by: (row) => row.kind, cell: (row) => row.kind },
            {
              name: 'grants',
              head: 'May get',
              by: (row) => row.grants.length,
              cell: (row) => grantWords(row),
            },
          ]}
        />
      )}
      {isNew && (
        <NewClient
          close={() => {
            setNew(false)
            void all.reload()
          }}
        />
      )}
    </div>
  )
}

function grantWords({ grants, grantTypes }: Client): string {
  if (!grantTypes.includes('client_credentials')) return 'nothing: switched off'
  if (grants.length === 0) return 'nothing yet'
  return grants
    .map(({ audience, scopes }) => `${counted(scopes.length, 'scope')} at ${shortOf(audience)}`)
    .join(', ')
}
