/** Signing in: by the link in the address, by name and password, or by way of the provider. */
import { useEffect, useState } from 'preact/hooks'
import type { SignInWays } from '../../wire.ts'
import { type Api, Problem } from '../api.ts'
import { Field } from '../parts/form.tsx'
import { Fault } from '../parts/notices.tsx'

export function SignIn({ api, done }: { api: Api; done: () => Promise<void> }) {
  const [ways, setWays] = useState<SignInWays>()
  const [problem, setProblem] = useState<Problem>()
  const [isBusy, setBusy] = useState(false)
  const [name, setName] = useState('')
  const [password, setPassword] = useState('')

  const attempt = async (path: string, body: unknown) => {
    setBusy(true)
    setProblem(undefined)
    try {
      await api.post(path, { body })
      // Neither a link that is used up nor a provider's answer stays in the address or the history.
      if (location.pathname.startsWith('/sign-in')) history.replaceState(null, '', '/')
      await done()
    } catch (error) {
      if (!(error instanceof Problem)) throw error
      setProblem(error)
      setBusy(false)
    }
  }

  useEffect(() => {
    document.title = 'Sign in · Lotwatch'
    void api.get<SignInWays>('/api/sign-in').then(setWays, setProblem)
    const token = location.hash.slice(1)
    if (location.pathname === '/sign-in' && token !== '') {
      history.replaceState(null, '', '/sign-in')
      void attempt('/api/sign-in/link', { token })
    } else if (location.pathname === '/sign-in/return') {
      const { search } = location
      history.replaceState(null, '', '/sign-in')
      void attempt('/api/sign-in/provider/return', { search })
    }
  }, [])

  const byProvider = async () => {
    setBusy(true)
    try {
      const { url } = await api.post<{ url: string }>('/api/sign-in/provider')
      location.assign(url)
    } catch (error) {
      if (!(error instanceof Problem)) throw error
      setProblem(error)
      setBusy(false)
    }
  }

  return (
    <main class="sign-in">
      <div class="panel stack">
        <div class="brand">
          <img src="/icon.svg" alt="" />
          Lotwatch
        </div>
        <h1>Sign in</h1>
        <Fault problem={problem} />
        {ways?.provider !== null && ways !== undefined && (
          <button type="button" class="main" disabled={isBusy} onClick={byProvider}>
            Sign in with {ways.provider}
          </button>
        )}
        {ways?.password === true && (
          <form
            class="stack"
            onSubmit={(event) => {
              event.preventDefault()
              void attempt('/api/sign-in/password', { name, password })
            }}
          >
            <Field label="Name">
              <input
                value={name}
                onInput={(event) => setName(event.currentTarget.value)}
                autoComplete="username"
                required
              />
            </Field>
            <Field label="Password">
              <input
                type="password"
                value={password}
                onInput={(event) => setPassword(event.currentTarget.value)}
                autoComplete="current-password"
                required
              />
            </Field>
            <button type="submit" class="main" disabled={isBusy}>
              Sign in
            </button>
          </form>
        )}
        <div class="stack tight small soft">
          <p>
            Whoever runs the system gets in by a link, once: <code>npm start</code> prints it, and so does
          </p>
          <pre>npx lotctl login-link</pre>
        </div>
      </div>
    </main>
  )
}
