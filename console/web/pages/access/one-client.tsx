/** One client: its credentials, and what it may get at each API, as switches. */
import { useState } from 'preact/hooks'
import type { Api, Client, CredentialRecord, IssuedCredential } from '../../../../core/contract/client.ts'
import { useApp } from '../../app-state.ts'
import { useDoing, useLoad, useNow } from '../../load.ts'
import { Confirm, Dialog } from '../../parts/dialog.tsx'
import { Switch } from '../../parts/form.tsx'
import { Fault } from '../../parts/notices.tsx'
import { Secret } from '../../parts/secret.tsx'
import { ago } from '../../words.ts'

const base = '/api/provisioning/v1'
type Shown = Client & { readonly credentials: readonly CredentialRecord[] }

export function OneClient({ oauthClientId, back }: { oauthClientId: string; back: () => void }) {
  const { api } = useApp()
  const doing = useDoing()
  const nowMs = useNow()
  const path = `${base}/clients/${encodeURIComponent(oauthClientId)}`
  const loaded = useLoad(`client ${oauthClientId}`, async (signal) => {
    const [client, { apis }] = await Promise.all([
      api.get<Shown>(path, { signal }),
      api.get<{ apis: Api[] }>(`${base}/apis`, { query: { limit: 1000 }, signal }),
    ])
    return { client, apis }
  })
  const [issued, setIssued] = useState<IssuedCredential['credential']>()
  const [asked, setAsked] = useState<'retire' | CredentialRecord>()
  const { client, apis = [] } = loaded.value ?? {}
  const change = async (what: () => Promise<unknown>, done: string) => {
    await doing.run(what, done)
    await loaded.reload()
  }
  const setGrant = (audience: string, scopes: readonly string[]) => {
    const at = `${path}/grants/${encodeURIComponent(audience)}`
    return change(
      () => (scopes.length === 0 ? api.delete(at) : api.put(at, { body: { scopes } })),
      `${oauthClientId} may get ${scopes.length === 0 ? 'nothing' : scopes.join(', ')} at ${shortOf(audience)}.`,
    )
  }
  return (
    <div class="stack">
      <div class="row spread">
        <button type="button" onClick={back}>
          All clients
        </button>
        <div class="row">
          <button
            type="button"
            disabled={doing.isBusy}
            onClick={() =>
              void doing.run(async () => {
                const { credential } = await api.post<IssuedCredential>(`${path}/rotate`, { body: {} })
                setIssued(credential)
              })
            }
          >
            Rotate its secret
          </button>
          <button type="button" class="danger" onClick={() => setAsked('retire')}>
            Retire
          </button>
        </div>
      </div>
      <Fault problem={loaded.problem ?? doing.problem} />
      {client !== undefined && (
        <>
          <section class="panel stack tight">
            <div class="row spread">
              <h2>
                {client.name} <code class="soft">{client.oauthClientId}</code>
              </h2>
              <Switch
                label="client credentials grant"
                isOn={client.grantTypes.includes('client_credentials')}
                disabled={doing.isBusy}
                change={(isOn) =>
                  void change(
                    () => api.patch(path, { body: { grantTypes: isOn ? ['client_credentials'] : [] } }),
                    isOn ? `${oauthClientId} may get tokens.` : `${oauthClientId} gets no token any more.`,
                  )
                }
              />
            </div>
            <ul class="stack tight">
              {client.credentials
                .filter(({ revokedAtMs }) => revokedAtMs === null)
                .map((credential) => (
                  <li key={credential.credentialId} class="row spread">
                    <span>
                      {credential.of === 'key' ? 'Key pair' : 'Secret'} <code>{credential.credentialId}</code>{' '}
                      <span class="small soft">
                        made {ago(credential.createdAtMs, nowMs)}, last used{' '}
                        {ago(credential.lastUsedAtMs, nowMs)}
                        {credential.expiresAtMs !== null && `, ends ${ago(credential.expiresAtMs, nowMs)}`}
                      </span>
                    </span>
                    <button type="button" class="danger" onClick={() => setAsked(credential)}>
                      Revoke
                    </button>
                  </li>
                ))}
            </ul>
          </section>
          <div class="two">
            {apis.map((one) => (
              <Grants
                key={one.audience}
                api={one}
                scopes={client.grants.find(({ audience }) => audience === one.audience)?.scopes ?? []}
                disabled={doing.isBusy}
                set={(scopes) => void setGrant(one.audience, scopes)}
              />
            ))}
          </div>
        </>
      )}
      {issued !== undefined && (
        <Dialog title={`Another secret for ${oauthClientId}`} close={() => setIssued(undefined)}>
          <Secret
            title="The old ones end in a week"
            text={JSON.stringify(issued, null, 2)}
            fileName={`${oauthClientId}.json`}
            done={() => {
              setIssued(undefined)
              void loaded.reload()
            }}
          />
        </Dialog>
      )}
      {asked === 'retire' && (
        <Confirm
          title={`Retire ${oauthClientId}`}
          verb={`Retire ${oauthClientId} for good`}
          done={`${oauthClientId} is retired.`}
          act={() => api.delete(path)}
          close={() => {
            setAsked(undefined)
            back()
          }}
        >
          <p>Its credentials and tokens are void. Programs that use it stop working.</p>
        </Confirm>
      )}
      {asked !== undefined && asked !== 'retire' && (
        <Confirm
          title={`Revoke a credential of ${oauthClientId}`}
          verb="Revoke it"
          done="The credential is revoked."
          act={() => api.delete(`${path}/credentials/${asked.credentialId}`)}
          close={() => {
            setAsked(undefined)
            void loaded.reload()
          }}
        >
          <p>
            <code>{asked.credentialId}</code> gets no token any more, and those it has are void.
          </p>
        </Confirm>
      )}
    </div>
  )
}

function Grants({
  api,
  scopes,
  disabled,
  set,
}: {
  api: Api
  scopes: readonly string[]
  disabled: boolean
  set: (scopes: readonly string[]) => void
}) {
  return (
    <fieldset class="panel stack tight">
      <legend class="sr">{api.name}</legend>
      <h3>
        {api.name} <code class="soft">{api.audience}</code>
      </h3>
      {api.scopes.map(({ scope, description }) => (
        <Switch
          key={scope}
          label={
            <>
              {scope} <span class="small soft">{description}</span>
            </>
          }
          isOn={scopes.includes(scope)}
          disabled={disabled}
          change={(isOn) => set(isOn ? [...scopes, scope] : scopes.filter((one) => one !== scope))}
        />
      ))}
    </fieldset>
  )
}

export function shortOf(audience: string): string {
  return audience.replace('urn:lotwatch:', '')
}
