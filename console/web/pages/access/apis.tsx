/** APIs: what tokens are issued for, the built-in ones and others’. */
import { useState } from 'preact/hooks'
import type { Api } from '../../../../core/contract/client.ts'
import { useApp } from '../../app-state.ts'
import { useDoing, useLoad } from '../../load.ts'
import { Confirm, Dialog } from '../../parts/dialog.tsx'
import { Field } from '../../parts/form.tsx'
import { Badge, Fault, Waiting } from '../../parts/notices.tsx'
import { span } from '../../words.ts'

const base = '/api/provisioning/v1/apis'

export function Apis() {
  const { api } = useApp()
  const all = useLoad('apis', (signal) => api.get<{ apis: Api[] }>(base, { query: { limit: 1000 }, signal }))
  const [isNew, setNew] = useState(false)
  const [retiring, setRetiring] = useState<Api>()
  return (
    <div class="stack">
      <div class="row spread">
        <p class="soft">
          What a token is for. Other programs of yours can have one here, with scopes of their own.
        </p>
        <button type="button" class="main" onClick={() => setNew(true)}>
          New API
        </button>
      </div>
      <Fault problem={all.problem} retry={all.reload} />
      {all.value === undefined && all.problem === undefined && <Waiting what="APIs" />}
      <div class="two">
        {(all.value?.apis ?? []).map((one) => (
          <section key={one.audience} class="panel stack tight" aria-label={one.name}>
            <div class="row spread">
              <h2>{one.name}</h2>
              {one.builtIn ? (
                <Badge tone="idle">built in</Badge>
              ) : (
                <button type="button" class="danger" onClick={() => setRetiring(one)}>
                  Retire {one.name}
                </button>
              )}
            </div>
            <code>{one.audience}</code>
            <p class="small soft">
              {one.alg}, {one.dialect}, tokens live{' '}
              {one.tokenLifeSec === undefined ? 'as long as the setting says' : span(one.tokenLifeSec)}
            </p>
            <ul class="small">
              {one.scopes.map(({ scope, description }) => (
                <li key={scope}>
                  <code>{scope}</code> <span class="soft">{description}</span>
                </li>
              ))}
            </ul>
          </section>
        ))}
      </div>
      {isNew && (
        <NewApi
          close={() => {
            setNew(false)
            void all.reload()
          }}
        />
      )}
      {retiring !== undefined && (
        <Confirm
          title={`Retire ${retiring.name}`}
          verb={`Retire ${retiring.name}`}
          done={`${retiring.name} is retired.`}
          act={() => api.delete(`${base}/${encodeURIComponent(retiring.audience)}`)}
          close={() => {
            setRetiring(undefined)
            void all.reload()
          }}
        >
          <p>
            Nobody can get a token for it any more. Clients that have a grant for it must lose that first.
          </p>
        </Confirm>
      )}
    </div>
  )
}

function NewApi({ close }: { close: () => void }) {
  const { api } = useApp()
  const doing = useDoing()
  const [name, setName] = useState('')
  const [audience, setAudience] = useState('')
  const [scopes, setScopes] = useState('')
  const make = async (event: Event) => {
    event.preventDefault()
    const body = {
      name,
      scopes: scopes
        .split(/[\s,]+/)
        .filter((scope) => scope !== '')
        .map((scope) => ({ scope, description: '' })),
    }
    const path = `${base}/${encodeURIComponent(audience)}`
    if (
      await doing.run(
        () => api.put(path, { body, headers: { 'if-none-match': '*' } }),
        `${name} is registered.`,
      )
    )
      close()
  }
  return (
    <Dialog title="New API" close={close}>
      <form class="stack" onSubmit={make}>
        <Field label="Name">
          <input required value={name} onInput={(event) => setName(event.currentTarget.value)} />
        </Field>
        <Field label="Audience" hint="As tokens name it, such as https://reports.example.">
          <input required value={audience} onInput={(event) => setAudience(event.currentTarget.value)} />
        </Field>
        <Field label="Scopes" hint="Spaces between, such as read:reports write:reports.">
          <input value={scopes} onInput={(event) => setScopes(event.currentTarget.value)} />
        </Field>
        <Fault problem={doing.problem} />
        <div class="row">
          <button type="submit" class="main" disabled={doing.isBusy}>
            Register
          </button>
        </div>
      </form>
    </Dialog>
  )
}
