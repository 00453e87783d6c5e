/** What was just said, at the edge of the page for a moment, and to screen readers. */
import { useCallback, useState } from 'preact/hooks'

export interface Toast {
  readonly id: number
  readonly text: string
}

const shownMs = 6000

export function useToasts(): { shown: readonly Toast[]; say: (text: string) => void } {
  const [shown, setShown] = useState<readonly Toast[]>([])
  const say = useCallback((text: string) => {
    const id = performance.now()
    setShown((before) => [...before.slice(-2), { id, text }])
    setTimeout(() => setShown((before) => before.filter((toast) => toast.id !== id)), shownMs)
  }, [])
  return { shown, say }
}

export function Toasts({ toasts }: { toasts: readonly Toast[] }) {
  return (
    <div class="toasts" role="status">
      {toasts.map(({ id, text }) => (
        <p key={id}>{text}</p>
      ))}
    </div>
  )
}
