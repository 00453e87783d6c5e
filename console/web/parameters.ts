/** What the address says after its `?`: the state of a page, so that a copied address shows the same. */
import { useCallback } from 'preact/hooks'
import { useLocation } from 'preact-iso'

export type Parameters = Readonly<Record<string, string | undefined>>

/** @returns what is there, and how to change some of it; undefined or empty takes away. The history does not grow. */
export function useParameters(): [Parameters, (changes: Parameters) => void] {
  const location = useLocation() as ReturnType<typeof useLocation> & {
    route: (url: string, replace?: boolean) => void // has it, its type does not
  }
  const { path, query, route } = location
  const change = useCallback(
    (changes: Parameters) => {
      const next = new URLSearchParams(query)
      for (const [name, value] of Object.entries(changes))
        if (value === undefined || value === '') next.delete(name)
        else next.set(name, value)
      const text = next.toString()
      route(text === '' ? path : `${path}?${text}`, true)
    },
    [path, query, route],
  )
  return [query, change]
}
