/** Access: who may have tokens for what, why a token was given or refused, and the people of this console. */
import { useState } from 'preact/hooks'
import { mayAs, useApp } from '../app-state.ts'
import { useParameters } from '../parameters.ts'
import { Chips } from '../parts/form.tsx'
import { Head } from '../parts/head.tsx'
import { Accounts } from './access/accounts.tsx'
import { Apis } from './access/apis.tsx'
import { Clients } from './access/clients.tsx'
import { Decisions, Explain } from './access/decisions.tsx'
import { Rules } from './access/rules.tsx'

const tabs = [
  { value: 'clients', text: 'Clients', least: 'admin' },
  { value: 'apis', text: 'APIs', least: 'admin' },
  { value: 'rules', text: 'Rules', least: 'admin' },
  { value: 'log', text: 'Token log', least: 'operator' },
  { value: 'explain', text: 'Explain', least: 'operator' },
  { value: 'people', text: 'People', least: 'admin' },
] as const

export function AccessPage() {
  const { me } = useApp()
  const [parameters, setParameters] = useParameters()
  const shown = tabs.filter(({ least }) => mayAs(me, least))
  const tab = shown.find(({ value }) => value === parameters.tab)?.value ?? shown[0]?.value ?? 'log'
  const [reloads, setReloads] = useState(0)
  return (
    <>
      <Head
        title="Access"
        about="Every machine proves who it is by client credentials; here is who may have which token"
      >
        <button type="button" onClick={() => setReloads(reloads + 1)}>
          Reload
        </button>
      </Head>
      <div class="stack" key={reloads}>
        <Chips
          label="Part"
          options={shown}
          chosen={tab}
          choose={(value) => setParameters({ tab: value, client: undefined })}
        />
        {tab === 'clients' && <Clients />}
        {tab === 'apis' && <Apis />}
        {tab === 'rules' && <Rules />}
        {tab === 'log' && <Decisions />}
        {tab === 'explain' && <Explain />}
        {tab === 'people' && <Accounts />}
      </div>
    </>
  )
}
