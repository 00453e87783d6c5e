/** The account of whoever is signed in: their password, how the console looks to them, and the way out. */
import { useState } from 'preact/hooks'
import { useApp } from '../app-state.ts'
import { useDoing } from '../load.ts'
import { Chips, Field, NewPassword } from '../parts/form.tsx'
import { Head } from '../parts/head.tsx'
import { Fault } from '../parts/notices.tsx'

export function AccountPage() {
  const { me, look, setLook, signOut } = useApp()
  return (
    <>
      <Head
        title="Account"
        about={`Signed in as ${me.person}, ${me.role}${me.lots === undefined ? '' : `, of ${me.lots.join(', ')}`}`}
      >
        <button type="button" onClick={() => void signOut()}>
          Sign out
        </button>
      </Head>
      <div class="two">
        {me.by === 'account' ? (
          <PasswordForm />
        ) : (
          <section class="panel">
            <h2>Password</h2>
            <p class="soft">Your identity provider keeps it.</p>
          </section>
        )}
        <section class="panel stack">
          <h2>Look</h2>
          <div class="stack tight">
            <span class="soft">Colours</span>
            <Chips
              label="Colours"
              chosen={look.theme}
              choose={(theme) => setLook({ ...look, theme })}
              options={[
                { value: 'system', text: 'As the system' },
                { value: 'light', text: 'Light' },
                { value: 'dark', text: 'Dark' },
              ]}
            />
          </div>
          <div class="stack tight">
            <span class="soft">Contrast</span>
            <Chips
              label="Contrast"
              chosen={look.contrast}
              choose={(contrast) => setLook({ ...look, contrast })}
              options={[
                { value: 'system', text: 'As the system' },
                { value: 'more', text: 'High' },
              ]}
            />
          </div>
        </section>
      </div>
    </>
  )
}

function PasswordForm() {
  const { api, me, reloadMe } = useApp()
  const doing = useDoing()
  const [current, setCurrent] = useState('')
  const [password, setPassword] = useState('')
  const save = async (event: Event) => {
    event.preventDefault()
    const body = me.hasPassword ? { current, password } : { password }
    const isSaved = await doing.run(
      () => api.put('/api/me/password', { body }),
      'Password saved. Everywhere else you are signed out.',
    )
    if (!isSaved) return
    setCurrent('')
    setPassword('')
    await reloadMe()
  }
  return (
    <section class="panel">
      <form class="stack" onSubmit={save}>
        <h2>{me.hasPassword ? 'Change the password' : 'Set a password'}</h2>
        {!me.hasPassword && (
          <p class="soft">You came by a link. With a password you need none the next time.</p>
        )}
        <input
          class="sr"
          tabIndex={-1}
          aria-hidden="true"
          autoComplete="username"
          value={me.person}
          readOnly
        />
        {me.hasPassword && (
          <Field label="Current password">
            <input
              type="password"
              autoComplete="current-password"
              required
              value={current}
              onInput={(event) => setCurrent(event.currentTarget.value)}
            />
          </Field>
        )}
        <NewPassword
          required
          label="New password"
          hint="At least ten characters; longer is better than stranger."
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
    </section>
  )
}
