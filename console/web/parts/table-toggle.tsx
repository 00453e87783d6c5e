/** Behind every picture is its table: a button shows it, and the key `t` those of the whole page. */
import { useCallback, useEffect, useState } from 'preact/hooks'

export function useTableToggle(): readonly [boolean, () => void] {
  const [isTable, setTable] = useState(false)
  const toggle = useCallback(() => setTable((before) => !before), [])
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      const target = event.target as HTMLElement // of a key that was pressed
      if (event.key !== 't' || event.ctrlKey || event.metaKey) return
      if (!/^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName)) toggle()
    }
    document.addEventListener('keydown', press)
    return () => document.removeEventListener('keydown', press)
  }, [toggle])
  return [isTable, toggle]
}

export function TableToggle({ isTable, toggle }: { isTable: boolean; toggle: () => void }) {
  return (
    <button type="button" class="chip" aria-pressed={isTable} onClick={toggle}>
      Table
    </button>
  )
}
