/** Who is there: the sign-in page until somebody is signed in, then the console. */
import { useCallback, useEffect, useMemo, useState } from 'preact/hooks'
import { LocationProvider } from 'preact-iso'
import type { Me } from '../wire.ts'
import { createApi, Problem } from './api.ts'
import { type App, AppContext, keepLook, type Look, readLook, showLook } from './app-state.ts'
import { SignIn } from './pages/sign-in.tsx'
import { Fault } from './parts/notices.tsx'
import { Toasts, useToasts } from './parts/toasts.tsx'
import { Shell } from './shell.tsx'

/** Undefined: not known yet; null: nobody. */
type Who = Me | null | undefined

export function Root() {
  const [me, setMe] = useState<Who>(undefined)
  const [problem, setProblem] = useState<Problem>()
  const [look, setLook] = useState<Look>(readLook)
  const toasts = useToasts()
  const api = useMemo(() => createApi(() => setMe(null)), [])
  const reloadMe = useCallback(async () => {
    try {
      const { isSignedIn } = await api.get<{ isSignedIn: boolean }>('/api/sign-in')
      setMe(isSignedIn ? await api.get<Me>('/api/me') : null)
      setProblem(undefined)
    } catch (error) {
      if (!(error instanceof Problem)) throw error
      setProblem(error)
    }
  }, [api])
  useEffect(() => void reloadMe(), [reloadMe])

  const app = useMemo((): App | undefined => {
    if (me === undefined || me === null) return undefined
    return {
      api,
      me,
      say: toasts.say,
      reloadMe,
      async signOut() {
        await api.post('/api/sign-out')
        setMe(null)
      },
      look,
      setLook(next) {
        setLook(next)
        showLook(next)
        keepLook(next)
      },
    }
  }, [api, me, look, toasts.say, reloadMe])

  if (problem !== undefined && me === undefined)
    return (
      <main>
        <h1>Lotwatch</h1>
        <Fault problem={problem} retry={reloadMe} />
      </main>
    )
  if (me === undefined) return null
  return (
    <>
      {app === undefined ? (
        <SignIn api={api} done={reloadMe} />
      ) : (
        <AppContext.Provider value={app}>
          <LocationProvider>
            <Shell />
          </LocationProvider>
        </AppContext.Provider>
      )}
      <Toasts toasts={toasts.shown} />
    </>
  )
}
