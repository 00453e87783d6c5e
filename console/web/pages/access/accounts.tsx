/** The people of this console that it knows by itself; those of an identity provider are there. */
import { useState } from 'preact/hooks'
import { type Role, roles } from '../../../roles.ts'
import type { Account } from '../../../wire.ts'
import { useApp } from '../../app-state.ts'
import { useDoing, useLoad, useNow } from '../../load.ts'
import { Confirm, Dialog } from '../../parts/dialog.tsx'
import { Field, NewPassword } from '../../parts/form.tsx'
import { LotSelect } from '../../parts/lot-select.tsx'
import { Fault, Waiting } from '../../parts/notices.tsx'
import { Table } from '../../parts/table.tsx'
import { ago, dateTime } from '../../words.ts'

const meanings: Readonly<Record<Role, string>> = {
  analyst: 'looks at readings',
  operator: 'and runs the fleet',
  admin: 'and decides who may what',
}

export function Accounts() {
  const { api, me } = useApp()
  const nowMs = useNow()
  const all = useLoad('accounts', (signal) => api.get<{ accounts: Account[] }>('/api/accounts', { signal }))
  const [editing, setEditing] = useState<Account | 'new'>()
  const [removing, setRemoving] = useState<Account>()
  const done = () => {
    setEditing(undefined)
    setRemoving(undefined)
    void all.reload()
  }
  return (
    <div class="stack">
      <div class="row spread">
        <p class="soft">People of the identity provider, if there is one, are kept there.</p>
        <button type="button" class="main" onClick={() => setEditing('new')}>
          New account
        </button>
      </div>
      <Fault problem={all.problem} retry={all.reload} />
      {all.value === undefined && all.problem === undefined && <Waiting what="accounts" />}
      {all.value !== undefined && (
        <Table
          label="Accounts"
          rows={all.value.accounts}
          keyOf={({ name }) => name}
          sortedBy="name"
          columns={[
            { name: 'name', head: 'Name', by: (row) => row.name, cell: (row) => row.name },
            { name: 'role', head: 'Role', by: (row) => roles.indexOf(row.role), cell: (row) => row.role },
            { name: 'lots', head: 'Sees', cell: (row) => row.lots?.join(', ') ?? 'every lot' },
            {
              name: 'password',
              head: 'Comes in by',
              cell: (row) => (row.hasPassword ? 'password or link' : 'link'),
            },
            {
              name: 'seen',
              head: 'Signed in, seen',
              by: (row) => row.lastSeenAtMs,
              cell: (row) => ago(row.lastSeenAtMs, nowMs),
            },
            {
              name: 'made',
              head: 'Made',
              by: (row) => row.createdAtMs,
              cell: (row) => dateTime(row.createdAtMs),
            },
            {
              name: 'act',
              head: 'Action',
              cell: (row) =>
                row.name === me.person ? (
                  <a href="/account">yours</a>
                ) : (
                  <span class="row">
                    <button type="button" class="plain" onClick={() => setEditing(row)}>
                      Change {row.name}
                    </button>
                    <button type="button" class="plain" onClick={() => setRemoving(row)}>
                      Remove {row.name}
                    </button>
                  </span>
                ),
            },
          ]}
        />
      )}
      {editing !== undefined && (
        <EditAccount account={editing === 'new' ? undefined : editing} close={done} />
      )}
      {removing !== undefined && (
        <Confirm
          title={`Remove ${removing.name}`}
          verb={`Remove ${removing.name}`}
          done={`${removing.name} is removed.`}
          act={() => api.delete(`/api/accounts/${encodeURIComponent(removing.name)}`)}
          close={done}
        >
          <p>They are signed out everywhere. What they did stays in the logs.</p>
        </Confirm>
      )}
    </div>
  )
}

function EditAccount({ account, close }: { account: Account | undefined; close: () => void }) {
  const { api } = useApp()
  const doing = useDoing()
  const [name, setName] = useState(account?.name ?? '')
  const [role, setRole] = useState<Role>(account?.role ?? 'analyst')
  const [lots, setLots] = useState<readonly string[]>(account?.lots ?? [])
  const [password, setPassword] = useState('')
  const save = async (event: Event) => {
    event.preventDefault()
    const body = {
      role,
      ...(role === 'analyst' && lots.length > 0 ? { lots } : {}),
      ...(password === '' ? {} : { password }),
    }
    if (
      await doing.run(
        () => api.put(`/api/accounts/${encodeURIComponent(name)}`, { body }),
        `${name} is saved.`,
      )
    )
      close()
  }
  return (
    <Dialog title={account === undefined ? 'New account' : `Change ${account.name}`} close={close}>
      <form class="stack" onSubmit={save} autoComplete="off">
        {account === undefined && (
          <Field label="Name" hint="Letters, digits and . _ @ -; it stands in audit logs.">
            <input
              required
              pattern="[A-Za-z0-9][A-Za-z0-9._@\-]{0,63}"
              value={name}
              onInput={(event) => setName(event.currentTarget.value)}
            />
          </Field>
        )}
        <fieldset class="stack tight">
          <legend>Role</legend>
          {roles.map((one) => (
            <label key={one} class="switch">
              <input type="radio" name="role" checked={role === one} onChange={() => setRole(one)} />
              <span>
                {one} <span class="small soft">{meanings[one]}</span>
              </span>
            </label>
          ))}
        </fieldset>
        {role === 'analyst' && <LotsOfPerson lots={lots} change={setLots} />}
        <NewPassword
          label={account === undefined ? 'Password' : 'New password'}
          hint={
            <>
              At least ten characters. Or none: <code>npx lotctl login-link --account {name || 'NAME'}</code>{' '}
              lets them in, and they set their own.
            </>
          }
          value={password}
          change={setPassword}
        />
        <Fault problem={doing.problem} />
        <div class="row">
          <button type="submit" class="main" disabled={doing.isBusy}>
            Save
          </button>
        </div>
      </form>
    </Dialog>
  )
}

function LotsOfPerson({
  lots,
  change,
}: {
  lots: readonly string[]
  change: (lots: readonly string[]) => void
}) {
  return (
    <div class="stack tight">
      <Field
        label="Limited to lots"
        hint={
          lots.length === 0
            ? 'Every lot is seen, as long as none is named.'
            : 'Nothing is seen of any other lot.'
        }
      >
        <LotSelect
          value=""
          none="add a lot …"
          choose={(lotId) => lotId !== '' && !lots.includes(lotId) && change([...lots, lotId])}
        />
      </Field>
      {lots.length > 0 && (
        <div class="row">
          {lots.map((lotId) => (
            <button
              key={lotId}
              type="button"
              class="chip"
              aria-label={`Take away ${lotId}`}
              onClick={() => change(lots.filter((one) => one !== lotId))}
            >
              {lotId} ✕
            </button>
          ))}
        </div>
      )}
    </div>
  )
}
