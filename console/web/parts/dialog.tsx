/** Dialogs: the browser's own, which keeps the focus and closes with Escape. And the one that asks before something is done. */
import type { ComponentChildren } from 'preact'
import { useEffect, useId, useRef } from 'preact/hooks'
import { useDoing } from '../load.ts'
import { Fault } from './notices.tsx'

export function Dialog({
  title,
  close,
  wide = false,
  children,
}: {
  title: string
  close: () => void
  wide?: boolean
  children: ComponentChildren
}) {
  const box = useRef<HTMLDialogElement>(null)
  const heading = useId()
  useEffect(() => {
    const dialog = box.current
    dialog?.showModal()
    return () => dialog?.close()
  }, [])
  return (
    <dialog
      ref={box}
      class={wide ? 'wide' : undefined}
      aria-labelledby={heading}
      onCancel={(event) => {
        event.preventDefault()
        close()
      }}
    >
      <div class="stack">
        <div class="row spread">
          <h2 id={heading}>{title}</h2>
          <button type="button" class="plain no-print" onClick={close} aria-label="Close">
            ✕
          </button>
        </div>
        {children}
      </div>
    </dialog>
  )
}

/** Names what it is about to do, and to what. */
export function Confirm({
  title,
  verb,
  children,
  act,
  done,
  close,
}: {
  title: string
  verb: string
  children: ComponentChildren
  act: () => Promise<unknown>
  /** What is said afterwards. */
  done: string
  close: () => void
}) {
  const doing = useDoing()
  return (
    <Dialog title={title} close={close}>
      <div class="stack tight">{children}</div>
      <Fault problem={doing.problem} />
      <div class="row">
        <button
          type="button"
          class="danger"
          disabled={doing.isBusy}
          onClick={async () => {
            if (await doing.run(act, done)) close()
          }}
        >
          {verb}
        </button>
        <button type="button" onClick={close}>
          Cancel
        </button>
      </div>
    </Dialog>
  )
}
