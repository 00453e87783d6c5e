/** What every page stands on: who is signed in, the API, the way things look, what was just said. */
import { createContext } from 'preact'
import { useContext } from 'preact/hooks'
import { type Role, roles } from '../roles.ts'
import type { Me } from '../wire.ts'
import type { Api } from './api.ts'

export interface App {
  readonly api: Api
  readonly me: Me
  /** Says something at the edge of the page for a moment, aloud too. */
  say(text: string): void
  /** After a change to what `me` says. */
  reloadMe(): Promise<void>
  signOut(): Promise<void>
  readonly look: Look
  setLook(look: Look): void
}

export interface Look {
  readonly theme: 'system' | 'light' | 'dark'
  readonly contrast: 'system' | 'more'
}

export const AppContext = createContext<App | undefined>(undefined)

export function useApp(): App {
  const app = useContext(AppContext)
  if (app === undefined) throw new Error('outside of the app')
  return app
}

/** Whether the person's role is at least this one. The server decides; this only spares them the refusal. */
export function mayAs(me: Me, least: Role): boolean {
  return roles.indexOf(me.role) >= roles.indexOf(least)
}

const lookKey = 'lotwatch-look'

export function readLook(): Look {
  try {
    const known = JSON.parse(localStorage.getItem(lookKey) ?? '{}') as Partial<Look> // written below
    return { theme: known.theme ?? 'system', contrast: known.contrast ?? 'system' }
  } catch {
    return { theme: 'system', contrast: 'system' } // a browser that keeps nothing
  }
}

export function showLook(look: Look): void {
  const { dataset } = document.documentElement
  if (look.theme === 'system') delete dataset.theme
  else dataset.theme = look.theme
  if (look.contrast === 'system') delete dataset.contrast
  else dataset.contrast = look.contrast
}

export function keepLook(look: Look): void {
  try {
    localStorage.setItem(lookKey, JSON.stringify(look))
  } catch {
    // A browser that keeps nothing shows it until the page is closed.
  }
}
